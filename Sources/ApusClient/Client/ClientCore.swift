import ApusCore
import KafkaWire
import NIOCore

/// Who wants to hear that something is known of the cluster that was not before, or that the client is closed.
protocol ClusterObserver: AnyObject {
    func clusterChanged()
    func clientClosed(_ error: ApusError)
}

/// The client's inside: the connections, what is known of the cluster, and who waits for what.
///
/// Owner of all that: one event loop. Every function without `async` must be called there; that is the proof behind
/// `@unchecked Sendable`. Those with `async` may be called from anywhere.
final class ClientCore: @unchecked Sendable {
    /// A broker, by what is known of it.
    enum Node: Hashable, Sendable {
        case broker(BrokerID)
        /// One of the configuration's servers: which broker it is does not matter.
        case server(ServerAddress)
        /// Whichever can be reached.
        case any
    }

    /// What a connection is for. A broker answers the requests of one connection one after another, so what may wait
    /// long has its own.
    enum Purpose: Hashable, Sendable {
        case control
        case produce
        /// One reader's.
        case fetch(Int)
        /// One group member's.
        case group(Int)
    }

    struct LinkKey: Hashable {
        var node: Node
        var purpose: Purpose
    }

    struct TopicWait {
        var topics: [String]
        var deadline: Instant
        var startedAt: Instant
        var then: (Result<Void, ApusError>) -> Void
    }

    let configuration: ClientConfiguration
    let environment: ClientEnvironment
    let servers: [ServerAddress]
    var loop: any EventLoop { self.environment.loop }
    var now: Instant { Instant(self.loop.now) }

    var metadata = MetadataCache()
    var schedule: MetadataSchedule
    var waits: [TopicWait] = []
    /// Topics that somebody works with: asked for with every refresh.
    var interest: Set<String> = []
    var lastMetadataError: ApusError?
    var learnedAt: Instant?
    /// Who said so.
    var learnedFrom: BrokerPeer?
    var isTicking = false
    private var links: [LinkKey: BrokerLink] = [:]
    private var observers: [ObjectIdentifier: any ClusterObserver] = [:]
    private var readersStarted = 0
    private(set) var isClosed = false
    private var closeWaiters: [Waiter] = []
    /// Where the turn through the servers starts: clients of one configuration do not all ask the first.
    let serverFirst: Int

    init(_ configuration: ClientConfiguration, environment: ClientEnvironment) {
        self.configuration = configuration
        self.environment = environment
        self.servers = configuration.servers.compactMap { ServerAddress($0) }
        self.schedule = MetadataSchedule(
            backoff: Backoff(base: configuration.retryBackoff, limit: configuration.retryBackoffMax))
        self.serverFirst = Int(environment.randomness.next() % UInt64(max(self.servers.count, 1)))
    }

    // MARK: Links

    func link(to node: Node, for purpose: Purpose = .control) -> BrokerLink? {
        let key = LinkKey(node: node, purpose: purpose)
        guard !self.isClosed, let address = self.address(of: node) else { return nil }
        if let link = self.links[key] {
            if link.peer.address == address { return link }
            // The broker moved.
            link.close()
        }
        let link = BrokerLink(
            to: self.peer(node, at: address), configuration: self.configuration, environment: self.environment)
        self.links[key] = link
        return link
    }

    private func address(of node: Node) -> ServerAddress? {
        switch node {
        case .broker(let id): self.metadata.address(of: id)
        case .server(let address): address
        case .any: nil
        }
    }

    private func peer(_ node: Node, at address: ServerAddress) -> BrokerPeer {
        if case .broker(let id) = node { return BrokerPeer(id: id, address: address) }
        return BrokerPeer(id: self.metadata.broker(at: address), address: address)
    }

    /// A connection of a reader that ended is not needed again.
    func closeLinks(for purpose: Purpose) {
        for (key, link) in self.links where key.purpose == purpose {
            link.close()
            self.links[key] = nil
        }
    }

