/// The head of an HTTP request, as far as the edge looks at it. Names of headers in any case.
package struct WebRequest: Sendable {
    package var method: String
    /// Path and query as they came.
    package var target: String
    /// HTTP/1.1; nothing else can be upgraded.
    package var isVersion11: Bool
    package var headers: [(name: String, value: String)]

    package init(
        method: String, target: String, isVersion11: Bool = true, headers: [(name: String, value: String)]
    ) {
        self.method = method
        self.target = target
        self.isVersion11 = isVersion11
        self.headers = headers
    }

    package var path: String { String(self.target.prefix { $0 != "?" }) }

    package func values(of name: String) -> [String] {
        self.headers.filter { $0.name.lowercased() == name }.map(\.value)
    }

    /// The value of a header that comes once; nil when it does not come, or is not clear.
    package func value(of name: String) -> String? {
        let values = self.values(of: name)
        return values.count == 1 ? values[0] : nil
    }

    /// The members of a header that is a list, without blanks, in lower case.
    func list(_ name: String) -> [String] {
        self.values(of: name).flatMap { $0.split(separator: ",") }.map { Self.trimmed($0).lowercased() }
    }

    static func trimmed(_ text: some StringProtocol) -> String {
        let blanks: Set<Character> = [" ", "\t"]
        let start = text.drop { blanks.contains($0) }
        return String(String(start.reversed().drop { blanks.contains($0) }.reversed()))
    }

    /// The query's fields in their order, unescaped; nil when an escape is none, or the bytes are not UTF-8.
    package var query: [(name: String, value: String)]? {
        guard let mark = self.target.firstIndex(of: "?") else { return [] }
        var fields: [(String, String)] = []
        let text = self.target[self.target.index(after: mark)...].prefix { $0 != "#" }
        for part in text.split(separator: "&") {
            let halves = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = Self.unescaped(halves[0]), let value = Self.unescaped(halves.count == 2 ? halves[1] : "")
            else { return nil }
            fields.append((name, value))
        }
        return fields
    }

    /// As forms are written (WHATWG URL section 5.1): a plus is a blank.
    private static func unescaped(_ text: some StringProtocol) -> String? {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            switch byte {
            case UInt8(ascii: "+"): bytes.append(UInt8(ascii: " "))
            case UInt8(ascii: "%"):
                guard let high = rest.popFirst().flatMap(Self.digit), let low = rest.popFirst().flatMap(Self.digit)
                else { return nil }
                bytes.append(high << 4 | low)
            default: bytes.append(byte)
            }
        }
        return String(validating: bytes, as: UTF8.self)
    }

    private static func digit(_ letter: UInt8) -> UInt8? {
        Character(UnicodeScalar(letter)).hexDigitValue.map { UInt8(truncatingIfNeeded: $0) }
    }
}
