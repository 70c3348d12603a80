import ApusCore

/// Names of the topics that changed lately, so that a group learns of them when it is next spoken to, and a change
/// costs nothing for the groups that it does not concern. Owner: `ConsumerGroups`.
struct TopicJournal: Sendable {
    /// What changed since some place in the journal.
    enum Changes: Hashable, Sendable {
        case these(ArraySlice<String>)
        /// More than was kept: anything may have changed.
        case anything

        var isNothing: Bool { if case .these(let names) = self { names.isEmpty } else { false } }
    }

    private var names: [String] = []
    /// The place of `names`' first.
    private var start = 0

    /// The place behind the last change.
    var end: Int { self.start + self.names.count }

    mutating func append(_ names: some Sequence<String>) {
        self.names += names
        // Half goes at once, so that nothing is moved more than once on average.
        guard self.names.count > 2 * Limits.topicChangesKept else { return }
        let excess = self.names.count - Limits.topicChangesKept
        self.names.removeFirst(excess)
        self.start += excess
    }

    /// Anything may have changed, for every group.
    mutating func forget() {
        self.start = self.end + 1
        self.names = []
    }

    func since(_ place: Int?) -> Changes {
        guard let place, place >= self.start, place <= self.end else { return .anything }
        return .these(self.names[(place - self.start)...])
    }
}
