import ApusCommand
import ApusCore
import DequeModule
import Histogram
import KafkaWire
import NIOCore

/// Sends records by the clock, each with the moment at which it was due in its first eight bytes. Owner: its loop.
final class ScheduledProducer: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    struct Plan: Sendable {
        var topic: String
        var partitions: Int
        var acks: Int16
        var schedule: OpenLoopSchedule
        /// How many records are sent in all.
        var records: Int64
        /// What follows the moment in each record: random bytes.
        var padding: ByteBuffer
        var inFlightMax: Int
    }

    private let load: LoadLoop
    private let plan: Plan
    private var sent: Int64 = 0
    private var partition = 0
    private var inFlight = 0
    private var received = ByteBuffer()
    private let finished: EventLoopPromise<Void>

    init(load: LoadLoop, plan: Plan, finished: EventLoopPromise<Void>) {
        self.load = load
        self.plan = plan
        self.finished = finished
    }

    /// The connection is up: see ``LoadLoop/begin(on:_:)``.
    func handlerAdded(context: ChannelHandlerContext) { self.tick(context) }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        self.received.writeImmutableBuffer(self.unwrapInboundIn(data))
        do {
            while let frame = try Frame.next(from: &self.received) {
                let answer = try Frame.decode(ProduceResponse.self, from: frame, version: ProduceFrames.version)
                let code = answer.response.responses.first?.partitionResponses.first?.errorCode ?? .unknownServerError
                if code != .none { self.load.fail("\(code)") }
                self.inFlight -= 1
            }
        } catch {
            self.load.fail("an answer that is none: \(error)")
            context.close(promise: nil)
        }
        self.received.discardReadBytes()
    }

    func channelReadComplete(context: ChannelHandlerContext) { self.sendDue(context) }

    func channelInactive(context: ChannelHandlerContext) {
        if self.sent < self.plan.records || self.inFlight > 0 { self.load.fail("the broker closed the connection") }
        self.finished.succeed()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        self.load.fail("\(error)")
        context.close(promise: nil)
    }

    /// Sends what is due, then sleeps until the next is.
    private func tick(_ context: ChannelHandlerContext) {
        self.sendDue(context)
        guard self.sent < self.plan.records, context.channel.isActive else { return }
        // With the window full, the next answer goes on; without this timer, as before.
        let due = self.plan.schedule.due(max(self.sent, self.plan.schedule.count(at: .now)))
        context.eventLoop.assumeIsolated().scheduleTask(deadline: .uptimeNanoseconds(due.nanoseconds)) {
            self.tick(context)
        }
    }

    private func sendDue(_ context: ChannelHandlerContext) {
        let due = min(self.plan.schedule.count(at: .now), self.plan.records)
        guard self.sent < due, self.inFlight < self.plan.inFlightMax else { return self.endIfDone(context) }
        var builder = RecordBatchBuilder(byteCountHint: Int(due - self.sent) * (self.plan.padding.readableBytes + 32))
        let wall = Timestamp.now.rawValue
        while self.sent < due {
            var value = ByteBufferAllocator().buffer(capacity: 8 + self.plan.padding.readableBytes)
            value.writeInteger(self.plan.schedule.due(self.sent).nanoseconds)
            value.writeImmutableBuffer(self.plan.padding)
            builder.append(key: nil, value: value, timestamp: wall)
            self.sent += 1
        }
        var partition = ProduceRequest.PartitionData()
        partition.index = Int32(self.partition)
        partition.records = WireRecords(builder.finish())
        var topic = ProduceRequest.TopicData()
        topic.name = self.plan.topic
        topic.partitionData = [partition]
        var request = ProduceRequest()
        request.acks = self.plan.acks
        request.timeoutMs = 30_000
        request.topicData = [topic]
        self.partition = (self.partition + 1) % self.plan.partitions
        self.inFlight += 1
        let frame = Frame.encode(request, version: ProduceFrames.version, correlationID: 0, clientID: "apus-bench")
        for part in frame { context.write(self.wrapOutboundOut(part), promise: nil) }
        context.flush()
    }

    private func endIfDone(_ context: ChannelHandlerContext) {
        if self.sent == self.plan.records, self.inFlight == 0 { context.close(promise: nil) }
    }
}

