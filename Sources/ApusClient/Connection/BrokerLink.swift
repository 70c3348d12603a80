import ApusCore
import NIOCore

/// The way to one broker: a connection that is made when it is needed, and again after it was lost, with growing waits.
///
/// Owner: the client's event loop; that is the proof behind `@unchecked Sendable`.
final class BrokerLink: @unchecked Sendable {
    private enum State {
        case idle
        case connecting
        case ready(BrokerConnection)
        case closed
    }

    let peer: BrokerPeer
    private let configuration: ClientConfiguration
    private let environment: ClientEnvironment
    private let backoff: Backoff
    private var state = State.idle
    private var waiting: [(Result<BrokerConnection, ApusError>) -> Void] = []
    private var failures = 0
    private var notBefore = Instant(nanoseconds: 0)
    private var lastError: ApusError?
    private var connecting: BrokerConnection?

    init(to peer: BrokerPeer, configuration: ClientConfiguration, environment: ClientEnvironment) {
        self.peer = peer
        self.configuration = configuration
        self.environment = environment
        self.backoff = Backoff(base: configuration.retryBackoff, limit: configuration.retryBackoffMax)
    }

    /// The connection, if there is one now.
    var connection: BrokerConnection? {
        if case .ready(let connection) = self.state { return connection }
        return nil
    }

    /// When the next attempt may be made.
    var retryAt: Instant { self.notBefore }

    /// Answers with the connection, or with why there is none. While the wait after a failure lasts, at once with that.
    func whenReady(_ then: @escaping (Result<BrokerConnection, ApusError>) -> Void) {
        self.environment.loop.preconditionInEventLoop()
        switch self.state {
        case .ready(let connection): then(.success(connection))
        case .connecting: self.waiting.append(then)
        case .closed: then(.failure(ApusError(.closed, "the client was closed")))
        case .idle:
            let now = Instant(self.environment.loop.now)
            if now < self.notBefore, let lastError { return then(.failure(lastError)) }
            self.waiting.append(then)
            self.connect(at: now)
        }
    }

    private func connect(at now: Instant) {
        self.state = .connecting
        let connection = BrokerConnection(
            to: self.peer, clientID: self.configuration.clientID,
            responseBytesMax: self.configuration.responseBytesMax, on: self.environment.loop,
            readyBy: now.advanced(by: self.configuration.connectTimeout),
            login: BrokerLogin(self.configuration, self.environment),
            onReady: { [weak self] result in self?.settled(result) },
            onClosed: { [weak self] error in self?.lost(error) }
        )
        self.connecting = connection
        self.environment.connect(self.peer.address, connection).whenFailure { [weak self] error in
            guard let self else { return }
            if let error = error as? ApusError { return self.settled(.failure(error)) }
            self.settled(
                .failure(
                    ApusError(
                        .unreachable, "no connection", isRetryable: true, broker: "\(self.peer.address)",
                        brokerID: self.peer.id, cause: error)))
        }
    }

    private func settled(_ result: Result<Void, ApusError>) {
        guard case .connecting = self.state, let connection = self.connecting.take() else { return }
        let waiting = self.waiting
        self.waiting = []
        switch result {
        case .success:
            self.state = .ready(connection)
            self.failures = 0
            self.lastError = nil
            for then in waiting { then(.success(connection)) }
        case .failure(let error):
            self.state = .idle
            // Whatever happened, no request of a caller was sent.
            self.failed(error.unsent)
            for then in waiting { then(.failure(error.unsent)) }
        }
    }

    private func lost(_ error: ApusError) {
        guard case .ready = self.state else { return }
        self.state = .idle
        self.failed(error.unsent)
    }

    private func failed(_ error: ApusError) {
        self.failures += 1
        self.lastError = error
        let wait = self.backoff.wait(afterFailures: self.failures, chance: self.environment.randomness.next())
        self.notBefore = Instant(self.environment.loop.now).advanced(by: wait)
    }

    func close() {
        let state = self.state
        self.state = .closed
        let waiting = self.waiting
        self.waiting = []
        if case .ready(let connection) = state { connection.close() }
        self.connecting.take()?.close()
        for then in waiting { then(.failure(ApusError(.closed, "the client was closed"))) }
    }
}
