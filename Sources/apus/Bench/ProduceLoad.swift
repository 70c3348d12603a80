import ApusCommand
import ApusCore
import DequeModule
import Histogram
import KafkaWire
import NIOCore

/// Produce requests, encoded once for each partition and sent as often as needed: the same bytes every time, because
/// the broker looks at neither the correlation id nor the offsets of what it is given.
struct ProduceFrames: Sendable {
    /// Produce version 8: names for topics, no tagged fields.
    static let version: Int16 = 8
    /// Frames shorter than this are kept whole; longer ones share the batch.
    private static let joinedBytesMax = 32 * 1024

    let frames: [[ByteBuffer]]
    let recordsPerBatch: Int64
    let bytesPerBatch: Int64

    /// One request for each partition of a topic.
    init(topic: String, partitions: Int, acks: Int16, batch: ByteBuffer, records: Int) {
        self.init(targets: (0..<partitions).map { [(topic, Int32($0))] }, acks: acks, batch: batch, records: records)
    }

    /// Requests that write to the first partition of many topics at once.
    init(topics: [String], perRequest: Int, acks: Int16, batch: ByteBuffer, records: Int) {
        let targets = stride(from: 0, to: topics.count, by: perRequest).map { start in
            topics[start..<min(start + perRequest, topics.count)].map { ($0, Int32(0)) }
        }
        self.init(targets: targets, acks: acks, batch: batch, records: records)
    }

    private init(targets: [[(topic: String, partition: Int32)]], acks: Int16, batch: ByteBuffer, records: Int) {
        self.frames = targets.map { targets in
            var request = ProduceRequest()
            request.acks = acks
            request.timeoutMs = 30_000
            request.topicData = targets.map { topic, index in
                var partition = ProduceRequest.PartitionData()
                partition.index = index
                partition.records = WireRecords(batch)
                var data = ProduceRequest.TopicData()
                data.name = topic
                data.partitionData = [partition]
                return data
            }
            let parts = Frame.encode(request, version: Self.version, correlationID: 0, clientID: "apus-bench")
            let size = parts.reduce(0) { $0 + $1.readableBytes }
            guard size <= Self.joinedBytesMax else { return parts }
            var joined = ByteBufferAllocator().buffer(capacity: size)
            for part in parts { joined.writeImmutableBuffer(part) }
            return [joined]
        }
        self.recordsPerBatch = Int64(records)
        self.bytesPerBatch = Int64(batch.readableBytes)
    }

    /// A batch of records of random bytes: they do not compress.
    static func batch(records: Int, recordBytes: Int, codec: CompressionCodec) -> ByteBuffer {
        var generator = SystemRandomNumberGenerator()
        var builder = RecordBatchBuilder(codec: codec, byteCountHint: records * (recordBytes + 20))
        for _ in 0..<records {
            var value = ByteBufferAllocator().buffer(capacity: recordBytes + 8)
            while value.readableBytes < recordBytes { value.writeInteger(generator.next() as UInt64) }
            value.moveWriterIndex(to: recordBytes)
            builder.append(key: nil, value: value, timestamp: Timestamp.now.rawValue)
        }
        return builder.finish()
    }
}

/// Keeps a number of produce requests in flight on one connection. Owner: its event loop.
final class ProduceLoad: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    struct Plan: Sendable {
        var frames: ProduceFrames
        var inFlightMax: Int
        /// How many requests are sent, at most.
        var requests: Int64
        var firstFrame: Int
        /// When each request is due, with an open loop; nil: as soon as there is room.
        var schedule: OpenLoopSchedule?
    }

    private let load: LoadLoop
    private let plan: Plan
    private var sent: Int64 = 0
    private var nextFrame: Int
    /// When each request in flight was sent or, with an open loop, due.
    private var sentAt = Deque<UInt64>()
    private var received = ByteBuffer()
    private let finished: EventLoopPromise<Void>

    init(load: LoadLoop, plan: Plan, finished: EventLoopPromise<Void>) {
        self.load = load
        self.plan = plan
        self.nextFrame = plan.firstFrame % plan.frames.frames.count
        self.finished = finished
    }

    /// The connection is up: see ``LoadLoop/begin(on:_:)``.
    func handlerAdded(context: ChannelHandlerContext) {
        if self.plan.schedule == nil { self.fill(context) } else { self.tick(context) }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        self.received.writeImmutableBuffer(self.unwrapInboundIn(data))
        do {
            while let frame = try Frame.next(from: &self.received) { try self.answered(frame) }
        } catch {
            self.load.fail("an answer that is none: \(error)")
            context.close(promise: nil)
        }
        self.received.discardReadBytes()
    }

    func channelReadComplete(context: ChannelHandlerContext) { self.fill(context) }

    func channelInactive(context: ChannelHandlerContext) {
        if !self.sentAt.isEmpty || self.mayProceed { self.load.fail("the broker closed the connection") }
        self.finished.succeed()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        self.load.fail("\(error)")
        context.close(promise: nil)
    }

    private var mayProceed: Bool { self.load.isSending && self.sent < self.plan.requests }

    /// With an open loop: sends what is due, then sleeps until the next is.
    private func tick(_ context: ChannelHandlerContext) {
        self.fill(context)
        guard let schedule = self.plan.schedule, self.mayProceed, context.channel.isActive else { return }
        // With the window full, what is due goes out with the next answer.
        let due = schedule.due(max(self.sent, schedule.count(at: .now)))
        context.eventLoop.assumeIsolated().scheduleTask(deadline: .uptimeNanoseconds(due.nanoseconds)) {
            self.tick(context)
        }
    }

    private func fill(_ context: ChannelHandlerContext) {
        let now = Instant.now
        let due = self.plan.schedule?.count(at: now) ?? .max
        var isWritten = false
        while self.mayProceed, self.sent < due, self.sentAt.count < self.plan.inFlightMax {
            for part in self.plan.frames.frames[self.nextFrame] {
                context.write(self.wrapOutboundOut(part), promise: nil)
            }
            self.nextFrame += 1
            if self.nextFrame == self.plan.frames.frames.count { self.nextFrame = 0 }
            self.sentAt.append((self.plan.schedule?.due(self.sent) ?? now).nanoseconds)
            self.sent += 1
            isWritten = true
        }
        if isWritten { context.flush() }
        if self.sentAt.isEmpty, !self.mayProceed {
            // Now and not when the connection is closed, which under TLS takes two more messages.
            self.finished.succeed()
            context.close(promise: nil)
        }
    }

    private func answered(_ frame: ByteBuffer) throws {
        let answer = try Frame.decode(ProduceResponse.self, from: frame, version: ProduceFrames.version).response
        guard let sent = self.sentAt.popFirst() else { return self.load.fail("an answer to no request") }
        var batches: Int64 = 0
        for topic in answer.responses {
            for partition in topic.partitionResponses {
                if partition.errorCode == .none { batches += 1 } else { self.load.fail("\(partition.errorCode)") }
            }
        }
        guard self.load.isCounting else { return }
        self.load.records += batches * self.plan.frames.recordsPerBatch
        self.load.bytes += batches * self.plan.frames.bytesPerBatch
        let now = Instant.now.nanoseconds
        self.load.latency.record(now > sent ? now - sent : 0)
    }
}
