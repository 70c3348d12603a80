import ApusCommand
import ApusCore
import KafkaWire
import NIOCore
import NIOPosix

/// All connections of a load on an endpoint server, and how far it has got. Owner: the load's loop.
final class FanOutLoad {
    let load: LoadLoop
    let transport: PushDrain.Transport
    let address: HostPort
    /// The value of the header `Authorization`.
    let authorization: String?
    /// Deliveries until the load is done.
    var expected: Int64 = 0
    /// Told when deliveries came in.
    var progress: (() -> Void)?
    private var waiting = 0
    private let subscribed: EventLoopPromise<Void>
    let finished: EventLoopPromise<Void>

    init(
        _ load: LoadLoop, _ transport: PushDrain.Transport, _ address: HostPort, authorization: String?,
        connections: Int
    ) {
        self.load = load
        self.transport = transport
        self.address = address
        self.authorization = authorization
        self.waiting = connections
        self.subscribed = load.loop.makePromise()
        self.finished = load.loop.makePromise()
    }

    /// All connections have all their subscriptions.
    var allSubscribed: EventLoopFuture<Void> { self.subscribed.futureResult }

    func ready() {
        self.waiting -= 1
        if self.waiting == 0 { self.subscribed.succeed() }
    }

    func delivered(_ records: Int64) {
        self.load.records += records
        if self.load.records >= self.expected { self.finish() } else { self.progress?() }
    }

    func fail(_ message: String) { self.load.fail(message) }

    /// A connection is gone: all has to be begun again.
    func lost(_ message: String) {
        guard self.load.isSending else { return }
        self.fail(message)
        self.subscribed.fail(CommandFailure(.failure, code: "bench_errors", message))
        self.finish()
    }

    func finish() {
        self.load.stop()
        self.finished.succeed()
    }
}

/// Writes the records that are pushed: by the clock, or as fast as they are delivered. Owner: its loop.
final class FanOutProducer: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    struct Plan: Sendable {
        var topic: String
        /// Keys to write in turn; empty for records without.
        var keys: [String]
        var records: Int64
        var recordBytes: Int
        var batchRecords: Int
        /// To how many connections each record goes.
        var audience: Int64
        /// Nil: as fast as they are delivered.
        var schedule: OpenLoopSchedule?
        /// Without a schedule, how many records the slowest half may be behind.
        var window: Int64
    }

    private let fanOut: FanOutLoad
    private let plan: Plan
    private var sent: Int64 = 0
    private var inFlight = 0
    private var received = ByteBuffer()
    private let padding: ByteBuffer

    /// `{"due":…,"pad":"~…"}` has so many bytes besides its padding.
    static let frameBytes = #"{"due":,"pad":"~"}"#.utf8.count + 19

    init(_ fanOut: FanOutLoad, _ plan: Plan) {
        self.fanOut = fanOut
        self.plan = plan
        self.padding = ByteBuffer(
            repeating: UInt8(ascii: "x"), count: max(0, plan.recordBytes - Self.frameBytes))
    }

    /// The connection is up: see ``LoadLoop/begin(on:_:)``.
    func handlerAdded(context: ChannelHandlerContext) {
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        if self.plan.schedule == nil { self.fanOut.progress = { bound.value.0.sendDue(bound.value.1) } }
        self.tick(context)
    }

    func handlerRemoved(context: ChannelHandlerContext) { self.fanOut.progress = nil }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        self.received.writeImmutableBuffer(self.unwrapInboundIn(data))
        do {
            while let frame = try Frame.next(from: &self.received) {
                let answer = try Frame.decode(ProduceResponse.self, from: frame, version: ProduceFrames.version)
                let code = answer.response.responses.first?.partitionResponses.first?.errorCode ?? .unknownServerError
                if code != .none { self.fanOut.lost("\(code)") }
                self.inFlight -= 1
            }
        } catch {
            self.fanOut.lost("an answer that is none: \(error)")
            context.close(promise: nil)
        }
        self.received.discardReadBytes()
    }

    func channelReadComplete(context: ChannelHandlerContext) { self.sendDue(context) }

    func channelInactive(context: ChannelHandlerContext) {
        if self.sent < self.plan.records || self.inFlight > 0 { self.fanOut.lost("the broker closed the connection") }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        self.fanOut.lost("\(error)")
        context.close(promise: nil)
    }

    /// With a schedule: sends what is due, then sleeps until the next is.
    private func tick(_ context: ChannelHandlerContext) {
        self.sendDue(context)
        guard let schedule = self.plan.schedule, self.sent < self.plan.records, context.channel.isActive else { return }
        let due = schedule.due(max(self.sent, schedule.count(at: .now)))
        context.eventLoop.assumeIsolated().scheduleTask(deadline: .uptimeNanoseconds(due.nanoseconds)) {
            self.tick(context)
        }
    }

    private func sendDue(_ context: ChannelHandlerContext) {
        let now = Instant.now
        let due: Int64
        if let schedule = self.plan.schedule {
            due = schedule.count(at: now)
        } else {
            due = self.fanOut.load.records / self.plan.audience + self.plan.window
        }
        var isWritten = false
        while self.inFlight < 64 {
            let count = min(Int64(self.plan.batchRecords), min(due, self.plan.records) - self.sent)
            // Without a schedule, whole batches only.
            guard count > 0, self.plan.schedule != nil || count == min(Int64(self.plan.batchRecords), self.left) else {
                break
            }
            self.send(Int(count), now, context)
            isWritten = true
        }
        if isWritten { context.flush() }
    }

    private var left: Int64 { self.plan.records - self.sent }

    private func send(_ count: Int, _ now: Instant, _ context: ChannelHandlerContext) {
        if self.sent == 0 { self.fanOut.load.startCounting() }
        var builder = RecordBatchBuilder(byteCountHint: count * (self.plan.recordBytes + 32))
        let wall = Timestamp.now.rawValue
        for _ in 0..<count {
            let due = (self.plan.schedule?.due(self.sent) ?? now).nanoseconds
            let digits = String(due)
            var value = ByteBuffer()
            value.reserveCapacity(self.plan.recordBytes)
            // A number has no leading zeros; the blanks in front are JSON's.
            value.writeString(#"{"due":"#)
            value.writeString(digits)
            value.writeRepeatingByte(UInt8(ascii: " "), count: max(0, 19 - digits.utf8.count))
            value.writeString(#","pad":"~"#)
            value.writeImmutableBuffer(self.padding)
            value.writeString(#""}"#)
            let key = self.plan.keys.isEmpty ? nil : self.plan.keys[Int(self.sent % Int64(self.plan.keys.count))]
            builder.append(key: key.map { ByteBuffer(string: $0) }, value: value, timestamp: wall)
            self.sent += 1
        }
        var partition = ProduceRequest.PartitionData()
        partition.records = WireRecords(builder.finish())
        var topic = ProduceRequest.TopicData()
        topic.name = self.plan.topic
        topic.partitionData = [partition]
        var request = ProduceRequest()
        request.acks = -1
        request.timeoutMs = 30_000
        request.topicData = [topic]
        self.inFlight += 1
        let frame = Frame.encode(request, version: ProduceFrames.version, correlationID: 0, clientID: "apus-bench")
        for part in frame { context.write(self.wrapOutboundOut(part), promise: nil) }
    }
}
