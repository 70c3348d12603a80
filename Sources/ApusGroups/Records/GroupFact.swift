import ApusCore
package import KafkaWire
import NIOCore

/// What one record of `__consumer_offsets` says of a classic group or of a position.
package enum GroupFact: Hashable, Sendable {
    /// A position of a group; nil: there is none (any more).
    case position(PositionKey, Position?)
    /// A group of the classic protocol; nil: there is none (any more).
    case classic(GroupID, ClassicImage?)

    /// Total: any bytes give a fact or an error.
    package init(_ record: GroupRecord) throws(GroupRecordError) {
        let key: GroupKey
        do throws(WireError) { key = try GroupKey(record.key) } catch { throw .malformedKey(error) }
        switch key {
        case .position(let key): self = .position(key, try Self.value(record))
        case .classic(let group): self = .classic(group, try Self.value(record))
        case .other(let version): throw .otherKey(version: version)
        }
    }

    private static func value<Value: GroupRecordValue>(_ record: GroupRecord) throws(GroupRecordError) -> Value? {
        guard let bytes = record.value else { return nil }
        var reader = WireReader(bytes)
        let version: Int16
        do throws(WireError) { version = try reader.readInt16() } catch { throw .malformedValue(error) }
        guard Value.versions.contains(version) else { throw .otherValue(version: version) }
        do throws(WireError) { return try Value(from: &reader, version: version) } catch {
            throw .malformedValue(error)
        }
    }

    package var record: GroupRecord {
        switch self {
        case .position(let key, let position): GroupRecord(key: key.encoded, value: position?.encoded)
        case .classic(let group, let image): GroupRecord(key: GroupKey.encoded(group), value: image?.encoded)
        }
    }

    /// The group that it is about.
    package var group: GroupID {
        switch self {
        case .position(let key, _): key.group
        case .classic(let group, _): group
        }
    }
}

/// Why a record of `__consumer_offsets` says nothing to us.
package enum GroupRecordError: Error, Hashable, Sendable {
    /// A key of another kind of record: of a consumer group (see ``ConsumerGroupRecord``), a share group, or of a later
    /// Kafka.
    case otherKey(version: Int16)
    /// A value of a later version.
    case otherValue(version: Int16)
    case malformedKey(WireError)
    case malformedValue(WireError)
    /// A record of a consumer group (KIP-848) that can not be read.
    case malformedConsumerRecord(String)
}

/// A value of a record, behind its version.
protocol GroupRecordValue {
    /// The versions that are read.
    static var versions: ClosedRange<Int16> { get }
    /// Bytes behind the last field are passed over, as later minor versions may add some.
    init(from reader: inout WireReader, version: Int16) throws(WireError)
}

/// What a record is about, by the version in front of its key.
enum GroupKey: Hashable, Sendable {
    /// Versions 0 and 1.
    case position(PositionKey)
    /// Version 2.
    case classic(GroupID)
    case other(version: Int16)

    init(_ bytes: ByteBuffer) throws(WireError) {
        var reader = WireReader(bytes)
        let version = try reader.readInt16()
        switch version {
        case 0, 1:
            let group = GroupID(try reader.readString(false))
            let topic = try reader.readString(false)
            let partition = PartitionIndex(rawValue: try reader.readInt32())
            self = .position(PositionKey(group: group, topic: topic, partition: partition))
        case 2: self = .classic(GroupID(try reader.readString(false)))
        default: self = .other(version: version)
        }
    }

    static func encoded(_ group: GroupID) -> ByteBuffer {
        var writer = WireWriter()
        writer.writeInt16(2)
        writer.writeString(group.rawValue, false)
        return writer.finishBody()
    }
}
