import ApusCore
import KafkaWire
import NIOCore

/// The value of a position's record: Kafka's OffsetCommitValue. Versions 0 to 4 are read. 4 is written where there is
/// something that only its tagged fields hold: the topic's id, and when the client wants the position to expire. For
/// that Kafka has version 1, which has neither the id nor the epoch; so it is a field of ours. Else 3 is written.
extension Position: GroupRecordValue {
    static let versions: ClosedRange<Int16> = 0...4

    init(from reader: inout WireReader, version: Int16) throws(WireError) {
        let flexible = version >= 4
        let offset = Offset(rawValue: try reader.readInt64())
        let epoch = version >= 3 ? Epoch(rawValue: try reader.readInt32()) : .none
        let metadata = try reader.readString(flexible)
        let committedAt = Timestamp(rawValue: try reader.readInt64())
        self.init(offset: offset, leaderEpoch: epoch, metadata: metadata, committedAt: committedAt)
        if version == 1 {
            let expiresAt = Timestamp(rawValue: try reader.readInt64())
            self.expiresAt = expiresAt == .none ? nil : expiresAt
        }
        guard flexible else { return }
        var topic = TopicID.none
        var expiresAt: Timestamp?
        try reader.readTaggedFields { tag, reader throws(WireError) in
            switch tag {
            case 0:
                let id = try reader.readUUID()
                topic = TopicID(high: id.high, low: id.low)
            case Self.expiryTag: expiresAt = Timestamp(rawValue: try reader.readInt64())
            default: return false
            }
            return true
        }
        self.topic = topic
        self.expiresAt = expiresAt
    }

    var encoded: ByteBuffer {
        let version: Int16 = self.expiresAt != nil || self.topic != .none ? 4 : 3
        let flexible = version >= 4
        var writer = WireWriter(byteCountHint: 64 + self.metadata.utf8.count)
        writer.writeInt16(version)
        writer.writeInt64(self.offset.rawValue)
        writer.writeInt32(self.leaderEpoch.rawValue)
        writer.writeString(self.metadata, flexible)
        writer.writeInt64(self.committedAt.rawValue)
        guard flexible else { return writer.finishBody() }
        let id = WireUUID(high: self.topic.high, low: self.topic.low)
        guard self.expiresAt != nil else {
            // Nearly all are like this. One tagged field: tag 0, sixteen bytes.
            writer.writeUnsignedVarint(1)
            writer.writeUnsignedVarint(0)
            writer.writeUnsignedVarint(16)
            writer.writeUUID(id)
            return writer.finishBody()
        }
        var section = writer.beginTaggedFields()
        if self.topic != .none { writer.writeTaggedField(0, in: &section) { $0.writeUUID(id) } }
        if let expiresAt = self.expiresAt {
            writer.writeTaggedField(Self.expiryTag, in: &section) { $0.writeInt64(expiresAt.rawValue) }
        }
        return writer.finishBody()
    }

    /// Of ours, and far from those that Kafka gives out one after the other: when the position expires, Int64 (ms).
    private static let expiryTag = 32_000
}

extension PositionKey {
    var encoded: ByteBuffer {
        var writer = WireWriter(byteCountHint: 16 + self.group.rawValue.utf8.count + self.topic.utf8.count)
        writer.writeInt16(1)
        writer.writeString(self.group.rawValue, false)
        writer.writeString(self.topic, false)
        writer.writeInt32(self.partition.rawValue)
        return writer.finishBody()
    }
}
