package import ApusBroker
public import ApusCore
import ApusSystem
public import Logging
import Synchronization

/// A broker that runs inside this process: the whole of Apus, on real disks, clocks and sockets.
///
///     let server = try await ApusServer.start(ServerConfiguration(dataDirectory: "./data"), logger: logger)
///     print(server.kafka)
///     …
///     await server.shutdown()
///
/// It handles no signals and installs no logging: those are the process's. Owner of everything a broker runs on: event
/// loops, disk threads, coordinator store, data directory.
public final class ApusServer: Sendable {
    /// Where Kafka clients connect: the address that was bound, with the real port.
    public let kafka: ServerAddress
    /// Where clients of HTTP connect; nil: nowhere.
    public let http: ServerAddress?
    public let clusterID: String
    public let brokerID: BrokerID
    /// What was found at the start, and how long that took.
    public let recovery: RecoveryReport
    /// The verbs of the broker, without a socket between.
    package let broker: Broker

    private enum State {
        case running(ServerParts)
        case stopping([CheckedContinuation<Bool, Never>])
        case stopped(wasClean: Bool)
    }

    private let state: Mutex<State>

    private init(_ parts: ServerParts, _ started: ServerParts.Started) {
        self.kafka = started.kafka
        self.http = started.http
        self.clusterID = started.broker.identity.clusterID
        self.brokerID = started.broker.identity.brokerID
        self.recovery = started.recovery
        self.broker = started.broker
        self.state = Mutex(.running(parts))
    }

    /// Opens the data directory, recovers what is in it, and listens. When this answers, clients are served.
    ///
    /// A start that is refused changes nothing in the data directory and leaves nothing running.
    public static func start(
        _ configuration: ServerConfiguration = ServerConfiguration(), logger: Logger
    ) async throws(ServerError) -> ApusServer {
        var parts = ServerParts(logger: logger)
        do throws(ServerError) {
            let started = try await parts.start(configuration)
            return ApusServer(parts, started)
        } catch {
            logger.debug("not started", metadata: ["code": "\(error.code)", "error": "\(error.message)"])
            _ = await parts.stop(within: .zero)
            throw error
        }
    }

    /// Takes no more work, answers what is under way, closes every log, and lets the data directory go. Answers whether
    /// all of that went well; what did not is in the log. Called again, it answers the same.
    @discardableResult
    public func shutdown() async -> Bool {
        let parts = self.state.withLock { state -> ServerParts? in
            guard case .running(let parts) = state else { return nil }
            state = .stopping([])
            return parts
        }
        guard var parts else { return await self.stopped() }
        let wasClean = await parts.stop(within: nil)
        let waiting = self.state.withLock { state in
            defer { state = .stopped(wasClean: wasClean) }
            if case .stopping(let waiting) = state { return waiting }
            return []
        }
        for continuation in waiting { continuation.resume(returning: wasClean) }
        return wasClean
    }

    /// Reads the files and fetches the keys behind TLS and logins again now. Changed files are read anyway, some
    /// seconds after they changed. What can not be read leaves what there was in use.
    public func reload() {
        self.state.withLock { state in
            if case .running(let parts) = state { parts.reload() }
        }
    }

    /// Nobody has begun to stop it.
    var isRunning: Bool {
        self.state.withLock { state in
            guard case .running = state else { return false }
            return true
        }
    }

    /// Waits for the shutdown that somebody else has begun.
    private func stopped() async -> Bool {
        await withCheckedContinuation { continuation in
            let answer = self.state.withLock { state -> Bool? in
                switch state {
                case .stopped(let wasClean): return wasClean
                case .stopping(let waiting):
                    state = .stopping(waiting + [continuation])
                    return nil
                case .running: preconditionFailure("nobody has begun to stop")
                }
            }
            if let answer { continuation.resume(returning: answer) }
        }
    }
}

/// What a start found: for the banner, and for those who restart a broker and wait.
public struct RecoveryReport: Hashable, Sendable {
    /// The data directory was made by this start.
    public var isNew: Bool
    /// The last run stopped cleanly.
    public var wasClean: Bool
    public var topics: Int
    public var partitions: Int
    /// Acknowledged bytes that only the journal held, put back into their files.
    public var bytesReplayed: ByteCount
    /// From the start until the first client could connect.
    public var duration: Duration
}
