package import ApusCore

/// One consumer group of the protocol in which the coordinator assigns (KIP-848).
///
/// Members only ever send heartbeats. When members, subscriptions or topics change, the group epoch grows; for each
/// group epoch a *target assignment* is computed once; and each member is led to its part of it in its own heartbeats:
/// first it is told what to give up, then, when it said that it did, it is given what is free. A partition is given
/// only when its former owner gave it up or is out of the group. So no one waits for the slowest member, and no
/// partition has two owners.
///
/// **Decide, persist, reply.** Each verb answers with records. They are applied here at once, and must become durable
/// in this order before any reply of this or a later decision leaves. If they cannot, the group in memory is ahead of
/// the disk: throw it away and build it from the records again. `apply` is the only code that changes what records
/// hold.
///
/// **Any prefix will do.** Records of one decision may be cut apart by a crash. They are ordered so that every prefix
/// leaves a group that finds its way: the group epoch grows before a member goes or comes, the assignment epoch is
/// written behind the whole target, and a member's new assignment behind that; and what a member has ends in front of
/// where another has it. `RandomizedGroupTests` cuts at any record.
///
/// Owner: `ConsumerGroups`, and so the coordinator of one partition of `__consumer_offsets`.
package struct ConsumerGroup: Sendable {
    package let id: GroupID

    // MARK: Durable, changed by `apply` only

    /// The group epoch; nil while no record says that the group is there.
    package internal(set) var epoch: GroupEpoch?
    package internal(set) var metadataHash: Int64 = 0
    package internal(set) var assignmentEpoch: GroupEpoch = .join
    package internal(set) var members: [MemberID: ConsumerMember] = [:]
    var targets: [MemberID: PartitionSet] = [:]
    var patterns: [String: ConsumerGroupRecord.ResolvedPattern] = [:]

    // MARK: Follows from it

    /// Static members by their instance id.
    var instances: [InstanceID: MemberID] = [:]
    /// Who has each partition, or was told to give it up and did not yet.
    var owners: [TopicPartition: MemberID] = [:]
    var subscriptions = SubscriptionTable()
    /// Each member's place in `subscriptions`.
    var subscriptionOf: [MemberID: Int] = [:]
    /// What members, targets and patterns take of the memory, about, in bytes.
    var stateBytes = 0

    // MARK: For this life of the coordinator

    /// How far the group has read the journal of topic changes; nil when it must look at all its topics.
    var journalRead: Int?
    /// The rights by which patterns were looked up last; nil when they must be looked up again.
    var rightsRead: Int64?
    /// Members or subscriptions changed, and the group epoch did not grow yet.
    var isChanged = false
    /// A topic of the group may have changed.
    var topicsMayDiffer = true
    /// Patterns to hold against all topics.
    var patternsPending: Set<String> = []
    /// Patterns that somebody holds against all topics off the loop; true when that will be out of date.
    var patternsUnderWay: [String: Bool] = [:]
    /// Patterns that match more topics than a record holds, and go on to stand for what they did before.
    var patternsTooLarge: Set<String> = []
    /// A member's part of the target would be more than a record holds: the one before stays.
    var isTargetTooLarge = false
    /// Compiled.
    var compiled: [String: TopicRegex] = [:]
    /// When the group epoch grew last.
    var changedAt: Instant?
    /// No target assignment is computed before.
    var assignmentNotBefore: Instant?
    /// The group's topics are not looked through before.
    var lookNotBefore: Instant?
    /// No session and no time for a revocation ends before.
    package internal(set) var checkAt: Instant?

    package init(id: GroupID) { self.id = id }

    package enum State: String, Hashable, Sendable {
        case empty = "Empty"
        /// The target assignment is not that of the group epoch yet.
        case assigning = "Assigning"
        /// Members are on their way.
        case reconciling = "Reconciling"
        case stable = "Stable"
    }

    package var state: State {
        guard !self.members.isEmpty else { return .empty }
        guard self.assignmentEpoch == self.epoch else { return .assigning }
        return self.members.values.allSatisfy { self.isSettled($0) } ? .stable : .reconciling
    }

    package var isEmpty: Bool { self.members.isEmpty }

    /// What the group takes of the memory, about.
    var bytesHeld: Int { Limits.memberMemory.rawValue + self.stateBytes + self.subscriptions.bytesHeld }

    func isSettled(_ member: ConsumerMember) -> Bool {
        member.current.state == .stable && member.current.epoch == self.assignmentEpoch
    }

    /// The assignor that most members ask for, of those that ask for one.
    package var assignor: Assignor {
        var votes: [Assignor: Int] = [:]
        for member in self.members.values {
            if let choice = member.profile.assignor.flatMap(Assignor.init(rawValue:)) { votes[choice, default: 0] += 1 }
        }
        return Assignor.allCases.reduce(.uniform) { votes[$1, default: 0] > votes[$0, default: 0] ? $1 : $0 }
    }

    /// The records that make the group one that never was. Only for an empty one.
    package var tombstones: [ConsumerGroupRecord] {
        self.patterns.keys.sorted().map { .pattern(self.id, pattern: $0, nil) } + [
            .target(self.id, nil), .partitionMetadata(self.id, nil), .group(self.id, nil),
        ]
    }
}

/// What came with an event besides the event.
struct GroupMoment {
    let now: Instant
    let wall: Timestamp
    let topics: any SubscribableTopics
    let journal: TopicJournal
    let settings: ConsumerGroupSettings
}
