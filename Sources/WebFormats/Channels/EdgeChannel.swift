package import ApusCore
package import NIOCore

/// What an edge client subscribes to: a topic, the records of one key in it, or of all keys that begin alike.
///
/// | written | means |
/// |---|---|
/// | `news` | every record of the topic `news` |
/// | `chat/room-7` | those with the key `room-7` |
/// | `chat/room-*` | those whose key begins with `room-` |
/// | `chat/*` | those that have a key |
///
/// A topic's name holds no `/`, so the first one ends it; further ones belong to the key. A key is any bytes: `%XX`
/// stands for one of them, and must stand for `%`, `*`, control characters, line separators and what is not UTF-8. So a
/// name has no line break in it, whatever the key. One channel may be written in several ways; ``description`` is the
/// one that pushes carry, and equality is of what is meant.
///
/// Its parts are in one place however often it is copied: an endpoint server knows one channel by many of its parts,
/// and there may be one for each user. So it is one object, with the key's bytes at its end, and the topic's name in
/// another that many may share (``sharingTopic(of:)``).
///
/// Unchecked because: what `parts` holds is written before anybody else has it, and never changed.
package struct EdgeChannel: @unchecked Sendable {
    package enum Selection: Hashable, Sendable {
        case everything
        /// The records with exactly this key, one byte or more.
        case key(ByteBuffer)
        /// The records whose key begins so; with no byte, those that have a key.
        case prefix(ByteBuffer)
    }

    /// What a selection's bytes are.
    package enum Form: UInt8, Hashable, Sendable {
        case everything
        case key
        case prefix
    }

    private final class TopicLabel: Sendable {
        let name: String

        init(_ name: String) { self.name = name }
    }

    private struct Head {
        let topic: TopicLabel
        let byteCount: UInt16
        let form: Form
    }

    private let parts: ManagedBuffer<Head, UInt8>

    private init(_ topic: TopicLabel, _ form: Form, _ bytes: UnsafeRawBufferPointer) {
        // A name has at most `channelNameBytesMax`, and its bytes are not more.
        let count = UInt16(clamping: bytes.count)
        self.parts = ManagedBuffer.create(minimumCapacity: bytes.count) { _ in
            Head(topic: topic, byteCount: count, form: form)
        }
        self.parts.withUnsafeMutablePointerToElements { elements in
            UnsafeMutableRawBufferPointer(start: elements, count: Int(count)).copyMemory(
                from: UnsafeRawBufferPointer(rebasing: bytes.prefix(Int(count))))
        }
    }

    package var topic: String { self.parts.header.topic.name }
    package var form: Form { self.parts.header.form }
    /// Of the key, or its beginning.
    package var byteCount: Int { Int(self.parts.header.byteCount) }

    package var selection: Selection {
        switch self.form {
        case .everything: .everything
        case .key: .key(self.buffer)
        case .prefix: .prefix(self.buffer)
        }
    }

    /// Reads a channel's name.
    package init(_ name: String) throws(ChannelNameError) {
        guard name.utf8.count <= Limits.channelNameBytesMax.rawValue else { throw .tooLong }
        let parts = name.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        let topic = parts.first.map(String.init) ?? ""
        if let refusal = TopicName.refusal(of: topic) { throw .topic(refusal) }
        guard parts.count == 2 else {
            self.init(TopicLabel(topic), .everything, UnsafeRawBufferPointer(start: nil, count: 0))
            return
        }
        let start = topic.utf8.count + 1
        let (bytes, isPrefix) = try ChannelEscapes.read(ByteBuffer(string: String(parts[1])), startingAt: start)
        guard isPrefix || bytes.readableBytes > 0 else { throw .emptyKey }
        self = bytes.withUnsafeReadableBytes { Self(TopicLabel(topic), isPrefix ? .prefix : .key, $0) }
    }

    /// The same channel, with the topic's name kept where the other one keeps it.
    package func sharingTopic(of other: EdgeChannel) -> EdgeChannel {
        let label = other.parts.header.topic
        guard self.parts.header.topic !== label, self.topic == label.name else { return self }
        return self.withBytes { EdgeChannel(label, self.form, $0) }
    }

    /// The key, or its beginning, as it is kept.
    private func withBytes<Answer>(_ body: (UnsafeRawBufferPointer) -> Answer) -> Answer {
        self.parts.withUnsafeMutablePointers { head, bytes in
            body(UnsafeRawBufferPointer(start: bytes, count: Int(head.pointee.byteCount)))
        }
    }

    private var buffer: ByteBuffer { self.withBytes { ByteBuffer(bytes: $0) } }

    /// Whether a record with this key belongs to the channel; nil is a record without one.
    package func takes(_ key: ByteBuffer?) -> Bool {
        if case .everything = self.form { return true }
        guard let key else { return false }
        return self.withBytes { wanted in
            key.withUnsafeReadableBytes { key in
                switch self.form {
                case .everything: true
                case .key: key.elementsEqual(wanted)
                case .prefix: key.starts(with: wanted)
                }
            }
        }
    }

    /// The partition that holds all of the channel's records in a topic of `count` partitions; nil when they may be in
    /// any.
    ///
    /// A key is in one partition only if who wrote it placed it as Kafka's Java client, ours and the edge's own `write`
    /// do. librdkafka places by CRC-32 unless told otherwise (`partitioner=murmur2_random`): for topics that such
    /// producers write, `placement` is `.anywhere`, and the channel reads all partitions.
    package func partition(of count: Int, placement: KeyPlacement) -> PartitionIndex? {
        precondition(count > 0, "a topic has a partition")
        if count == 1 { return PartitionIndex(rawValue: 0) }
        guard case .key(let key) = self.selection, placement == .murmur2 else { return nil }
        return PartitionIndex(rawValue: Int32(truncatingIfNeeded: Murmur2.partition(of: key, count: count)))
    }
}

