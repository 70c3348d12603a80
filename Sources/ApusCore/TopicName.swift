/// What a topic may be called (Kafka's rules): 1 to 249 of `a-z A-Z 0-9 . _ -`, and not `.` or `..`.
package enum TopicName {
    /// Nil when the name is allowed, else why not.
    package static func refusal(of name: String) -> String? {
        let bytes = name.utf8
        guard !bytes.isEmpty else { return "a topic's name can not be empty" }
        guard bytes.count <= Limits.topicNameCharactersMax else {
            return "a topic's name has at most \(Limits.topicNameCharactersMax) characters, this has \(bytes.count)"
        }
        guard name != ".", name != ".." else { return "a topic can not be named '.' or '..'" }
        guard bytes.allSatisfy({ self.isAllowed($0) }) else {
            return "a topic's name is made of letters, digits, '.', '_' and '-' only"
        }
        return nil
    }

    /// Names that differ only in `.` and `_` are one in metric names, so only one of them may exist.
    package static func collisionKey(_ name: String) -> String {
        String(decoding: name.utf8.map { $0 == UInt8(ascii: ".") ? UInt8(ascii: "_") : $0 }, as: UTF8.self)
    }

    package static func canCollide(_ name: String) -> Bool {
        name.utf8.contains { $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "_") }
    }

    static func isAllowed(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
            true
        default: false
        }
    }
}
