package import ApusCore

/// What `__consumer_offsets` holds about consumer groups (KIP-848), one case for each type of key. No value is a
/// tombstone: it is not so any more.
///
/// These records are the durable state of a group. `ConsumerGroup.apply` is the only code that changes that state, when
/// a record was just decided as well as when it is read again after a restart. Keys and values have Kafka's own formats
/// (`docs/formats/consumer-group-records.md`).
package enum ConsumerGroupRecord: Hashable, Sendable {
    /// The group epoch. Without it there is no group.
    case group(GroupID, Group?)
    /// The topics of a group as brokers before Kafka 4.1 wrote them. Never written here; `Group.metadataHash` says it.
    case partitionMetadata(GroupID, [SubscribableTopic]?)
    case member(GroupID, member: MemberID, ConsumerMember.Profile?)
    /// The assignment epoch; written behind the `targetMember` records that belong to it.
    case target(GroupID, Target?)
    case targetMember(GroupID, member: MemberID, PartitionSet?)
    case currentAssignment(GroupID, member: MemberID, ConsumerMember.Current?)
    case pattern(GroupID, pattern: String, ResolvedPattern?)

    package struct Group: Hashable, Sendable {
        package var epoch: GroupEpoch
        /// Changes when a topic of the group does. What it is computed from is nobody else's business.
        package var metadataHash: Int64 = 0
    }

    package struct Target: Hashable, Sendable {
        package var epoch: GroupEpoch
        /// When it was computed.
        package var computedAt: Timestamp
    }

    /// What a regular expression matched.
    package struct ResolvedPattern: Hashable, Sendable {
        /// Ascending.
        package var topicNames: [String]
        /// Of the topics it was held against.
        package var version: Int64
        package var resolvedAt: Timestamp

        /// What it takes of the memory, about.
        var bytesHeld: Int {
            self.topicNames.reduce(Limits.nameMemory.rawValue) { $0 + Limits.nameMemory.rawValue + $1.utf8.count }
        }
    }

    /// The group it is about.
    package var group: GroupID {
        switch self {
        case .group(let group, _), .partitionMetadata(let group, _), .member(let group, _, _), .target(let group, _),
            .targetMember(let group, _, _), .currentAssignment(let group, _, _), .pattern(let group, _, _):
            group
        }
    }
}

/// Why a record of a group could not be read.
package enum ConsumerGroupRecordError: Error, Hashable, Sendable {
    case malformed(keyType: Int16, String)
    /// A later format than this broker knows.
    case unknownVersion(keyType: Int16, version: Int16)
}
