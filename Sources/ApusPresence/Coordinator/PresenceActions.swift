/// The number of a write of the coordinator, in the order in which they must reach the log.
package struct PresenceWriteID: RawRepresentable, Hashable, Comparable, Sendable {
    package var rawValue: UInt64

    package init(rawValue: UInt64) { self.rawValue = rawValue }

    package static func < (left: PresenceWriteID, right: PresenceWriteID) -> Bool { left.rawValue < right.rawValue }
}

/// Records for `__presence`: one batch, all of it or nothing. They are applied already.
package struct PresenceWrite: Hashable, Sendable {
    package var id: PresenceWriteID
    package var records: [PresenceRecord]
}

/// Stands for a report that waits for its answer.
package struct PresenceToken: RawRepresentable, Hashable, Sendable {
    package var rawValue: UInt64

    package init(rawValue: UInt64) { self.rawValue = rawValue }
}

/// What a coordinator wants done after it took in an event.
package struct PresenceActions: Sendable {
    /// To be sent, each once.
    package var replies: [(token: PresenceToken, answer: Result<PresenceAnswer, PresenceError>)] = []
    /// To be appended in this order, and each to be told of with `written` or `failed`, in this order too.
    package var writes: [PresenceWrite] = []
    /// Set when what is in memory is ahead of the log and can not be taken back: the coordinator must `resign`, its
    /// writes must be dropped, and another be loaded from the records.
    package var isLost = false

    package init() {}
}