/// Reads what the producer sent, record by record, and takes the time of each. Owner: its event loop.
final class TimingReader: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let load: LoadLoop
    private let topic: String
    private var positions: [Int32: Int64]
    /// Records due before this are the warm-up's.
    private let countsFrom: Instant
    private var recordsLeft: Int64
    private var received = ByteBuffer()
    private let finished: EventLoopPromise<Void>

    init(
        load: LoadLoop, topic: String, positions: [Int32: Int64], countsFrom: Instant, records: Int64,
        finished: EventLoopPromise<Void>
    ) {
        self.load = load
        self.topic = topic
        self.positions = positions
        self.countsFrom = countsFrom
        self.recordsLeft = records
        self.finished = finished
    }

    /// The connection is up: see ``LoadLoop/begin(on:_:)``.
    func handlerAdded(context: ChannelHandlerContext) { self.fetch(context) }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let now = Instant.now
        self.received.writeImmutableBuffer(self.unwrapInboundIn(data))
        do {
            while let frame = try Frame.next(from: &self.received, limit: Limits.frameBytesMax.rawValue * 4) {
                try self.took(frame, at: now)
                if self.recordsLeft > 0 { self.fetch(context) } else { context.close(promise: nil) }
            }
        } catch {
            self.load.fail("an answer that is none: \(error)")
            context.close(promise: nil)
        }
        self.received.discardReadBytes()
    }

    func channelInactive(context: ChannelHandlerContext) {
        if self.recordsLeft > 0 { self.load.fail("\(self.recordsLeft) records did not arrive") }
        self.finished.succeed()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        self.load.fail("\(error)")
        context.close(promise: nil)
    }

    private func took(_ frame: ByteBuffer, at now: Instant) throws {
        let answer = try Frame.decode(FetchResponse.self, from: frame, version: FetchDrain.version).response
        for partition in answer.responses.flatMap(\.partitions) {
            if partition.errorCode != .none { self.load.fail("\(partition.errorCode)") }
            guard var records = partition.records?.joined else { continue }
            while let batch = try RecordBatch.read(from: &records) {
                self.positions[partition.partitionIndex] = batch.header.nextOffset
                var iterator = try batch.records()
                while let record = try iterator.next() { self.took(record, at: now) }
            }
        }
    }

    private func took(_ record: Record, at now: Instant) {
        guard let value = record.value, let due = value.getInteger(at: value.readerIndex, as: UInt64.self) else {
            return
        }
        self.recordsLeft -= 1
        guard due >= self.countsFrom.nanoseconds else { return }
        if !self.load.isCounting { self.load.startCounting() }
        self.load.records += 1
        self.load.bytes += Int64(value.readableBytes)
        self.load.latency.record(now.nanoseconds > due ? now.nanoseconds - due : 0)
    }

    private func fetch(_ context: ChannelHandlerContext) {
        var topic = FetchRequest.Topic()
        topic.topic = self.topic
        topic.partitions = self.positions.sorted { $0.key < $1.key }.map { index, offset in
            var partition = FetchRequest.Partition()
            partition.partition = index
            partition.fetchOffset = offset
            partition.partitionMaxBytes = 1 << 20
            return partition
        }
        var request = FetchRequest()
        request.maxWaitMs = 500
        request.minBytes = 1
        request.maxBytes = 8 << 20
        request.topics = [topic]
        let frame = Frame.encode(request, version: FetchDrain.version, correlationID: 0, clientID: "apus-bench")
        for part in frame { context.write(self.wrapOutboundOut(part), promise: nil) }
        context.flush()
    }
}
