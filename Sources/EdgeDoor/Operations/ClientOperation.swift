package import ApusCore
package import WebFormats

/// What a client asks for over its connection: the `op` of a line, with its fields read and within their bounds.
package enum ClientOperation: Hashable, Sendable {
    case connect(Connect)
    case subscribe(Subscribe)
    case unsubscribe(EdgeChannel)
    case create(Create)
    case write(Write)
    case read(Read)
    case deleteTopic(String)
    /// So many more records of the channel may be pushed.
    case flow(EdgeChannel, credit: Int)
    case seek(EdgeChannel, StartPoint)
    /// Who is in a channel?
    case presence(Presence)
    /// The client has seen so much of a channel.
    case acknowledge(EdgeChannel, Confirmation)
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
    }

    package struct Presence: Hashable, Sendable {
        package var channel: EdgeChannel
        package var limit: Int
        /// Behind this place, which a page before ended with.
        package var after: Int64?
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
