public import NIOCore

/// What a consumer tells its group when it joins, versions 0 to 3: the protocol metadata of a JoinGroup whose protocol
/// type is `consumer`.
///
/// To the group coordinator these bytes are opaque; the leader among the consumers reads them. A broker reads them for
/// one thing: which topics a group is subscribed to.
///
/// The format is a promise between clients. A version is an Int16 in front, later versions only add fields at the end,
/// so a version above 3 is read as 3, and bytes behind the last known field are passed over. Some clients write a
/// version above 0 and leave its fields out; what is missing at the end then has its default.
public struct ConsumerSubscription: Hashable, Sendable {
    public static let versions: ClosedRange<Int16> = 0...3

    /// Partitions of one topic.
    public struct TopicPartitions: Hashable, Sendable {
        public var topic: String = ""
        public var partitions: [Int32] = []

        public init() {}

        public init(topic: String, partitions: [Int32]) {
            self.topic = topic
            self.partitions = partitions
        }
    }

    public var topics: [String] = []
    /// For the assignor; nil for none.
    public var userData: ByteBuffer?
    /// From version 1 on: what the member holds as it joins (KIP-429).
    public var ownedPartitions: [TopicPartitions] = []
    /// From version 2 on: the generation in which it got what it holds; -1 for none (KIP-792).
    public var generationID: Int32 = -1
    /// From version 3 on (KIP-881).
    public var rackID: String?

    public init() {}

    /// Total: any bytes give a subscription or an error.
    public init(from bytes: ByteBuffer) throws(WireError) {
        var reader = WireReader(bytes)
        let version = try reader.readConsumerProtocolVersion()
        self.init()
        self.topics = try reader.readArray(version, false)
        self.userData = try reader.readNullableBytes(false)
        guard version >= 1, reader.remaining > 0 else { return }
        self.ownedPartitions = try reader.readArray(version, false)
        guard version >= 2, reader.remaining > 0 else { return }
        self.generationID = try reader.readInt32()
        guard version >= 3, reader.remaining > 0 else { return }
        self.rackID = try reader.readNullableString(false)
    }

    /// - Precondition: `version` is one of `versions`.
    public func encoded(version: Int16) -> ByteBuffer {
        precondition(Self.versions.contains(version))
        var writer = WireWriter()
        writer.writeInt16(version)
        writer.writeArray(self.topics, version, false)
        writer.writeNullableBytes(self.userData, false)
        if version >= 1 { writer.writeArray(self.ownedPartitions, version, false) }
        if version >= 2 { writer.writeInt32(self.generationID) }
        if version >= 3 { writer.writeNullableString(self.rackID, false) }
        return writer.finishBody()
    }
}

extension ConsumerSubscription.TopicPartitions: WireElement {
    static func wireBytesMin(_ flexible: Bool) -> Int { 6 }

    init(from reader: inout WireReader, version: Int16) throws(WireError) {
        self.init()
        self.topic = try reader.readString(false)
        self.partitions = try reader.readArray(version, false)
    }

    func encode(into writer: inout WireWriter, version: Int16) {
        writer.writeString(self.topic, false)
        writer.writeArray(self.partitions, version, false)
    }
}

extension WireReader {
    /// The version in front of what consumers tell each other; below 0 is none.
    mutating func readConsumerProtocolVersion() throws(WireError) -> Int16 {
        let at = self.position
        let version = try self.readInt16()
        guard version >= 0 else { throw .negativeLength(at: at, length: Int(version)) }
        return version
    }
}
