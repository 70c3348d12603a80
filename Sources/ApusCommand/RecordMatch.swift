import NIOCore

/// `--match`: which records are shown.
///
/// | typed | holds when |
/// |---|---|
/// | `text` | the value contains the text |
/// | `key=text`, `value=text`, `header.NAME=text` | it is exactly the text |
/// | `key!=text` … | it is not (also when there is none) |
/// | `key~text` … | it contains the text |
/// | `key!~text` … | it does not |
///
/// Bytes are compared, not characters.
package struct RecordMatch: Hashable, Sendable {
    enum Field: Hashable, Sendable {
        case key
        case value
        case header(String)
    }

    let field: Field
    private let text: [UInt8]
    private let isContained: Bool
    private let isNegated: Bool

    package init(_ expression: String) throws(CommandFailure) {
        guard let operation = expression.firstIndex(where: { "=!~".contains($0) }),
            let field = try Self.field(expression[..<operation], in: expression)
        else {
            guard !expression.isEmpty else { throw Self.refusal(expression) }
            (self.field, self.text, self.isContained, self.isNegated) = (.value, Array(expression.utf8), true, false)
            return
        }
        var rest = expression[operation...]
        self.isNegated = rest.first == "!"
        if self.isNegated { rest = rest.dropFirst() }
        guard let sign = rest.first, sign == "=" || sign == "~" else { throw Self.refusal(expression) }
        self.isContained = sign == "~"
        self.field = field
        self.text = Array(rest.dropFirst().utf8)
    }

    /// nil: the expression is a bare text that happens to have a sign in it.
    private static func field(_ name: Substring, in expression: String) throws(CommandFailure) -> Field? {
        switch name {
        case "key": return .key
        case "value": return .value
        default:
            guard name.hasPrefix("header.") else { return nil }
            guard name.count > "header.".count else { throw Self.refusal(expression) }
            return .header(String(name.dropFirst("header.".count)))
        }
    }

    private static func refusal(_ expression: String) -> CommandFailure {
        .usage(
            "\"\(expression)\" matches nothing that is known",
            next: "use TEXT (in the value), key=TEXT, value~TEXT, header.NAME!=TEXT or key!~TEXT")
    }

    package func holds(for record: ShownRecord) -> Bool {
        switch self.field {
        case .key: self.holds(record.key)
        case .value: self.holds(record.value)
        case .header(let name):
            // Names may repeat: one that holds is enough, and all must not be what must not be.
            self.isNegated
                ? record.headers.filter { $0.name == name }.allSatisfy { self.holds($0.value) }
                : record.headers.contains { $0.name == name && self.holds($0.value) }
        }
    }

    private func holds(_ bytes: ByteBuffer?) -> Bool {
        guard let bytes else { return self.isNegated }
        let view = bytes.readableBytesView
        guard self.isContained else { return view.elementsEqual(self.text) != self.isNegated }
        let isFound = self.text.isEmpty || bytes.split(at: self.text) != nil
        return isFound != self.isNegated
    }
}
