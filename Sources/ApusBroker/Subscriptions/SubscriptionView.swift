package import ApusCore
package import ApusSubscriptions

/// What a broker knows of subscriptions at one moment: a value, handed to every thread that asks.
package struct SubscriptionView: Sendable {
    /// What the index is worth.
    package enum Knowledge: Hashable, Sendable {
        /// There is no catalogue: nobody asks for anything, topics keep what they say themselves.
        case noCatalogue
        /// The catalogue could not be read since the start, for this reason; nil: it is being read. Subscriptions
        /// there may be, so nothing goes that one of them might hold, and no window restricts anybody.
        case unread(CatalogueError?)
        /// The index is what the catalogue says, or said when it could last be asked.
        case read
    }

    package internal(set) var knowledge: Knowledge
    package internal(set) var index = SubscriptionIndex()
    /// Grows with every change; what was derived of another generation is to be derived again.
    package internal(set) var generation: UInt64 = 1

    /// Whether some subscription states a period: only who states one is restricted, or makes bytes remain that others
    /// may not read.
    package func isWindowed(_ topic: String) -> Bool {
        self.knowledge == .read && self.index.widest(of: topic).stated != nil
    }

    /// How long a topic's records stay on the disk; nil: for ever.
    ///
    /// Where records may be freed by reading, age alone frees only what is beyond every reader's reach.
    func retention(of topic: String, _ policy: RetentionPolicy) -> Duration? {
        switch self.knowledge {
        case .noCatalogue: return policy.floor
        case .unread: return policy.reach
        case .read: return policy.mode == .consumed ? policy.reach : self.index.retention(of: topic, policy)
        }
    }
}
