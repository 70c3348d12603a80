public import ApusCore

/// One partition of one topic, by the topic's name.
public struct NamedPartition: Hashable, Comparable, Sendable, CustomStringConvertible {
    public var topic: String
    public var partition: PartitionIndex

    public init(_ topic: String, _ partition: PartitionIndex) {
        self.topic = topic
        self.partition = partition
    }

    public static func < (left: NamedPartition, right: NamedPartition) -> Bool {
        (left.topic, left.partition) < (right.topic, right.partition)
    }

    public var description: String { "\(self.topic)/\(self.partition)" }
}

/// By which rules a group shares its partitions out. Others than those with a name here may come from other brokers.
public struct GroupKind: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    public let rawValue: String

    public init(rawValue: String) {
        self.rawValue = rawValue
    }

    /// The members' leader shares out, all stop for it (JoinGroup, SyncGroup).
    public static let classic = GroupKind(rawValue: "classic")
    /// The broker shares out, members change one by one (KIP-848).
    public static let consumer = GroupKind(rawValue: "consumer")

    public var description: String { self.rawValue }
}

/// What a group is doing, in the protocol's words.
public struct GroupState: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    public let rawValue: String

    public init(rawValue: String) {
        self.rawValue = rawValue
    }

    /// No members; it may have positions.
    public static let empty = GroupState(rawValue: "Empty")
    public static let stable = GroupState(rawValue: "Stable")
    /// Classic: waiting for the members to join again.
    public static let preparingRebalance = GroupState(rawValue: "PreparingRebalance")
    /// Classic: waiting for the leader to share out.
    public static let completingRebalance = GroupState(rawValue: "CompletingRebalance")
    /// Consumer: the broker is about to share out anew.
    public static let assigning = GroupState(rawValue: "Assigning")
    /// Consumer: members have not yet given up, or taken, what they should.
    public static let reconciling = GroupState(rawValue: "Reconciling")
    /// There is none of that name any more.
    public static let dead = GroupState(rawValue: "Dead")

    /// Nobody is in it, so that positions may be set from outside.
    public var hasNoMembers: Bool { self == .empty || self == .dead }
    public var description: String { self.rawValue }
}

/// A group in a list.
public struct GroupSummary: Hashable, Sendable {
    public var name: String
    /// nil when the broker does not say.
    public var kind: GroupKind?
    /// nil when the broker does not say.
    public var state: GroupState?
    /// `consumer` for consumers; empty when it has only positions.
    public var protocolType: String
    public var coordinator: BrokerID
}

/// A group with its members.
public struct GroupDescription: Hashable, Sendable {
    public struct Member: Hashable, Sendable {
        public var id: String
        /// The name under which a static member comes back as the same (KIP-345).
        public var instanceID: String?
        public var clientID: String
        public var host: String
        public var rack: String?
        /// Of the member (KIP-848); nil in a classic group.
        public var epoch: Int32?
        /// By name.
        public var topics: [String]
        /// What it subscribed to by pattern (KIP-848).
        public var topicPattern: String?
        /// What it has now, in order.
        public var partitions: [NamedPartition]
        /// What it shall have, in order; nil in a classic group.
        public var partitionsTarget: [NamedPartition]?

        public var isSettled: Bool { self.partitionsTarget.map { $0 == self.partitions } ?? true }
    }

    public var name: String
    public var kind: GroupKind
    public var state: GroupState
    /// `consumer` for consumers; empty when it has only positions.
    public var protocolType: String
    /// How partitions are shared out; empty while they are not.
    public var assignor: String
    /// Of the group (KIP-848); nil in a classic group.
    public var epoch: Int32?
    /// The group epoch for which partitions were shared out; nil in a classic group.
    public var assignmentEpoch: Int32?
    public var coordinator: BrokerID?
    /// By id.
    public var members: [Member]
}

/// Where a group is in one partition.
public struct GroupPosition: Hashable, Sendable {
    /// The next one to be read.
    public var offset: Offset
    /// Of the record before it, as the member knew it; `.none` when it did not say.
    public var leaderEpoch: Epoch
    /// What the member wrote beside it; at most 4,096 bytes.
    public var metadata: String

    public init(_ offset: Offset, leaderEpoch: Epoch = .none, metadata: String = "") {
        self.offset = offset
        self.leaderEpoch = leaderEpoch
        self.metadata = metadata
    }
}

/// How far behind a group is in one partition.
public struct GroupLag: Hashable, Sendable {
    public var partition: NamedPartition
    /// nil when the group has none there.
    public var position: GroupPosition?
    /// The oldest offset; nil when there is no such partition any more.
    public var start: Offset?
    /// Behind the newest record; nil when there is no such partition any more.
    public var end: Offset?
    /// Id of the member that has the partition.
    public var member: String?

    public init(
        partition: NamedPartition, position: GroupPosition?, start: Offset?, end: Offset?, member: String? = nil
    ) {
        self.partition = partition
        self.position = position
        self.start = start
        self.end = end
        self.member = member
    }

    /// Offsets from the position to the end, those that retention took not counted. Nil when either is not known.
    public var lag: Int64? {
        guard let position = self.position?.offset, let end = self.end else { return nil }
        return max(0, end.rawValue - max(position, self.start ?? position).rawValue)
    }
}
