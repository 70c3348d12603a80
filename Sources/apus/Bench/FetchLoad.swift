import ApusCommand
import ApusCore
import Histogram
import KafkaWire
import NIOCore

/// Reads partitions from their start to an end, again and again, and throws the records away. Owner: its event loop.
final class FetchLoad: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    struct Plan: Sendable {
        var topic: String
        /// Where each partition starts and ends.
        var spans: [Int32: Range<Int64>]
        var fetchBytes: Int32
        var partitionBytes: Int32
        /// How often the spans are read; each pass begins when the one before is complete.
        var passes: Int
    }

    private let load: LoadLoop
    private let plan: Plan
    private var positions: [Int32: Int64] = [:]
    private var passesLeft: Int
    private var drain = FetchDrain()
    private var counted = (records: Int64(0), bytes: Int64(0))
    private var sentAt: UInt64 = 0
    private var isDone = false
    private let finished: EventLoopPromise<Void>

    init(load: LoadLoop, plan: Plan, finished: EventLoopPromise<Void>) {
        self.load = load
        self.plan = plan
        self.passesLeft = plan.passes
        self.finished = finished
    }

    /// The connection is up: see ``LoadLoop/begin(on:_:)``.
    func handlerAdded(context: ChannelHandlerContext) {
        self.beginPass()
        self.fetch(context)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var answers: [FetchDrain.Answer] = []
        do {
            try self.drain.feed(self.unwrapInboundIn(data)) { answers.append($0) }
        } catch {
            self.load.fail("an answer that is none")
            context.close(promise: nil)
            return
        }
        self.count()
        for answer in answers { self.took(answer, context) }
    }

    func channelInactive(context: ChannelHandlerContext) {
        if !self.isDone { self.load.fail("the broker closed the connection") }
        self.finished.succeed()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        self.load.fail("\(error)")
        context.close(promise: nil)
    }

    private func count() {
        let (records, bytes) = (self.drain.records, self.drain.bytes)
        if self.load.isCounting {
            self.load.records += records - self.counted.records
            self.load.bytes += bytes - self.counted.bytes
        }
        self.counted = (records, bytes)
    }

    private func took(_ answer: FetchDrain.Answer, _ context: ChannelHandlerContext) {
        if self.load.isCounting { self.load.latency.record(Instant.now.nanoseconds - self.sentAt) }
        for (partition, code) in answer.errors {
            self.load.fail("partition \(partition): \(KafkaErrorCode(rawValue: code))")
            self.positions[partition] = nil
        }
        for (partition, next) in answer.next {
            let end = self.plan.spans[partition]?.upperBound ?? 0
            self.positions[partition] = next < end ? next : nil
        }
        if self.positions.isEmpty, self.passesLeft > 0, self.load.isSending { self.beginPass() }
        self.fetch(context)
    }

    private func beginPass() {
        self.passesLeft -= 1
        self.positions = self.plan.spans.filter { !$0.value.isEmpty }.mapValues(\.lowerBound)
    }

    private func fetch(_ context: ChannelHandlerContext) {
        guard !self.positions.isEmpty, self.load.isSending else {
            self.isDone = true
            // Now and not when the connection is closed, which under TLS takes two more messages.
            self.finished.succeed()
            context.close(promise: nil)
            return
        }
        var topic = FetchRequest.Topic()
        topic.topic = self.plan.topic
        topic.partitions = self.positions.sorted { $0.key < $1.key }.map { index, offset in
            var partition = FetchRequest.Partition()
            partition.partition = index
            partition.fetchOffset = offset
            partition.partitionMaxBytes = self.plan.partitionBytes
            return partition
        }
        var request = FetchRequest()
        request.maxWaitMs = 500
        request.minBytes = 1
        request.maxBytes = self.plan.fetchBytes
        request.topics = [topic]
        self.sentAt = Instant.now.nanoseconds
        let frame = Frame.encode(request, version: FetchDrain.version, correlationID: 0, clientID: "apus-bench")
        for part in frame { context.write(self.wrapOutboundOut(part), promise: nil) }
        context.flush()
    }
}
