/// Topics of the system's own. Other names that begin with two underscores belong to whoever makes them: some tools do.
package enum InternalTopic {
    /// Positions and members of consumer groups, as with Kafka.
    package static let offsets = "__consumer_offsets"
    package static let transactions = "__transaction_state"
    package static let queues = "__share_group_state"
    /// Who is in which channel of the endpoint servers.
    package static let presence = "__presence"
    /// Who logged in, was denied, or changed something.
    package static let audit = "__apus_audit"
    /// All others of ours begin so.
    private static let prefix = "__apus_"

    package static func isOne(_ name: String) -> Bool {
        guard name.utf8.starts(with: "__".utf8) else { return false }
        return name == self.offsets || name == self.transactions || name == self.queues || name == self.presence
            || name.hasPrefix(self.prefix)
    }
}
