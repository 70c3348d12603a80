/// The number of a write of a coordinator. Writes are numbered in the order in which they must reach the log.
package struct GroupWriteID: RawRepresentable, Hashable, Comparable, Sendable {
    package var rawValue: UInt64

    package init(rawValue: UInt64) { self.rawValue = rawValue }

    package static func < (left: GroupWriteID, right: GroupWriteID) -> Bool { left.rawValue < right.rawValue }
}

/// Records for the coordinator's partition: one batch, all of it or nothing.
package struct GroupWrite: Hashable, Sendable {
    package var id: GroupWriteID
    /// Positions and classic groups: applied when they are written.
    package var facts: [GroupFact]
    /// Consumer groups (KIP-848): applied already. They stand behind the facts.
    package var consumerRecords: [ConsumerGroupRecord] = []

    package var records: [GroupRecord] { self.facts.map(\.record) + self.consumerRecords.map(\.encoded) }
}

/// An answer on its way to the request that its token stands for.
package enum GroupReply: Hashable, Sendable {
    case classic(ClassicReply)
    /// ConsumerGroupHeartbeat.
    case consumer(Result<ConsumerGroupHeartbeatReply, GroupError>)
    /// One result for each part of the commit, in its order; nil for what is written.
    case committed([GroupError?])
    /// DeleteGroups; nil when the group is gone.
    case deleted(GroupError?)
    /// OffsetDelete: one result for each partition, in their order.
    case positionsDeleted([GroupError?])
    /// OffsetDelete: none of them.
    case positionsRefused(GroupError)

    /// The same request's answer when what it needed could not be written.
    func unwritten(_ error: GroupError) -> GroupReply {
        switch self {
        case .classic(let reply): .classic(reply.unwritten(error))
        case .consumer(.success): .consumer(.failure(error))
        case .consumer(.failure): self
        case .committed(let results): .committed(results.map { $0 ?? error })
        case .deleted(let result): .deleted(result ?? error)
        case .positionsDeleted(let results): .positionsDeleted(results.map { $0 ?? error })
        case .positionsRefused: self
        }
    }
}

/// What a coordinator wants done after it took in an event.
package struct GroupActions: Sendable {
    /// To be sent, each once.
    package var replies: [(token: RequestToken, reply: GroupReply)] = []
    /// To be appended in this order, and each to be told of with `written` or `failed`, in this order too.
    package var writes: [GroupWrite] = []
    /// To be done off the loop; each outcome comes back in `resolved`.
    package var patternWork: [PatternWork] = []
    /// Set when what is in memory is ahead of the partition and can not be taken back: the coordinator must `resign`,
    /// its writes must be dropped, and another be loaded from the records.
    package var isLost = false

    package init() {}
}
