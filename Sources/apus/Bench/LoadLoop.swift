import ApusClient
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

    /// A connection that is ready for a load, TLS and login behind it, with large, reused read buffers.
    func connect(_ apus: ApusClient, to address: HostPort, readBytes: Int) async throws -> any Channel {
        let channel = try await apus.bareConnection(to: address.host, port: address.port, on: self.loop).get()
        try await channel.setOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: readBytes)).get()
        try await channel.setOption(.maxMessagesPerRead, value: 4).get()
        return channel
    }

    /// Gives the connections to their loads, which begin at once, all in one go.
    /// - Parameter handler: makes the load of the connection with this place in the list, on the loop. The load keeps
    ///   its promise when it has done what it should, or its connection is gone.
    /// - Returns: is kept when all of them are.
    func begin(
        on channels: [any Channel],
        _ handler: @escaping @Sendable (_ index: Int, _ finished: EventLoopPromise<Void>) -> any ChannelHandler
    ) async throws -> EventLoopFuture<Void> {
        let promises = channels.map { _ in self.loop.makePromise(of: Void.self) }
        do {
            try await self.loop.submit {
                for (index, channel) in channels.enumerated() {
                    try channel.pipeline.syncOperations.addHandler(handler(index, promises[index]))
                }
            }.get()
        } catch {
            for promise in promises { promise.fail(error) }
            throw error
        }
        return EventLoopFuture.andAllComplete(promises.map(\.futureResult), on: self.loop)
    }
}
