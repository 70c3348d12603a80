/// A JSON value that keeps its keys in the order they were given: output that is diffed must not shuffle.
package indirect enum JSON: Sendable {
    case null
    case bool(Bool)
    case integer(Int64)
    case number(Double)
    case string(String)
    case array([JSON])
    case object([(String, JSON)])

    /// On one line, without spaces.
    package var compact: String {
        var text = ""
        self.write(into: &text, indent: nil)
        return text
    }

    /// On many lines, two spaces deep.
    package var pretty: String {
        var text = ""
        self.write(into: &text, indent: 0)
        return text
    }

    /// The value as a cell of `-o raw`: strings without quotes, nothing for null.
    package var bare: String {
        switch self {
        case .null: ""
        case .string(let text): text
        default: self.compact
        }
    }

    private func write(into text: inout String, indent: Int?) {
        switch self {
        case .null: text += "null"
        case .bool(let value): text += value ? "true" : "false"
        case .integer(let value): text += String(value)
        // JSON has no word for infinity or not-a-number.
        case .number(let value): text += value.isFinite ? "\(value)" : "null"
        case .string(let value): Self.write(value, into: &text)
        case .array(let items):
            Self.write(items, "[", "]", into: &text, indent: indent) { item, text, deeper in
                item.write(into: &text, indent: deeper)
            }
        case .object(let fields):
            Self.write(fields, "{", "}", into: &text, indent: indent) { field, text, deeper in
                Self.write(field.0, into: &text)
                text += deeper == nil ? ":" : ": "
                field.1.write(into: &text, indent: deeper)
            }
        }
    }

    private static func write<Item>(
        _ items: [Item], _ open: String, _ close: String, into text: inout String, indent: Int?,
        _ one: (Item, inout String, Int?) -> Void
    ) {
        text += open
        let deeper = indent.map { $0 + 2 }
        for (index, item) in items.enumerated() {
            if index > 0 { text += "," }
            if let deeper { text += "\n" + String(repeating: " ", count: deeper) }
            one(item, &text, deeper)
        }
        if let indent, !items.isEmpty { text += "\n" + String(repeating: " ", count: indent) }
        text += close
    }

    private static func write(_ string: String, into text: inout String) {
        text += "\""
        for scalar in string.unicodeScalars {
            switch scalar {
            case "\"": text += "\\\""
            case "\\": text += "\\\\"
            case "\n": text += "\\n"
            case "\r": text += "\\r"
            case "\t": text += "\\t"
            case "\u{0}"..<"\u{20}", "\u{7F}":
                let hex = String(scalar.value, radix: 16)
                text += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
            default: text.unicodeScalars.append(scalar)
            }
        }
        text += "\""
    }
}
