import ApusCore

/// `name=value`, as `-H` and `-c` take it. The value may hold more equal signs, or nothing.
package struct KeyValue: Hashable, Sendable {
    package var name: String
    package var value: String

    package init(_ text: String) throws(CommandFailure) {
        guard let sign = text.firstIndex(of: "="), sign > text.startIndex else {
            throw .usage("\"\(text)\" is not name=value")
        }
        self.name = String(text[..<sign])
        self.value = String(text[text.index(after: sign)...])
    }

    /// A topic's setting. Where the protocol wants milliseconds or bytes, `7d` and `1GiB` are understood too.
    package static func setting(_ text: String) throws(CommandFailure) -> KeyValue {
        var pair = try KeyValue(text)
        guard Int64(pair.value) == nil else { return pair }
        if pair.name.hasSuffix(".ms") {
            pair.value = String(try Quantity.duration(pair.value).milliseconds)
        } else if pair.name.hasSuffix(".bytes") {
            pair.value = String(try Quantity.size(pair.value).rawValue)
        }
        return pair
    }
}

extension Duration {
    /// Whole milliseconds; a duration that was typed is far inside the range.
    fileprivate var milliseconds: Int64 {
        self.components.seconds * 1000 + self.components.attoseconds / 1_000_000_000_000_000
    }
}
