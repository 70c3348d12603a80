import ApusCommand
import ApusCore
import Histogram
import NIOCore
import NIOPosix

/// The one event loop that makes the load, and what is measured on it. Touched on that loop only.
///
/// `@unchecked Sendable`: every method that touches the state runs on `loop`, which `preconditionInEventLoop` proves
/// where a stranger could come in.
final class LoadLoop: @unchecked Sendable {
    let loop: any EventLoop
    /// Whether what comes back now counts: not in the warm-up, not after the end.
    private(set) var isCounting = false
    /// Whether new requests may be sent.
    private(set) var isSending = true
    private var began = Instant.now
    private var ended = Instant.now
    private var brokerBegan: Duration?
    private var brokerEnded: Duration?
    private let brokerTime: () -> Duration?

    var records: Int64 = 0
    var bytes: Int64 = 0
    var errors: Int64 = 0
    var firstError: String?
    /// 1 µs to 2 minutes, in nanoseconds, three digits.
    var latency = Histogram<UInt64>(
        lowestDiscernibleValue: 1, highestTrackableValue: 120_000_000_000, numberOfSignificantValueDigits: .three)

    init(loop: any EventLoop, brokerTime: @escaping () -> Duration?) {
        self.loop = loop
        self.brokerTime = brokerTime
    }

    func startCounting() {
        self.loop.preconditionInEventLoop()
        self.brokerBegan = self.brokerTime()
        self.began = .now
        self.isCounting = true
    }

    /// Stops sending and counting; answers that are still to come are waited for, not counted.
    func stop() {
        self.loop.preconditionInEventLoop()
        self.isSending = false
        guard self.isCounting else { return }
        self.isCounting = false
        self.ended = .now
        self.brokerEnded = self.brokerTime()
    }

    func fail(_ message: String) {
        self.errors += 1
        if self.firstError == nil { self.firstError = message }
    }

    func report(_ verb: String) -> BenchReport {
        var report = BenchReport(
            verb: verb, records: self.records, bytes: .bytes(Int(self.bytes)), elapsed: self.ended.since(self.began))
        report.latency = self.latency
        report.errors = self.errors
        if let began = self.brokerBegan, let ended = self.brokerEnded { report.brokerTime = ended - began }
        return report
    }

    /// Runs `body` with a loop of its own thread.
    static func run(
        brokerTime: @escaping @Sendable () -> Duration?, _ body: (LoadLoop) async throws -> BenchReport
    ) async throws -> BenchReport {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let load = LoadLoop(loop: group.any(), brokerTime: brokerTime)
        do {
            let report = try await body(load)
            try await group.shutdownGracefully()
            if let error = load.firstError { StandardError.write("apus: first error: \(error)\n") }
            return report
        } catch {
            try await group.shutdownGracefully()
            throw error
        }
    }

    /// Connects with large, reused read buffers; `handler` is made on the loop.
    func connect(
        to address: HostPort, readBytes: Int, _ handler: @escaping @Sendable () -> any ChannelHandler
    ) async throws -> any Channel {
        do {
            return try await ClientBootstrap(group: self.loop)
                .channelOption(.tcpOption(.tcp_nodelay), value: 1)
                .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: readBytes))
                .channelOption(.maxMessagesPerRead, value: 4)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(handler())
                    }
                }
                .connect(host: address.host, port: address.port).get()
        } catch {
            throw CommandFailure(
                .unreachable, code: "unreachable", "no broker answers at \(address) (\(error))",
                next: "start one with apus serve, or name another with --server HOST:PORT")
        }
    }
}
