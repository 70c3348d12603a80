import ApusCore
import KafkaWire
import NIOCore

/// The value of a position's record: Kafka's OffsetCommitValue. Versions 0 to 4 are read. 4 is written where the
/// topic's id is known, 1 where the client said when it expires, else 3.
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
        try reader.readTaggedFields { tag, reader throws(WireError) in
            guard tag == 0 else { return false }
            let id = try reader.readUUID()
            topic = TopicID(high: id.high, low: id.low)
            return true
        }
        self.topic = topic
    }

    var encoded: ByteBuffer {
        let version: Int16 = self.expiresAt != nil ? 1 : self.topic != .none ? 4 : 3
        let flexible = version >= 4
        var writer = WireWriter(byteCountHint: 64 + self.metadata.utf8.count)
        writer.writeInt16(version)
        writer.writeInt64(self.offset.rawValue)
        if version >= 3 { writer.writeInt32(self.leaderEpoch.rawValue) }
        writer.writeString(self.metadata, flexible)
        writer.writeInt64(self.committedAt.rawValue)
        if version == 1 { writer.writeInt64(self.expiresAt?.rawValue ?? -1) }
        guard flexible else { return writer.finishBody() }
        // One tagged field: tag 0, sixteen bytes.
        writer.writeUnsignedVarint(1)
        writer.writeUnsignedVarint(0)
        writer.writeUnsignedVarint(16)
        writer.writeUUID(WireUUID(high: self.topic.high, low: self.topic.low))
        return writer.finishBody()
    }
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
