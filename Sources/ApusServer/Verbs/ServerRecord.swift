import ApusBroker
public import ApusCore
public import NIOCore

/// A topic as a program names it: by its name, which a later topic may have again, or by its id, which none ever has.
public enum TopicAddress: Hashable, Sendable, ExpressibleByStringLiteral {
    case name(String)
    case id(TopicID)

    public init(stringLiteral name: String) { self = .name(name) }

    var reference: TopicReference {
        switch self {
        case .name(let name): .name(name)
        case .id(let id): .id(id)
        }
    }
}

/// A record as its publisher hands it over. Its bytes are stored and read as they are.
public struct ServerRecord: Hashable, Sendable {
    public struct Header: Hashable, Sendable {
        public var name: String
        public var value: ByteBuffer?

        public init(_ name: String, _ value: ByteBuffer?) {
            self.name = name
            self.value = value
        }
    }

    public var key: ByteBuffer?
    public var value: ByteBuffer?
    public var headers: [Header]
    /// Nil: the broker's clock when it is written.
    public var timestamp: Timestamp?

    public init(value: ByteBuffer?, key: ByteBuffer? = nil, headers: [Header] = [], timestamp: Timestamp? = nil) {
        self.value = value
        self.key = key
        self.headers = headers
        self.timestamp = timestamp
    }

    /// Text, in UTF-8.
    public init(_ value: String, key: String? = nil) {
        self.init(value: ByteBuffer(string: value), key: key.map { ByteBuffer(string: $0) })
    }

    var message: Message {
        Message(
            key: self.key, value: self.value, headers: self.headers.map { .init(name: $0.name, value: $0.value) },
            timestamp: self.timestamp
        )
    }
}

/// A record with its place in its partition.
public struct StoredRecord: Hashable, Sendable {
    public let offset: Offset
    public let timestamp: Timestamp
    public let record: ServerRecord

    init(_ stored: StoredMessage) {
        self.offset = stored.offset
        self.timestamp = stored.timestamp
        self.record = ServerRecord(
            value: stored.message.value, key: stored.message.key,
            headers: stored.message.headers.map { ServerRecord.Header($0.name, $0.value) }, timestamp: stored.timestamp
        )
    }
}
