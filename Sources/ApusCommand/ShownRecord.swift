package import ApusCore
package import NIOCore

/// A record on its way to standard output.
package struct ShownRecord: Sendable {
    package struct Header: Sendable {
        package var name: String
        package var value: ByteBuffer?

        package init(name: String, value: ByteBuffer?) {
            self.name = name
            self.value = value
        }
    }

    package var topic: String
    package var partition: PartitionIndex
    package var offset: Offset
    package var timestamp: Timestamp
    package var key: ByteBuffer?
    package var value: ByteBuffer?
    package var headers: [Header]
    package var leaderEpoch = Epoch(rawValue: -1)
    package var timestampType = TimestampType.none
    /// The codec of its batch, by name.
    package var compression = "none"

    /// Whose clock a timestamp is of.
    package enum TimestampType: String, Sendable {
        /// There is none.
        case none = "unknown"
        case create
        case logAppend = "logappend"

        /// As rpk prints it.
        var number: Int64 {
            switch self {
            case .none: -1
            case .create: 0
            case .logAppend: 1
            }
        }
    }

    package init(
        topic: String, partition: PartitionIndex, offset: Offset, timestamp: Timestamp,
        key: ByteBuffer? = nil, value: ByteBuffer? = nil, headers: [Header] = []
    ) {
        self.topic = topic
        self.partition = partition
        self.offset = offset
        self.timestamp = timestamp
        self.key = key
        self.value = value
        self.headers = headers
    }

    /// The envelope of `kcat -J` and besides how key, payload and the values of headers are written: as text where
    /// they are UTF-8, else in base64. `header_encodings` has one word for each header, null for a header
    /// without a value. With `metaOnly`, lengths stand in for the contents.
    package func json(metaOnly: Bool = false) -> JSON {
        var fields: [(String, JSON)] = [
            ("topic", .string(self.topic)), ("partition", .integer(Int64(self.partition.rawValue))),
            ("offset", .integer(self.offset.rawValue)),
            ("ts", .integer(self.timestamp.rawValue)), ("tstype", .string(self.timestampType.rawValue)),
        ]
        if metaOnly {
            fields.append(("key_bytes", self.key.map { .integer(Int64($0.readableBytes)) } ?? .null))
            fields.append(("value_bytes", self.value.map { .integer(Int64($0.readableBytes)) } ?? .null))
            return .object(fields)
        }
        if !self.headers.isEmpty {
            let values = self.headers.map { header in header.value.map(Self.text) }
            let pairs = zip(self.headers, values).flatMap { header, value -> [JSON] in
                [.string(header.name), value?.json ?? .null]
            }
            fields.append(("headers", .array(pairs)))
            fields.append(("header_encodings", .array(values.map { $0.map { .string($0.encoding) } ?? .null })))
        }
        for (name, encoding, bytes) in [("key", "key_encoding", self.key), ("payload", "value_encoding", self.value)] {
            let text = bytes.map(Self.text)
            fields.append((name, text?.json ?? .null))
            if let text { fields.append((encoding, .string(text.encoding))) }
        }
        return .object(fields)
    }

    private static func text(_ bytes: ByteBuffer) -> (json: JSON, encoding: String) {
        let view = bytes.readableBytesView
        if let text = String(validating: view, as: UTF8.self) { return (.string(text), "utf8") }
        return (.string(Base64.encoded(view)), "base64")
    }
}
