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
/// Its parts are in one place however often it is copied: an endpoint server knows one channel by many of its parts.
package struct EdgeChannel: Sendable {
    package enum Selection: Hashable, Sendable {
        case everything
        /// The records with exactly this key, one byte or more.
        case key(ByteBuffer)
        /// The records whose key begins so; with no byte, those that have a key.
        case prefix(ByteBuffer)
    }

    private final class Parts: Sendable {
        let topic: String
        let selection: Selection

        init(_ topic: String, _ selection: Selection) {
            self.topic = topic
            self.selection = selection
        }
    }

    private let parts: Parts

    package var topic: String { self.parts.topic }
    package var selection: Selection { self.parts.selection }

    /// Reads a channel's name.
    package init(_ name: String) throws(ChannelNameError) {
        guard name.utf8.count <= Limits.channelNameBytesMax.rawValue else { throw .tooLong }
        let parts = name.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        let topic = parts.first.map(String.init) ?? ""
        if let refusal = TopicName.refusal(of: topic) { throw .topic(refusal) }
        guard parts.count == 2 else {
            self.parts = Parts(topic, .everything)
            return
        }
        let start = topic.utf8.count + 1
        let (bytes, isPrefix) = try ChannelEscapes.read(ByteBuffer(string: String(parts[1])), startingAt: start)
        guard isPrefix || bytes.readableBytes > 0 else { throw .emptyKey }
        self.parts = Parts(topic, isPrefix ? .prefix(bytes) : .key(bytes))
    }

    /// Whether a record with this key belongs to the channel; nil is a record without one.
    package func takes(_ key: ByteBuffer?) -> Bool {
        switch self.selection {
        case .everything: true
        case .key(let wanted): key == wanted
        case .prefix(let prefix):
            key.map { $0.getSlice(at: $0.readerIndex, length: prefix.readableBytes) == prefix } ?? false
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

extension EdgeChannel: Hashable {
    package static func == (left: EdgeChannel, right: EdgeChannel) -> Bool {
        left.parts === right.parts || (left.selection == right.selection && left.topic == right.topic)
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(self.topic)
        hasher.combine(self.selection)
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
