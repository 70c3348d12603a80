package import ApusAccess
package import ApusBroker
package import ApusCore
package import NIOCore

/// Where the endpoint server's records come from and go to: a broker in this process, or brokers elsewhere.
///
/// All of it is asked on an event loop and answers on it, once, perhaps at once; nothing waits in a task. Rights are
/// those of the ``ClientContext`` that comes with a question: `embedded` is the endpoint server itself, which reads for
/// all clients and asks for the rights of each before it gives him anything.
package protocol EdgeUpstream: Sendable {
    // MARK: Topics

    /// The topic of that name; nil when there is none. Nobody's rights are asked.
    func topic(named name: String, on loop: any EventLoop, then: @escaping (Result<EdgeTopic?, BrokerError>) -> Void)

    /// Moves when ``topic(_:)`` may say something else.
    var topicsVersion: Int64 { get }

    /// A topic that is being read, as far as is known here without asking; nil: nothing is known of it just now.
    func topic(_ id: TopicID) -> EdgeTopic?

    func create(
        _ topic: TopicSpecification, client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable (Result<EdgeTopic, BrokerError>) -> Void)

    func deleteTopic(
        _ name: String, client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable (Result<Void, BrokerError>) -> Void)

    // MARK: Records

    /// Answers in the queries' order.
    func listOffsets(
        _ queries: [OffsetQuery], client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable ([Result<OffsetAnswer, BrokerError>]) -> Void)

    /// Reads whole batches, waiting for `limits.bytesMin` for at most `limits.waitMax`. Answers in the entries' order.
    /// One that is cancelled may or may not answer.
    @discardableResult
    func fetch(
        _ entries: [FetchEntry], limits: FetchLimits, client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable ([FetchResult]) -> Void
    ) -> any EdgeTicket

    /// Whether somebody may read less of the topic than there is, by a subscription's window: then what was read for
    /// one client is not given to another. Any thread.
    func isWindowed(_ topic: String) -> Bool

    /// - Parameter spread: any number; a record without a key and without a partition goes to the one that it names.
    func write(
        _ message: AddressedMessage, to topic: String, timeout: Duration, spread: UInt32, client: ClientContext,
        on loop: any EventLoop, then: @escaping @Sendable (Result<WrittenPlace, BrokerError>) -> Void)

    // MARK: Rights and quotas

    /// A client that has just logged in, or need not.
    /// - Parameter channels: what its token bounds it to.
    func client(_ principal: Principal, address: String, channels: ChannelGrants?) -> ClientContext

    /// Whether there is still this API key, by its id, as far as is known here. Asked once a second for each client
    /// that logged in with one.
    func holds(key id: String) -> Bool

    /// Moves when ``renew(_:)`` may change something.
    var rightsVersion: Int64 { get }

    /// Puts the rules of now in place of those of then. Asked before each operation, and within a second of a move of
    /// ``rightsVersion``.
    func renew(_ client: inout ClientContext)

    /// Counts what a client uses; nil where nobody counts.
    func meter(of client: ClientContext) -> QuotaMeter?
}

extension EdgeUpstream {
    /// Where everything is read as the endpoint server itself.
    package func isWindowed(_ topic: String) -> Bool { false }
}

/// A topic, as the endpoint server has to know it.
package struct EdgeTopic: Hashable, Sendable {
    package var id: TopicID
    package var name: String
    /// At least 1.
    package var partitionCount: Int
    /// Whether it is recorded who is in its channels, and what they confirm.
    package var keepsPresence = false
    package var keepsReceipts = false
    /// Of each key the newest record stays.
    package var isCompacted = false

    package init(id: TopicID, name: String, partitionCount: Int) {
        self.id = id
        self.name = name
        self.partitionCount = partitionCount
    }

    package func contains(_ partition: PartitionIndex) -> Bool {
        partition.rawValue >= 0 && Int(partition.rawValue) < self.partitionCount
    }
}

/// A fetch that waits. Any thread.
package protocol EdgeTicket: Sendable {
    /// Nobody wants its answer any more.
    func cancel()
}
