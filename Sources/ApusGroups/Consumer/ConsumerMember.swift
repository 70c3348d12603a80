import ApusCore

/// One member of a consumer group: what it said of itself, and how far it has come.
package struct ConsumerMember: Hashable, Sendable {
    package let id: MemberID
    package var profile: Profile
    package var current: Current
    /// Not durable: a coordinator that takes over gives everybody a whole session.
    var session: Session

    /// What the member said of itself; the record `memberMetadata`.
    package struct Profile: Hashable, Sendable {
        package var instance: InstanceID?
        package var rack: String?
        package var client = ClientIdentity(clientID: "", host: "")
        /// Who it is, as `User:alice`, where that decides what it may be told of; nil: it may be told of all topics.
        package var principal: String?
        /// Ascending, without repeats.
        package var topicNames: [String] = []
        /// Nil for none.
        package var topicPattern: String?
        package var rebalanceTimeout: Duration = .milliseconds(-1)
        package var assignor: String?

        package init() {}

        /// For whom the pattern is looked up, if there is one.
        var reader: TopicReader? {
            guard self.topicPattern != nil, let principal = self.principal else { return nil }
            return TopicReader(principal: principal, host: self.client.host)
        }
    }

    /// How far the member has come; the record `currentAssignment`.
    package struct Current: Hashable, Sendable {
        package var state: State = .stable
        package var epoch: GroupEpoch = .join
        /// The epoch before. A member whose last answer was lost comes back with it.
        package var previousEpoch: GroupEpoch = .join
        /// What the member may use.
        package var assigned: PartitionSet = .empty
        /// The member epoch at which each of `assigned` was given (KIP-1251): a commit with that epoch or a later one
        /// comes from after it.
        package var assignedAt: [GroupEpoch] = []
        /// What the member was told to give up, and may still use. Nobody else gets it before.
        package var revoking: PartitionSet = .empty

        package init() {}
    }

    package enum State: Int8, Hashable, Sendable {
        /// It has what its epoch gives it.
        case stable = 0
        /// It must first say that it gave up `revoking`.
        case unrevoked = 1
        /// It waits for partitions that others did not give up yet.
        case unreleased = 2
        /// Of a later format: taken as `unreleased`, which the next heartbeat resolves.
        case unknown = 127
    }

    struct Session: Hashable, Sendable {
        /// When the member is out unless it speaks; nil before the coordinator began to count.
        var endsAt: Instant?
        /// When it is out unless it gives up what it was told to.
        var revocationEndsAt: Instant?
        /// What it said last that it has, of what it was given.
        var owned: PartitionSet?
        /// It said, when it was told to give partitions up or later, that it does not have them.
        var deniesRevoking = false
    }

    init(id: MemberID) {
        self.id = id
        self.profile = Profile()
        self.current = Current()
        self.session = Session()
    }

    /// What it takes of the memory, about, but for the topics that it names: a list is kept once for all who have it.
    var bytesHeld: Int {
        let profile = self.profile
        let texts = [
            profile.instance?.rawValue, profile.rack, profile.client.clientID, profile.client.host, profile.assignor,
            profile.principal,
        ]
        let partitions = self.current.assigned.count + self.current.revoking.count
        return texts.reduce(Limits.memberMemory.rawValue + self.id.rawValue.utf8.count) { $0 + ($1?.utf8.count ?? 0) }
            + partitions * Limits.partitionMemory.rawValue
    }

    /// It left, but keeps its partitions for the time of a session.
    var isAway: Bool { self.current.epoch == .leaveStatic }
}
