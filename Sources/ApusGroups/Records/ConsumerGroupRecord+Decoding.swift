import ApusCore
import KafkaWire

extension ConsumerGroupRecord {
    /// Reads a record of `__consumer_offsets`. Total: whatever the bytes are, the end is a record or an error.
    /// - Returns: nil for a key of another type: positions, classic groups, share groups.
    package init?(_ record: GroupRecord) throws(ConsumerGroupRecordError) {
        var number: Int16 = -1
        var version = Self.valueVersion
        do throws(WireError) {
            var keyReader = WireReader(record.key)
            number = try keyReader.readInt16()
            guard let type = KeyType(rawValue: number) else { return nil }
            let group = GroupID(try keyReader.readString(false))
            let isNamed = type != .group && type != .partitionMetadata && type != .target
            let name = isNamed ? try keyReader.readString(false) : ""
            try keyReader.finish()
            self = Self.tombstone(type, group, name)
            guard let value = record.value else { return }
            var reader = WireReader(value)
            version = try reader.readInt16()
            if version == Self.valueVersion {
                self = try Self.decode(type, group, name, from: &reader)
                try reader.finish()
            }
        } catch {
            throw .malformed(keyType: number, "\(error)")
        }
        guard version == Self.valueVersion else { throw .unknownVersion(keyType: number, version: version) }
    }

    private static func tombstone(_ type: KeyType, _ group: GroupID, _ name: String) -> ConsumerGroupRecord {
        switch type {
        case .group: .group(group, nil)
        case .partitionMetadata: .partitionMetadata(group, nil)
        case .member: .member(group, member: MemberID(name), nil)
        case .target: .target(group, nil)
        case .targetMember: .targetMember(group, member: MemberID(name), nil)
        case .currentAssignment: .currentAssignment(group, member: MemberID(name), nil)
        case .pattern: .pattern(group, pattern: name, nil)
        }
    }

    private static func decode(
        _ type: KeyType, _ group: GroupID, _ name: String, from reader: inout WireReader
    ) throws(WireError) -> ConsumerGroupRecord {
        switch type {
        case .group: return .group(group, try Group(from: &reader))
        case .partitionMetadata: return .partitionMetadata(group, try self.topics(from: &reader))
        case .member: return .member(group, member: MemberID(name), try ConsumerMember.Profile(from: &reader))
        case .target: return .target(group, try Target(from: &reader))
        case .targetMember:
            let partitions = try self.partitions(from: &reader).partitions
            try reader.skipTaggedFields()
            return .targetMember(group, member: MemberID(name), partitions)
        case .currentAssignment:
            return .currentAssignment(group, member: MemberID(name), try ConsumerMember.Current(from: &reader))
        case .pattern: return .pattern(group, pattern: name, try ResolvedPattern(from: &reader))
        }
    }

    /// Topics with their partitions, and the epoch of each partition where there is one.
    fileprivate static func partitions(
        from reader: inout WireReader
    ) throws(WireError) -> (partitions: PartitionSet, epochs: [TopicPartition: GroupEpoch]) {
        let at = reader.position
        guard let count = try reader.readCount(true, elementBytesMin: 18) else { throw .unexpectedNull(at: at) }
        var elements: [TopicPartition] = []
        var epochs: [TopicPartition: GroupEpoch] = [:]
        for _ in 0..<count {
            let id = try reader.readUUID()
            let indexes: [Int32] = try reader.readArray(0, true)
            var own: [Int32]?
            try reader.readTaggedFields { tag, reader throws(WireError) in
                guard tag == 0 else { return false }
                own = try reader.readNullableArray(0, true)
                return true
            }
            let topic = TopicID(high: id.high, low: id.low)
            let new = indexes.map { TopicPartition(topic: topic, partition: PartitionIndex(rawValue: $0)) }
            elements += new
            if let own, own.count == new.count {
                for (partition, epoch) in zip(new, own) { epochs[partition] = GroupEpoch(rawValue: epoch) }
            }
        }
        return (PartitionSet(elements), epochs)
    }

