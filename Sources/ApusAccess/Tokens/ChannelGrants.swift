import ApusCore
package import NIOCore

/// Records of a topic that somebody wants to use: all of them, or those of some keys.
package enum ChannelKeys: Hashable, Sendable {
    /// Every record, those without a key included.
    case everything
    case key(ByteBuffer)
    /// The keys that begin so; with no byte, every record that has a key.
    case prefix(ByteBuffer)

    /// Whether all of the other's records are among these.
    func covers(_ other: ChannelKeys) -> Bool {
        switch (self, other) {
        case (.everything, _): true
        case (.key(let own), .key(let key)): own == key
        case (.prefix(let own), .key(let bytes)), (.prefix(let own), .prefix(let bytes)):
            bytes.getSlice(at: bytes.readerIndex, length: own.readableBytes) == own
        case (_, .everything), (.key, .prefix): false
        }
    }
}

/// What somebody wants to do with the records of a channel.
package enum ChannelUse: Sendable {
    /// To write them.
    case write
    /// To read them by any door.
    case read
    /// To read them over WebSocket or as an event stream.
    case subscribe
}

/// The channels that a token's claim `apus` names, and what its bearer may do with each:
///
///     "apus": {"read": ["news", "chat/room-*"], "write": ["chat/u7"], "subscribe": ["orders-*"]}
///
/// | written | means |
/// |---|---|
/// | `news` | the topic `news`, all of it |
/// | `orders-*` | all topics whose names begin so; `*` alone is every topic |
/// | `chat/room-7` | the records of `chat` with this key |
/// | `chat/room-*`, `chat/*` | those whose key begins so, those that have a key |
///
/// Keys are written as in the name of a channel: `%XX` stands for one byte. `subscribe` is reading at the edge; who may
/// `read` may do so there, too.
///
/// **With the claim a token is good for what it names and for no other topic**, whatever rules allow its bearer; rules
/// that deny still hold (`docs/decisions/0028-token-claims.md`). A claim that is not exactly of this form makes the
/// token one that is refused: half of a claim read as the whole could allow too much.
package struct ChannelGrants: Hashable, Sendable {
    private let read: [ChannelPattern]
    private let write: [ChannelPattern]
    private let subscribe: [ChannelPattern]

    /// Reads the claim's value.
    package init(json text: some Collection<UInt8>) throws(TokenRefusal) {
        guard let claim = JSON(text) else { throw .channels("it is no JSON") }
        try self.init(claim: claim)
    }

    init(claim: JSON) throws(TokenRefusal) {
        guard let members = claim.object else { throw .channels("it is no object") }
        guard members.keys.allSatisfy({ ["read", "write", "subscribe"].contains($0.text) }) else {
            throw .channels("it has other members than 'read', 'write' and 'subscribe'")
        }
        var lists: [ExactText: [ChannelPattern]] = [:]
        var count = 0
        for (name, value) in members {
            guard let elements = value.array else { throw .channels("'\(name.text)' is no array") }
            count += elements.count
            guard count <= Limits.tokenPatternsMax else {
                throw .channels("it names more than \(Limits.tokenPatternsMax) channels")
            }
            lists[name] = try elements.map { element throws(TokenRefusal) in
                guard let text = element.text, let pattern = ChannelPattern(text.text) else {
                    throw .channels("'\(name.text)' has an element that names no channel")
                }
                return pattern
            }
        }
        self.read = lists["read"] ?? []
        self.write = lists["write"] ?? []
        self.subscribe = lists["subscribe"] ?? []
    }

    /// The same, told by somebody who has read the claim: ``patterns`` of theirs.
    package init(read: [String], write: [String], subscribe: [String]) throws(TokenRefusal) {
        guard read.count + write.count + subscribe.count <= Limits.tokenPatternsMax else {
            throw .channels("it names more than \(Limits.tokenPatternsMax) channels")
        }
        func patterns(_ texts: [String]) throws(TokenRefusal) -> [ChannelPattern] {
            try texts.map { text throws(TokenRefusal) in
                guard let pattern = ChannelPattern(text) else { throw .channels("a pattern names no channel") }
                return pattern
            }
        }
        self.read = try patterns(read)
        self.write = try patterns(write)
        self.subscribe = try patterns(subscribe)
    }

    /// The patterns as the claim has them.
    package var patterns: (read: [String], write: [String], subscribe: [String]) {
        (self.read.map(\.text), self.write.map(\.text), self.subscribe.map(\.text))
    }

    /// Whether the bearer may do it with all of these records.
    package func allow(_ use: ChannelUse, _ keys: ChannelKeys, ofTopic name: ExactText) -> Bool {
        switch use {
        case .write: self.write.contains { $0.covers(keys, ofTopic: name) }
        case .read: self.read.contains { $0.covers(keys, ofTopic: name) }
        case .subscribe: (self.read + self.subscribe).contains { $0.covers(keys, ofTopic: name) }
        }
    }

    /// What may be done with the topic as a whole. That it is there may be seen by whoever may use any of it.
    func operations(onTopic name: ExactText) -> OperationSet {
        var operations: OperationSet = []
        if self.allow(.read, .everything, ofTopic: name) { operations.insert(.read) }
        if self.allow(.write, .everything, ofTopic: name) { operations.insert(.write) }
        if self.all.contains(where: { $0.names(name) }) { operations.insert(.describe) }
        return operations
    }

    /// The same for some topic or other.
    var operationsSomewhere: OperationSet {
        var operations: OperationSet = []
        if self.read.contains(where: \.isWhole) { operations.insert(.read) }
        if self.write.contains(where: \.isWhole) { operations.insert(.write) }
        if !self.all.isEmpty { operations.insert(.describe) }
        return operations
    }

    private var all: [ChannelPattern] { self.read + self.write + self.subscribe }
}

