/// The topics a subscription reads: a list of names, or a pattern.
public struct TopicInterest: Hashable, Sendable {
    private enum Kind: Hashable, Sendable {
        case names([String])
        case pattern(TopicPattern)
    }

    private let kind: Kind

    private init(kind: Kind) { self.kind = kind }

    /// Sorted and without repetition, so that two lists of the same topics are equal.
    public static func names(_ names: some Sequence<String>) -> TopicInterest {
        TopicInterest(kind: .names(Set(names).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }))
    }

    public static func pattern(_ pattern: TopicPattern) -> TopicInterest {
        TopicInterest(kind: .pattern(pattern))
    }

    /// Empty for a pattern.
    public var names: [String] {
        if case .names(let names) = self.kind { names } else { [] }
    }

    public var pattern: TopicPattern? {
        if case .pattern(let pattern) = self.kind { pattern } else { nil }
    }

    public func matches(topic: String) -> Bool {
        switch self.kind {
        case .names(let names): Self.contains(topic, in: names)
        case .pattern(let pattern): pattern.matches(topic: topic)
        }
    }

    /// By halves: a request may name thousands, and each is looked for among a thousand.
    private static func contains(_ topic: String, in names: [String]) -> Bool {
        var low = 0
        var high = names.count
        while low < high {
            let middle = low + (high - low) / 2
            if names[middle].utf8.lexicographicallyPrecedes(topic.utf8) { low = middle + 1 } else { high = middle }
        }
        return low < names.count && names[low].utf8.elementsEqual(topic.utf8)
    }
}

extension TopicInterest: CustomStringConvertible {
    /// `orders, payments` or `pattern orders.*`.
    public var description: String {
        switch self.kind {
        case .names(let names): names.isEmpty ? "no topics yet" : names.joined(separator: ", ")
        case .pattern(let pattern): "pattern \(pattern)"
        }
    }
}

/// A pattern of topic names: `*` stands for any characters, also none; `?` for one.
///
/// Not a regular expression: a pattern is tried against every topic, and this one takes at most (characters of the
/// pattern) × (characters of the name) steps, whoever wrote it. Internal topics (`__…`) are matched only by patterns
/// that begin with `__` themselves, so that `*` does not read everybody's positions.
public struct TopicPattern: Hashable, Sendable, CustomStringConvertible {
    public let text: String
    /// What every topic it matches begins with: all before the first `*` or `?`.
    public let prefix: String
    private let bytes: [UInt8]
    private let mayBeInternal: Bool

    private static let any = UInt8(ascii: "*")
    private static let one = UInt8(ascii: "?")
    private static let internalPrefix = Array("__".utf8)

    /// - Throws: when it is empty, longer than `Limits.subscriptionPatternBytesMax`, or has characters that no topic
    ///   has.
    public init(_ text: String) throws(InvalidField) {
        let bytes = Array(text.utf8)
        guard !bytes.isEmpty else { throw InvalidField("pattern", "can not be empty; '*' stands for all topics") }
        guard bytes.count <= Limits.subscriptionPatternBytesMax.rawValue else {
            throw InvalidField(
                "pattern", "has at most \(Limits.subscriptionPatternBytesMax), this has \(bytes.count) B")
        }
        guard bytes.allSatisfy({ $0 == Self.any || $0 == Self.one || TopicName.isAllowed($0) }) else {
            throw InvalidField("pattern", "is made of letters, digits, '.', '_', '-', '*' and '?' only")
        }
        self.text = text
        self.bytes = bytes
        self.prefix = String(decoding: bytes.prefix { $0 != Self.any && $0 != Self.one }, as: UTF8.self)
        self.mayBeInternal = self.prefix.hasPrefix("__")
    }

    public static func == (left: TopicPattern, right: TopicPattern) -> Bool { left.bytes == right.bytes }

    public func hash(into hasher: inout Hasher) { hasher.combine(self.bytes) }

    public var description: String { self.text }

    public func matches(topic: String) -> Bool { self.matches(bytes: Array(topic.utf8)) }

    /// The same for a topic's name as bytes, for those who try many patterns.
    ///
    /// Goes back only to the last `*`: what an earlier one could take, the last one can take as well.
    package func matches(bytes name: [UInt8]) -> Bool {
        guard self.mayBeInternal || !name.starts(with: Self.internalPrefix) else { return false }
        var at = 0
        var position = 0
        var star: (at: Int, position: Int)?
        while position < name.count {
            if at < self.bytes.count, self.bytes[at] == Self.any {
                star = (at, position)
                at += 1
            } else if at < self.bytes.count, self.bytes[at] == Self.one || self.bytes[at] == name[position] {
                at += 1
                position += 1
            } else if let last = star {
                star = (last.at, last.position + 1)
                at = last.at + 1
                position = last.position + 1
            } else {
                return false
            }
        }
        return self.bytes[at...].allSatisfy { $0 == Self.any }
    }
}
