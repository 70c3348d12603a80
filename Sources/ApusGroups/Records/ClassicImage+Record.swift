import ApusCore
import KafkaWire
import NIOCore

/// The value of a classic group's record: Kafka's GroupMetadataValue. Versions 0 to 4 are read, 3 is written: 4 says no
/// more, and no Kafka before 4 reads it.
extension ClassicImage: GroupRecordValue {
    static let versions: ClosedRange<Int16> = 0...4

    init(from reader: inout WireReader, version: Int16) throws(WireError) {
        let flexible = version >= 4
        let protocolType = try reader.readString(flexible)
        let generation = Generation(rawValue: try reader.readInt32())
        let protocolName = try reader.readNullableString(flexible)
        let leader = try reader.readNullableString(flexible)
        self.init(
            protocolType: protocolType, generation: generation, protocolName: protocolName,
            leader: leader.map { MemberID($0) },
            changedAt: version >= 2 ? Timestamp(rawValue: try reader.readInt64()) : .none
        )
        // Three strings, a timeout and two blobs at the least.
        let count = try reader.readCount(flexible, elementBytesMin: flexible ? 9 : 18) ?? 0
        self.members.reserveCapacity(count)
        for _ in 0..<count { self.members.append(try Member(from: &reader, version: version)) }
        if flexible { try reader.skipTaggedFields() }
    }

    var encoded: ByteBuffer {
        let version: Int16 = 3
        var writer = WireWriter(byteCountHint: 256 + self.members.count * 256)
        writer.writeInt16(version)
        writer.writeString(self.protocolType, false)
        writer.writeInt32(self.generation.rawValue)
        writer.writeNullableString(self.protocolName, false)
        writer.writeNullableString(self.leader?.rawValue, false)
        writer.writeInt64(self.changedAt.rawValue)
        writer.writeLength(self.members.count, false)
        for member in self.members { member.encode(into: &writer) }
        return writer.finishBody()
    }
}

extension ClassicImage.Member {
    fileprivate init(from reader: inout WireReader, version: Int16) throws(WireError) {
        let flexible = version >= 4
        let id = MemberID(try reader.readString(flexible))
        let instance = version >= 3 ? try reader.readNullableString(flexible).map { InstanceID($0) } : nil
        let client = ClientIdentity(
            clientID: try reader.readString(flexible), host: try reader.readString(flexible)
        )
        let rebalanceMs: Int32? = version >= 1 ? try reader.readInt32() : nil
        let sessionMs = try reader.readInt32()
        self.init(
            id: id, instance: instance, client: client, rebalanceTimeout: .milliseconds(rebalanceMs ?? sessionMs),
            sessionTimeout: .milliseconds(sessionMs), subscription: Self.copy(try reader.readBytes(flexible)),
            assignment: Self.copy(try reader.readBytes(flexible))
        )
        if flexible { try reader.skipTaggedFields() }
    }

    /// What is read from a log is a slice of a long read, which would stay as long as the member.
    private static func copy(_ bytes: ByteBuffer) -> ByteBuffer { ByteBuffer(bytes: bytes.readableBytesView) }

    fileprivate func encode(into writer: inout WireWriter) {
        writer.writeString(self.id.rawValue, false)
        writer.writeNullableString(self.instance?.rawValue, false)
        writer.writeString(self.client.clientID, false)
        writer.writeString(self.client.host, false)
        writer.writeInt32(Int32(clamping: self.rebalanceTimeout.wholeMilliseconds))
        writer.writeInt32(Int32(clamping: self.sessionTimeout.wholeMilliseconds))
        writer.writeBytes(self.subscription, false)
        writer.writeBytes(self.assignment, false)
    }
}
