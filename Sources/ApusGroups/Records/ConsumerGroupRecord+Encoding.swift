import ApusCore
import KafkaWire
import NIOCore

extension ConsumerGroupRecord {
    /// The number in front of a key that says what it is about.
    enum KeyType: Int16, CaseIterable {
        case group = 3
        case partitionMetadata = 4
        case member = 5
        case target = 6
        case targetMember = 7
        case currentAssignment = 8
        case pattern = 16
    }

    var keyType: KeyType {
        switch self {
        case .group: .group
        case .partitionMetadata: .partitionMetadata
        case .member: .member
        case .target: .target
        case .targetMember: .targetMember
        case .currentAssignment: .currentAssignment
        case .pattern: .pattern
        }
    }

    /// As it is written.
    package var encoded: GroupRecord { GroupRecord(key: self.key, value: self.value) }

    /// What compaction keeps one of: the type, the group, and the member or pattern.
    var key: ByteBuffer {
        var writer = WireWriter(byteCountHint: 64)
        writer.writeInt16(self.keyType.rawValue)
        writer.writeString(self.group.rawValue, false)
        switch self {
        case .group, .partitionMetadata, .target: break
        case .member(_, let member, _), .targetMember(_, let member, _), .currentAssignment(_, let member, _):
            writer.writeString(member.rawValue, false)
        case .pattern(_, let text, _): writer.writeString(text, false)
        }
        return writer.finishBody()
    }

    /// Nil for a tombstone.
    var value: ByteBuffer? {
        guard !self.isTombstone else { return nil }
        var writer = WireWriter()
        writer.writeInt16(Self.valueVersion)
        switch self {
        case .group(_, let group): group?.encode(into: &writer)
        case .partitionMetadata(_, let topics): if let topics { Self.encode(topics, into: &writer) }
        case .member(_, _, let profile): profile?.encode(into: &writer)
        case .target(_, let target): target?.encode(into: &writer)
        case .targetMember(_, _, let partitions):
            if let partitions {
                Self.encode(partitions, into: &writer)
                writer.writeNoTaggedFields()
            }
        case .currentAssignment(_, _, let current): current?.encode(into: &writer)
        case .pattern(_, _, let resolved): resolved?.encode(into: &writer)
        }
        return writer.finishBody()
    }

    package var isTombstone: Bool {
        switch self {
        case .group(_, let value): value == nil
        case .partitionMetadata(_, let value): value == nil
        case .member(_, _, let value): value == nil
        case .target(_, let value): value == nil
        case .targetMember(_, _, let value): value == nil
        case .currentAssignment(_, _, let value): value == nil
        case .pattern(_, _, let value): value == nil
        }
    }

    static let valueVersion: Int16 = 0

    /// Topics with their partitions; `epochs`, one for each partition, go into a tagged field.
    fileprivate static func encode(
        _ partitions: PartitionSet, epochs: [GroupEpoch] = [], into writer: inout WireWriter
    ) {
        let topics = partitions.byTopic
        writer.writeLength(topics.count, true)
        var rest = epochs[...]
        for (topic, indexes) in topics {
            writer.writeUUID(WireUUID(high: topic.high, low: topic.low))
            writer.writeArray(indexes, 0, true)
            guard !epochs.isEmpty else {
                writer.writeNoTaggedFields()
                continue
            }
            let own = rest.prefix(indexes.count).map(\.rawValue)
            rest = rest.dropFirst(indexes.count)
            var section = writer.beginTaggedFields()
            writer.writeTaggedField(0, in: &section) { $0.writeNullableArray(own, 0, true) }
        }
    }

    private static func encode(_ topics: [SubscribableTopic], into writer: inout WireWriter) {
        writer.writeLength(topics.count, true)
        for topic in topics {
            writer.writeUUID(WireUUID(high: topic.id.high, low: topic.id.low))
            writer.writeString(topic.name, true)
            writer.writeInt32(topic.partitionCount)
            // Racks of partitions: nobody uses them any more.
            writer.writeLength(0, true)
            writer.writeNoTaggedFields()
        }
        writer.writeNoTaggedFields()
    }
}

extension ConsumerGroupRecord.Group {
    fileprivate func encode(into writer: inout WireWriter) {
        writer.writeInt32(self.epoch.rawValue)
        var section = writer.beginTaggedFields()
        if self.metadataHash != 0 {
            writer.writeTaggedField(0, in: &section) { $0.writeInt64(self.metadataHash) }
        }
    }
}

extension ConsumerGroupRecord.Target {
    fileprivate func encode(into writer: inout WireWriter) {
        writer.writeInt32(self.epoch.rawValue)
        var section = writer.beginTaggedFields()
        if self.computedAt.rawValue != 0 {
            writer.writeTaggedField(0, in: &section) { $0.writeInt64(self.computedAt.rawValue) }
        }
    }
}

extension ConsumerGroupRecord.ResolvedPattern {
    fileprivate func encode(into writer: inout WireWriter) {
        writer.writeArray(self.topicNames, 0, true)
        writer.writeInt64(self.version)
        writer.writeInt64(self.resolvedAt.rawValue)
        writer.writeNoTaggedFields()
    }
}

extension ConsumerMember.Profile {
    fileprivate func encode(into writer: inout WireWriter) {
        writer.writeNullableString(self.instance?.rawValue, true)
        writer.writeNullableString(self.rack, true)
        writer.writeString(self.client.clientID, true)
        writer.writeString(self.client.host, true)
        writer.writeArray(self.topicNames, 0, true)
        writer.writeNullableString(self.topicPattern, true)
        writer.writeInt32(Int32(clamping: self.rebalanceTimeout.wholeMilliseconds))
        writer.writeNullableString(self.assignor, true)
        var section = writer.beginTaggedFields()
        if let principal = self.principal {
            writer.writeTaggedField(Self.principalTag, in: &section) { $0.writeString(principal, true) }
        }
    }
}

extension ConsumerMember.Profile {
    /// Ours, far above Kafka's, which takes them from 0 on; its brokers pass over it.
    static let principalTag = 32_000
}

extension ConsumerMember.Current {
    fileprivate func encode(into writer: inout WireWriter) {
        writer.writeInt32(self.epoch.rawValue)
        writer.writeInt32(self.previousEpoch.rawValue)
        writer.writeInt8(self.state.rawValue)
        ConsumerGroupRecord.encode(self.assigned, epochs: self.assignedAt, into: &writer)
        ConsumerGroupRecord.encode(self.revoking, into: &writer)
        writer.writeNoTaggedFields()
    }
}