/// What is asked of the channels of one topic.
extension EdgeChannel {
    /// Whether both take the same records of a topic.
    package func selects(as other: EdgeChannel) -> Bool {
        self.parts === other.parts || self.withBytes { own in other.withBytes { self.selects($0, own, other.form) } }
    }

    /// Whether it is this one of its topic.
    package func selects(_ form: Form, _ bytes: ByteBuffer) -> Bool {
        self.withBytes { own in bytes.withUnsafeReadableBytes { self.selects($0, own, form) } }
    }

    private func selects(_ bytes: UnsafeRawBufferPointer, _ own: UnsafeRawBufferPointer, _ form: Form) -> Bool {
        self.form == form && own.count == bytes.count && own.elementsEqual(bytes)
    }

    /// The same for all that ``selects(as:)``, and as ``selectionHash(_:_:)``; another in each process.
    package var selectionHash: Int { self.withBytes { Self.hash(self.form, $0) } }

    package static func selectionHash(_ form: Form, _ bytes: ByteBuffer) -> Int {
        bytes.withUnsafeReadableBytes { self.hash(form, $0) }
    }

    private static func hash(_ form: Form, _ bytes: UnsafeRawBufferPointer) -> Int {
        var hasher = Hasher()
        hasher.combine(form.rawValue)
        hasher.combine(bytes: bytes)
        return hasher.finalize()
    }
}

extension EdgeChannel: Hashable {
    package static func == (left: EdgeChannel, right: EdgeChannel) -> Bool {
        left.selects(as: right) && left.topic == right.topic
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(self.topic)
        hasher.combine(self.form)
        self.withBytes { hasher.combine(bytes: $0) }
    }
}

/// How the records of a topic came to their partitions.
package enum KeyPlacement: Hashable, Sendable {
    /// By the murmur2 hash of the key: Kafka's Java client and ours.
    case murmur2
    case anywhere
}

extension EdgeChannel: CustomStringConvertible {
    /// The channel's one name, at most as long as any other way to write it.
    package var description: String {
        switch self.selection {
        case .everything: self.topic
        case .key(let key): "\(self.topic)/\(ChannelEscapes.written(key))"
        case .prefix(let prefix): "\(self.topic)/\(ChannelEscapes.written(prefix))*"
        }
    }
}

/// Why a text names no channel. Places count bytes from its start.
package enum ChannelNameError: Error, Hashable, Sendable {
    /// Longer than ``Limits/channelNameBytesMax``.
    case tooLong
    /// The topic in it can not be one, and why.
    case topic(String)
    /// Nothing follows the slash.
    case emptyKey
    /// `%` without two hexadecimal digits behind it.
    case escape(at: Int)
    /// A star that is not the last character.
    case star(at: Int)
    /// A character that must be escaped.
    case unescaped(at: Int)

    /// For people.
    package var text: String {
        switch self {
        case .tooLong: "a channel's name has at most \(Limits.channelNameBytesMax.rawValue) bytes"
        case .topic(let refusal): refusal
        case .emptyKey: "a key follows the '/', or '*' for all keys; without the '/' the channel is the whole topic"
        case .escape(let place): "'%' at byte \(place) has no two hexadecimal digits behind it; '%' itself is '%25'"
        case .star(let place): "'*' at byte \(place) is not the last character; '*' itself is '%2A'"
        case .unescaped(let place): "the character at byte \(place) of the channel's name must be escaped as '%XX'"
        }
    }
}
