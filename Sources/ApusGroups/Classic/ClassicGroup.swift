package import ApusCore
package import NIOCore

/// A consumer group of the classic protocol: who its members are, and which generation of them is at work.
///
/// A generation begins when members come (or go): all are asked to join again (*preparing*), and when all have, or
/// their time is up, a new generation is made of those who did. One of them, the leader, is told what all of them know
/// (*completing*), decides who gets what, and hands it in; then everybody's assignment is given out (*stable*).
///
///     empty ──join──▶ preparing ──all joined, or late──▶ completing ──leader's sync, written──▶ stable
///       ▲                │ ▲                                 │                                    │
///       └────nobody left─┘ └──────── join, leave, silence ◀──┴────────────────────────────────────┘
///
/// What the group must not forget is its ``image``: a generation's members with their assignments. It is written when a
/// leader has assigned, *before* anybody gets its assignment; so a generation that somebody works in is known to every
/// later coordinator, and no two sets of owners share its number. All else (who is joining, whose session ends when) is
/// asked for again by the next coordinator, and costs one rebalance at most.
///
/// Owner: the coordinator of its partition of `__consumer_offsets`. Requests and time go in; answers, writes and
/// ``deadline`` come out.
package struct ClassicGroup: Sendable {
    enum Phase: Hashable, Sendable {
        case empty
        /// Members are asked to join (again).
        case preparing(InitialDelay?)
        /// Members know their generation and wait for what the leader assigns. `isWriting`: it has.
        case completing(isWriting: Bool)
        case stable
        /// A tombstone is on its way.
        case dead
    }

    /// An empty group waits a little for more members after its first, and a little longer when some come.
    struct InitialDelay: Hashable, Sendable {
        /// How much longer it may wait after this time.
        var remaining: Duration
        var hasNewMember = false
    }

    enum Timer: Hashable, Sendable {
        /// A member's session, or that of a name that was given and not come back.
        case session(MemberID)
        /// The end of joining.
        case join
        /// By then, every member of the generation has asked for its assignment.
        case sync
        /// That nobody is left could not be written: another try.
        case emptied
    }

    package let id: GroupID
    let settings: GroupSettings

    /// What is written. Changed by ``apply(_:)`` only.
    package private(set) var image: ClassicImage?
    /// Writes that were asked for and are not done.
    var writesUnderWay = 0
    /// When the last member went; nil while there are members. What is written may not say so yet.
    package internal(set) var emptySince: Timestamp?

    var phase = Phase.empty
    package internal(set) var generation = Generation.zero
    var protocolType: String?
    var protocolName: String?
    var leader: MemberID?
    var members: [MemberID: ClassicMember] = [:]
    var instances: [InstanceID: MemberID] = [:]
    /// Names that were given (KIP-394) and have not been used yet.
    var pending: Set<MemberID> = []
    /// How many members know a protocol.
    var protocolCounts: [String: Int] = [:]
    /// Members with an unanswered join.
    var joiningCount = 0
    /// See `GroupSettings.stateBytesMax`.
    var stateBytes = 0
    /// Numbers members in the order in which they came.
    var orderNext: UInt64 = 0
    var deadlines = DeadlineQueue<Timer>()

    package init(id: GroupID, settings: GroupSettings) {
        self.id = id
        self.settings = settings
    }

    // MARK: What is written

    /// Takes in what was written. This alone changes what outlives the coordinator: live, when a write is done, and in
    /// the next coordinator, when it reads the record.
    package mutating func apply(_ image: ClassicImage?) {
        self.image = image
    }

    /// Makes the group alive from its image, when a coordinator has read all of its records. Every member has its whole
    /// session to be heard of.
    package mutating func recovered(at now: Moment) {
        precondition(self.members.isEmpty && self.phase == .empty, "a group is made alive once")
        guard let image = self.image else { return }
        self.generation = image.generation
        self.protocolType = image.protocolType
        self.protocolName = image.protocolName
        self.leader = image.leader
        for kept in image.members where self.members[kept.id] == nil {
            var member = ClassicMember(kept, protocolName: image.protocolName ?? "", order: self.orderNext)
            member.sessionTimeout = self.clamped(kept.sessionTimeout)
            self.orderNext += 1
            self.count(member, 1)
            self.members[member.id] = member
            if let instance = member.instance { self.instances[instance] = member.id }
            self.deadlines.set(.session(member.id), now.instant.advanced(by: member.sessionTimeout))
        }
        self.phase = self.members.isEmpty ? .empty : .stable
        if self.members.isEmpty, image.changedAt != .none { self.emptySince = image.changedAt }
    }

    private func clamped(_ timeout: Duration) -> Duration {
        min(max(timeout, self.settings.sessionTimeout.lowerBound), self.settings.sessionTimeout.upperBound)
    }

    /// A write is done; its image was applied before.
    package mutating func written(
        _ purpose: ClassicWritePurpose, at now: Moment, into actions: inout ClassicActions
    ) {
        self.writesUnderWay -= 1
        switch purpose {
        case .assignment(let generation):
            guard self.phase == .completing(isWriting: true), generation == self.generation else { return }
            self.assignmentWritten(into: &actions)
        case .replacement, .emptied, .deletion: break
        }
    }

    /// A write was refused. Nothing of it is there, nor will be.
    package mutating func writeFailed(
        _ purpose: ClassicWritePurpose, at now: Moment, into actions: inout ClassicActions
    ) {
        self.writesUnderWay -= 1
        switch purpose {
        case .assignment(let generation):
            guard self.phase == .completing(isWriting: true), generation == self.generation else { return }
            // The generation stands. Who asks again gets another try, who does not is late at some time.
            self.phase = .completing(isWriting: false)
            self.refuseSyncs(.unavailable, into: &actions)
        case .deletion:
            if self.phase == .dead { self.phase = .empty }
        case .emptied:
            self.deadlines.set(.emptied, now.instant.advanced(by: Limits.groupReloadPause.upperBound))
        case .replacement: break
        }
    }

    /// Another coordinator has the group now: who waits is told to look for it.
    package mutating func resign(into actions: inout ClassicActions) {
        self.refuseSyncs(.notCoordinator, into: &actions)
        for id in Array(self.members.keys) {
            guard let token = self.members[id]?.joining else { continue }
            self.members[id]?.joining = nil
            actions.refuseJoin(token, .notCoordinator, id)
        }
    }

    // MARK: What it looks like

    /// Nothing is here, and nothing is written: the group may be forgotten.
    package var isVoid: Bool {
        self.image == nil && self.writesUnderWay == 0 && self.members.isEmpty && self.pending.isEmpty
    }

    /// What the group takes of the memory, about.
    var bytesHeld: Int {
        Limits.memberMemory.rawValue * (1 + self.members.count + self.pending.count) + self.stateBytes
    }

    /// Whether nobody is a member.
    package var isEmpty: Bool { self.members.isEmpty }

    /// Nobody is here or about to be, and nothing is being written.
    var isIdle: Bool { self.members.isEmpty && self.pending.isEmpty && self.writesUnderWay == 0 }

    /// Before this time, nothing happens by itself; nil when never. May be early, is never late.
    package var deadline: Instant? { self.deadlines.earliest }

    /// Kafka's name of the state.
    package var stateName: String {
        switch self.phase {
        case .empty: "Empty"
        case .preparing: "PreparingRebalance"
        case .completing: "CompletingRebalance"
        case .stable: "Stable"
        case .dead: "Dead"
        }
    }

    package var description: ClassicDescription {
        let isStable = self.phase == .stable
        return ClassicDescription(
            state: self.stateName, protocolType: self.protocolType ?? self.image?.protocolType ?? "",
            protocolName: isStable ? self.protocolName ?? "" : "",
            members: self.membersInOrder.map { member in
                ClassicImage.Member(
                    id: member.id, instance: member.instance, client: member.client,
                    rebalanceTimeout: member.rebalanceTimeout, sessionTimeout: member.sessionTimeout,
                    subscription: isStable ? member.metadata(for: self.protocolName) : ByteBuffer(),
                    assignment: isStable ? member.assignment : ByteBuffer()
                )
            }
        )
    }

    /// What members told for the protocol that all of them know and, once there is a generation, use: the broker reads
    /// their topics from it.
    package var subscriptions: [ByteBuffer] {
        self.members.values.map { $0.metadata(for: self.protocolName ?? self.chosenProtocol) }
    }

    var membersInOrder: [ClassicMember] { self.members.values.sorted { $0.order < $1.order } }
}

/// A group as DescribeGroups shows it: what members told and got only while it is stable.
package struct ClassicDescription: Hashable, Sendable {
    package var state: String
    package var protocolType: String
    package var protocolName: String
    package var members: [ClassicImage.Member]
}
