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
    let recordsPerRequest: Int64
    let bytesPerRequest: Int64

    init(topic: String, partitions: Int, acks: Int16, batch: ByteBuffer, records: Int) {
        self.frames = (0..<partitions).map { index in
            var partition = ProduceRequest.PartitionData()
            partition.index = Int32(index)
            partition.records = WireRecords(batch)
            var data = ProduceRequest.TopicData()
            data.name = topic
            data.partitionData = [partition]
            var request = ProduceRequest()
            request.acks = acks
            request.timeoutMs = 30_000
            request.topicData = [data]
            let parts = Frame.encode(request, version: Self.version, correlationID: 0, clientID: "apus-bench")
            let size = parts.reduce(0) { $0 + $1.readableBytes }
            guard size <= Self.joinedBytesMax else { return parts }
            var joined = ByteBufferAllocator().buffer(capacity: size)
            for part in parts { joined.writeImmutableBuffer(part) }
            return [joined]
        }
        self.recordsPerRequest = Int64(records)
        self.bytesPerRequest = Int64(batch.readableBytes)
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

    private let load: LoadLoop
    private let frames: ProduceFrames
    private let inFlightMax: Int
    /// Requests still to send, where they are counted.
    private var requestsLeft: Int64
    private var nextPartition: Int
    private var sentAt = Deque<UInt64>()
    private var received = ByteBuffer()
    private let finished: EventLoopPromise<Void>

    init(
        load: LoadLoop, frames: ProduceFrames, inFlightMax: Int, requests: Int64, firstPartition: Int,
        finished: EventLoopPromise<Void>
    ) {
        self.load = load
        self.frames = frames
        self.inFlightMax = inFlightMax
        self.requestsLeft = requests
        self.nextPartition = firstPartition % frames.frames.count
        self.finished = finished
    }

    func channelActive(context: ChannelHandlerContext) { self.fill(context) }

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

    private var mayProceed: Bool { self.load.isSending && self.requestsLeft > 0 }

    private func fill(_ context: ChannelHandlerContext) {
        let now = Instant.now.nanoseconds
        var isWritten = false
        while self.mayProceed, self.sentAt.count < self.inFlightMax {
            for part in self.frames.frames[self.nextPartition] {
                context.write(self.wrapOutboundOut(part), promise: nil)
            }
            self.nextPartition += 1
            if self.nextPartition == self.frames.frames.count { self.nextPartition = 0 }
            self.sentAt.append(now)
            self.requestsLeft -= 1
            isWritten = true
        }
        if isWritten { context.flush() }
        if self.sentAt.isEmpty, !self.mayProceed { context.close(promise: nil) }
    }

    private func answered(_ frame: ByteBuffer) throws {
        let answer = try Frame.decode(ProduceResponse.self, from: frame, version: ProduceFrames.version).response
        guard let sent = self.sentAt.popFirst() else { return self.load.fail("an answer to no request") }
        let partition = answer.responses.first?.partitionResponses.first
        guard let partition, partition.errorCode == .none else {
            return self.load.fail("\(partition?.errorCode.description ?? "an empty answer")")
        }
        guard self.load.isCounting else { return }
        self.load.records += self.frames.recordsPerRequest
        self.load.bytes += self.frames.bytesPerRequest
        self.load.latency.record(Instant.now.nanoseconds - sent)
    }
}
