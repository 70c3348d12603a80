public import NIOCore

/// What the leader of a group of consumers gives one member, versions 0 to 3: the assignment of a SyncGroup whose
/// protocol type is `consumer`.
///
/// The versions follow those of ``ConsumerSubscription`` and have the same fields; its rules on later versions hold
/// here too.
public struct ConsumerAssignment: Hashable, Sendable {
    public static let versions: ClosedRange<Int16> = 0...3

    public var partitions: [ConsumerSubscription.TopicPartitions] = []
    /// From the assignor; nil for none.
    public var userData: ByteBuffer?

    public init() {}

    /// Total: any bytes give an assignment or an error.
    public init(from bytes: ByteBuffer) throws(WireError) {
        var reader = WireReader(bytes)
        let version = try reader.readConsumerProtocolVersion()
        self.init()
        self.partitions = try reader.readArray(version, false)
        self.userData = try reader.readNullableBytes(false)
    }

    /// - Precondition: `version` is one of `versions`.
    public func encoded(version: Int16) -> ByteBuffer {
        precondition(Self.versions.contains(version))
        var writer = WireWriter()
        writer.writeInt16(version)
        writer.writeArray(self.partitions, version, false)
        writer.writeNullableBytes(self.userData, false)
        return writer.finishBody()
    }
}
