package import NIOCore

/// The answer to a JoinGroup that a generation was made for.
package struct JoinedGroup: Hashable, Sendable {
    package struct Member: Hashable, Sendable {
        package var id: MemberID
        package var instance: InstanceID?
        package var metadata: ByteBuffer
    }

    package var generation: Generation
    package var protocolType: String
    package var protocolName: String
    package var leader: MemberID
    package var member: MemberID
    /// Set for a leader that must not assign anything: the assignment stands.
    package var skipAssignment: Bool
    /// For the leader; empty for the others.
    package var members: [Member]
}

/// A JoinGroup that was refused.
package struct JoinRefusal: Error, Hashable, Sendable {
    package var error: GroupError
    /// With ``GroupError/memberIDRequired`` the name to come again with, else the one that came.
    package var member: MemberID

    package init(error: GroupError, member: MemberID) {
        self.error = error
        self.member = member
    }
}

/// The answer to a SyncGroup.
package struct SyncedGroup: Hashable, Sendable {
    package var protocolType: String
    package var protocolName: String
    package var assignment: ByteBuffer
}

/// What LeaveGroup did about one member.
package struct LeaveResult: Hashable, Sendable {
    package var identity: MemberIdentity
    package var error: GroupError?

    package init(identity: MemberIdentity, error: GroupError?) {
        self.identity = identity
        self.error = error
    }
}

/// An answer on its way to the request that its token stands for.
package enum ClassicReply: Hashable, Sendable {
    case join(Result<JoinedGroup, JoinRefusal>)
    case sync(Result<SyncedGroup, GroupError>)
    case left([LeaveResult])

    /// The same request's answer when what it needed could not be written.
    func unwritten(_ error: GroupError) -> ClassicReply {
        switch self {
        case .join(.success(let joined)): .join(.failure(JoinRefusal(error: error, member: joined.member)))
        case .join(.failure), .sync(.failure): self
        case .sync(.success): .sync(.failure(error))
        case .left(let results):
            .left(results.map { LeaveResult(identity: $0.identity, error: $0.error ?? error) })
        }
    }
}

/// What a group wants done after it took in an event, in this order.
package struct ClassicActions: Sendable {
    /// A change of the group that must be written before anyone is told of it.
    package struct Write: Sendable {
        /// What the group shall hold then; nil for nothing, which deletes it.
        package var image: ClassicImage?
        package var purpose: ClassicWritePurpose
        /// What may be answered once it is written. Not before.
        package var replies: [(token: RequestToken, reply: ClassicReply)] = []
    }

    /// To be sent now.
    package var replies: [(token: RequestToken, reply: ClassicReply)] = []
    /// To be written, in this order.
    package var writes: [Write] = []

    package init() {}

    mutating func answer(_ token: RequestToken, _ reply: ClassicReply) {
        self.replies.append((token, reply))
    }

    mutating func refuseJoin(_ token: RequestToken, _ error: GroupError, _ member: MemberID) {
        self.answer(token, .join(.failure(JoinRefusal(error: error, member: member))))
    }
}

/// Why a group writes: what it does when it is told that the write is done.
package enum ClassicWritePurpose: Hashable, Sendable {
    /// The leader assigned: the generation begins to work.
    case assignment(Generation)
    /// A static member came back under another name.
    case replacement
    /// The last member went.
    case emptied
    /// Somebody deleted the group, or nobody needs it any more.
    case deletion
}