/// One pattern of channels.
private struct ChannelPattern: Hashable, Sendable {
    /// As it was written.
    let text: String
    private let topic: ExactText
    private let isTopicPrefix: Bool
    private let keys: ChannelKeys

    init?(_ text: String) {
        guard text.utf8.count <= Limits.channelNameBytesMax.rawValue else { return nil }
        let parts = Array(text.utf8).split(separator: UInt8(ascii: "/"), maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = parts.first else { return nil }
        let star = UInt8(ascii: "*")
        self.isTopicPrefix = first.last == star
        let name = self.isTopicPrefix ? first.dropLast() : first
        let isName = name.allSatisfy { byte in
            isASCIILetter(byte) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                || [UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-")].contains(byte)
        }
        guard isName, self.isTopicPrefix || !name.isEmpty, let topic = String(validating: name, as: UTF8.self) else {
            return nil
        }
        self.text = text
        self.topic = ExactText(topic)
        guard parts.count == 2 else {
            self.keys = .everything
            return
        }
        // Of which topic's keys would be anybody's guess.
        guard !self.isTopicPrefix, let (key, isPrefix) = Self.key(parts[1]), isPrefix || key.readableBytes > 0 else {
            return nil
        }
        self.keys = isPrefix ? .prefix(key) : .key(key)
    }

    /// The bytes that a key's writing stands for, and whether a star ends it.
    private static func key(_ text: ArraySlice<UInt8>) -> (ByteBuffer, isPrefix: Bool)? {
        var key = ByteBuffer()
        var rest = text
        while let byte = rest.popFirst() {
            switch byte {
            case UInt8(ascii: "*"): return rest.isEmpty ? (key, true) : nil
            case UInt8(ascii: "%"):
                let digits = rest.prefix(2).compactMap { Character(Unicode.Scalar($0)).hexDigitValue }
                guard digits.count == 2 else { return nil }
                rest = rest.dropFirst(2)
                key.writeInteger(UInt8(truncatingIfNeeded: digits[0] << 4 | digits[1]))
            default: key.writeInteger(byte)
            }
        }
        return (key, false)
    }

    var isWhole: Bool { self.keys == .everything }

    func names(_ topic: ExactText) -> Bool {
        self.isTopicPrefix ? topic.hasPrefix(self.topic) : topic == self.topic
    }

    func covers(_ keys: ChannelKeys, ofTopic topic: ExactText) -> Bool {
        self.names(topic) && self.keys.covers(keys)
    }
}
