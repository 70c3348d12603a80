package import ApusCore
package import NIOCore

/// What a client asks for over its connection: the `op` of a line, with its fields read and within their bounds.
package enum ClientOperation: Hashable, Sendable {
    case connect(Connect)
    case subscribe(Subscribe)
    case unsubscribe(EdgeChannel)
    case create(Create)
    case write(Write)
    case read(Read)
    case deleteTopic(String)
    case ack(EdgeChannel, PartitionIndex, Offset)
    /// So many more records of the channel may be pushed.
    case flow(EdgeChannel, credit: Int)
    case seek(EdgeChannel, StartPoint)
    case presence(EdgeChannel)
    case ping

    package struct Connect: Hashable, Sendable {
        /// A bearer token or the key of an API; nil when the connection itself says who this is.
        package var token: String?
        /// What the client calls itself, for people.
        package var client: String?
    }

    package struct Subscribe: Hashable, Sendable {
        package var channel: EdgeChannel
        package var start: StartPoint
        /// Records that may be pushed before the client asks for more; nil: as many as its socket takes.
        package var credit: Int?
        package var whenSlow: SlowReaderRule
    }

    package struct Create: Hashable, Sendable {
        package var topic: String
        package var partitions: Int?
        package var replication: Int?
        package var configuration: [String: String]
    }

    package struct Write: Hashable, Sendable {
        package var topic: String
        package var record: WrittenRecord
        package var idempotencyKey: String?
    }

    package struct Read: Hashable, Sendable {
        package var channel: EdgeChannel
        package var start: StartPoint
        /// Nil: of all partitions that the channel is in.
        package var partition: PartitionIndex?
        package var recordsMax: Int
    }
}

/// What becomes of a subscription whose client does not keep up.
package enum SlowReaderRule: String, CaseIterable, Hashable, Sendable {
    /// Goes on with the newest records, and the client is told which it missed.
    case skip
    /// The connection is closed with a code that says to resume.
    case close
}

/// A record as an edge client writes it.
package struct WrittenRecord: Hashable, Sendable {
    package struct Header: Hashable, Sendable {
        package var name: String
        package var value: ByteBuffer?

        package init(name: String, value: ByteBuffer?) {
            self.name = name
            self.value = value
        }
    }

    package var key: ByteBuffer?
    /// Nil is a deletion in a compacted topic.
    package var value: ByteBuffer?
    package var headers: [Header]
    package var partition: PartitionIndex?
    package var timestamp: Timestamp?
}

/// Where a reader begins.
///
/// | written | means |
/// |---|---|
/// | `earliest`, `start` | the oldest record kept |
/// | `latest`, `end` | what comes from now on |
/// | `42` | offset 42, in each partition |
/// | `-100` | 100 records before the end, in each partition |
/// | `@2026-11-20T10:00Z`, `@1763632800000` | the first record of that time or later |
/// | `last value` | the newest record of each key, then what comes (compacted topics) |
/// | a cursor | behind what the client has seen |
package enum StartPoint: Hashable, Sendable {
    case earliest
    case latest
    case offset(Offset)
    case beforeEnd(Int64)
    case time(Timestamp)
    case lastValues
    /// Texts of cursors, not looked into yet: ``CursorSeal`` and ``Resumption`` do that.
    case cursors([ByteBuffer])

    /// Nil when the text is none of them. Cursors have a field of their own.
    package init?(_ text: String) {
        switch text {
        case "earliest", "start": self = .earliest
        case "latest", "end": self = .latest
        case "last value": self = .lastValues
        default:
            guard let first = text.utf8.first else { return nil }
            let rest = String(text.dropFirst())
            if first == UInt8(ascii: "@") {
                guard let time = Self.digits(rest).map(Timestamp.init(rawValue:)) ?? CivilTime.parse(rest) else {
                    return nil
                }
                self = .time(time)
            } else if first == UInt8(ascii: "-") {
                guard let count = Self.digits(rest) else { return nil }
                self = .beforeEnd(count)
            } else {
                guard let offset = Self.digits(text) else { return nil }
                self = .offset(Offset(rawValue: offset))
            }
        }
    }

    private static func digits(_ text: String) -> Int64? {
        text.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) } ? Int64(text) : nil
    }
}
