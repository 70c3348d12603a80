import ApusCore

/// How a member of a group behaves. Every option has a default.
public struct ConsumerOptions: Sendable {
    /// Where the group begins in partitions where it has no position.
    public enum Start: Hashable, Sendable {
        /// At the oldest record.
        case start
        /// Behind the newest record.
        case end
    }

    public var start: Start = .start
    /// How often what was processed is committed; nil to commit only when told to, when partitions go, and at the end.
    public var commitInterval: Duration? = .seconds(5)
    /// A member that was not heard of for so long is out. Brokers take 6 s to 30 min by default.
    public var sessionTimeout: Duration = .seconds(45)
    /// How often the coordinator hears of the member; well below a third of `sessionTimeout`.
    public var heartbeatInterval: Duration = .seconds(3)
    /// How long the others wait, when partitions are shared out anew, until the member is done with the batch it has.
    public var rebalanceTimeout: Duration = .seconds(300)
    /// A name under which the member comes back as the same after a restart (KIP-345); nil for none.
    public var instanceID: String?
    /// How records are fetched. A position that is no longer in the log goes where `start` says.
    public var reader = ReaderOptions()

    public init() {}

    func check(_ topics: [String], _ group: String) throws(ApusError) {
        guard !group.isEmpty else { throw ApusError(.invalidArgument, "a group has a name") }
        guard !topics.isEmpty else { throw ApusError(.invalidArgument, "no topics to consume", group: group) }
        guard self.heartbeatInterval > .zero, self.heartbeatInterval < self.sessionTimeout else {
            throw ApusError(.invalidArgument, "heartbeatInterval must be below sessionTimeout", group: group)
        }
    }
}