    /// Brokers are known: what was asked of the configuration's servers was asked.
    func closeServerLinks() {
        guard !self.metadata.brokers.isEmpty else { return }
        for (key, link) in self.links {
            guard case .server = key.node else { continue }
            link.close()
            self.links[key] = nil
        }
    }

    /// Connections to brokers, whatever for.
    var brokerLinks: [(broker: BrokerID, isConnected: Bool)] {
        self.links.compactMap { key, link in
            guard case .broker(let id) = key.node else { return nil }
            return (id, link.connection != nil)
        }
    }

    func nextReader() -> Int {
        self.readersStarted += 1
        return self.readersStarted
    }

    /// A node that can be asked anything: one that is connected, else each in turn.
    func anyNode(attempt: Int) -> Node? {
        let brokers = self.metadata.brokers.keys.sorted().map { Node.broker($0) }
        if attempt == 0 {
            let ready = brokers.first { self.links[LinkKey(node: $0, purpose: .control)]?.connection != nil }
            if let ready { return ready }
        }
        let servers = self.servers.indices.map {
            Node.server(self.servers[($0 + self.serverFirst) % self.servers.count])
        }
        let all = brokers + servers
        return all.isEmpty ? nil : all[attempt % all.count]
    }

    // MARK: Calls

    /// Sends a request and answers exactly once.
    /// - Parameter timeout: nil for the configuration's.
    func call<Request: KafkaRequest>(
        _ request: Request, to node: Node, for purpose: Purpose = .control, upTo limit: Int16 = .max,
        timeout: Duration? = nil, then: @escaping (Result<BrokerAnswer<Request.Response>, ApusError>) -> Void
    ) {
        self.loop.preconditionInEventLoop()
        guard !self.isClosed else { return then(.failure(Self.closedError)) }
        guard let node = node == .any ? self.anyNode(attempt: 0) : node, let link = self.link(to: node, for: purpose)
        else {
            return then(.failure(ApusError(.unreachable, "no broker is known for this request", isRetryable: true)))
        }
        link.whenReady { [self] result in
            switch result {
            case .failure(let error): then(.failure(error))
            case .success(let connection):
                let deadline = self.now.advanced(by: timeout ?? self.configuration.requestTimeout)
                connection.send(request, upTo: limit, deadline: deadline) { result in
                    var peer = connection.peer
                    if peer.id == nil { peer.id = self.metadata.broker(at: peer.address) }
                    then(result.map { BrokerAnswer(response: $0, peer: peer) })
                }
                connection.flush()
            }
        }
    }

    // MARK: Observers and the end

    func observe(_ observer: any ClusterObserver) {
        self.observers[ObjectIdentifier(observer)] = observer
    }

    func forget(_ observer: any ClusterObserver) {
        self.observers[ObjectIdentifier(observer)] = nil
    }

    var isObserved: Bool { !self.observers.isEmpty }

    func tellObservers() {
        for observer in self.observers.values { observer.clusterChanged() }
    }

    static let closedError = ApusError(.closed, "the client was closed")

    func close() {
        self.loop.preconditionInEventLoop()
        guard !self.isClosed else { return }
        self.isClosed = true
        let observers = self.observers.values
        self.observers = [:]
        for observer in observers { observer.clientClosed(Self.closedError) }
        for link in self.links.values { link.close() }
        self.links = [:]
        let waits = self.waits
        self.waits = []
        for wait in waits { wait.then(.failure(Self.closedError)) }
        let closeWaiters = self.closeWaiters
        self.closeWaiters = []
        for waiter in closeWaiters { waiter.wake() }
    }

    /// Wakes the waiter when the client is closed.
    func whenClosed(_ waiter: Waiter) {
        self.loop.preconditionInEventLoop()
        if self.isClosed { waiter.wake() } else { self.closeWaiters.append(waiter) }
    }
}