    private static func topics(from reader: inout WireReader) throws(WireError) -> [SubscribableTopic] {
        let at = reader.position
        guard let count = try reader.readCount(true, elementBytesMin: 23) else { throw .unexpectedNull(at: at) }
        var topics: [SubscribableTopic] = []
        for _ in 0..<count {
            let id = try reader.readUUID()
            let name = try reader.readString(true)
            let partitions = try reader.readInt32()
            let racksAt = reader.position
            guard let racked = try reader.readCount(true, elementBytesMin: 6) else {
                throw .unexpectedNull(at: racksAt)
            }
            for _ in 0..<racked {
                _ = try reader.readInt32()
                let _: [String] = try reader.readArray(0, true)
                try reader.skipTaggedFields()
            }
            try reader.skipTaggedFields()
            let topic = TopicID(high: id.high, low: id.low)
            topics.append(SubscribableTopic(id: topic, name: name, partitionCount: partitions))
        }
        try reader.skipTaggedFields()
        return topics
    }
}

extension ConsumerGroupRecord.Group {
    fileprivate init(from reader: inout WireReader) throws(WireError) {
        self.epoch = GroupEpoch(rawValue: try reader.readInt32())
        var hash: Int64 = 0
        try reader.readTaggedFields { tag, reader throws(WireError) in
            guard tag == 0 else { return false }
            hash = try reader.readInt64()
            return true
        }
        self.metadataHash = hash
    }
}

extension ConsumerGroupRecord.Target {
    fileprivate init(from reader: inout WireReader) throws(WireError) {
        self.epoch = GroupEpoch(rawValue: try reader.readInt32())
        var time: Int64 = 0
        try reader.readTaggedFields { tag, reader throws(WireError) in
            guard tag == 0 else { return false }
            time = try reader.readInt64()
            return true
        }
        self.computedAt = Timestamp(rawValue: time)
    }
}

extension ConsumerGroupRecord.ResolvedPattern {
    fileprivate init(from reader: inout WireReader) throws(WireError) {
        self.topicNames = try reader.readArray(0, true)
        self.version = try reader.readInt64()
        self.resolvedAt = Timestamp(rawValue: try reader.readInt64())
        try reader.skipTaggedFields()
    }
}

extension ConsumerMember.Profile {
    fileprivate init(from reader: inout WireReader) throws(WireError) {
        self.init()
        self.instance = try reader.readNullableString(true).map(InstanceID.init(rawValue:))
        self.rack = try reader.readNullableString(true)
        self.client.clientID = try reader.readString(true)
        self.client.host = try reader.readString(true)
        self.topicNames = try reader.readArray(0, true)
        self.topicPattern = try reader.readNullableString(true)
        self.rebalanceTimeout = .milliseconds(try reader.readInt32())
        self.assignor = try reader.readNullableString(true)
        var principal: String?
        try reader.readTaggedFields { tag, reader throws(WireError) in
            // Tag 0 is what a classic member said; there are none in our consumer groups.
            guard tag == Self.principalTag else { return false }
            principal = try reader.readString(true)
            return true
        }
        self.principal = principal
    }
}

extension ConsumerMember.Current {
    fileprivate init(from reader: inout WireReader) throws(WireError) {
        self.init()
        self.epoch = GroupEpoch(rawValue: try reader.readInt32())
        self.previousEpoch = GroupEpoch(rawValue: try reader.readInt32())
        self.state = ConsumerMember.State(rawValue: try reader.readInt8()) ?? .unknown
        let assigned = try ConsumerGroupRecord.partitions(from: &reader)
        self.assigned = assigned.partitions
        // Where no epoch is written only the member's present one is right.
        self.assignedAt = assigned.partitions.map { assigned.epochs[$0] ?? self.epoch }
        self.revoking = try ConsumerGroupRecord.partitions(from: &reader).partitions
        try reader.skipTaggedFields()
    }
}
