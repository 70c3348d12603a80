package import NIOCore

/// How a record's value stands in JSON: as `value`, as `text` or as `base64`.
///
/// | the record says it is | and its bytes are | it goes out as |
/// |---|---|---|
/// | nothing, or JSON (`application/json`, `…+json`) | JSON | `value`, byte for byte |
/// | the same | other UTF-8 | `text` |
/// | `text/…` | UTF-8 | `text` |
/// | anything else, or none of the above fits | | `base64` |
/// | | no value at all (a deletion in a compacted topic) | `"deleted":true` |
///
/// So a picture that happens to be UTF-8 is bytes, and the text `42` of type `text/plain` is text. Whatever the form,
/// the same bytes come back from it, but for line breaks between the tokens of JSON, which mean nothing.
package enum RecordContent: Hashable, Sendable {
    case json(JSONValue)
    case text(ByteBuffer)
    case base64(ByteBuffer)
    case deleted

    /// - Parameter type: the record's content type, as its header has it; nil without one.
    package init(of value: ByteBuffer?, type: String?) {
        guard let value else {
            self = .deleted
            return
        }
        let family = Family(of: type)
        // Not JSON is no error, and why it is not is of no use to the reader.
        if family == .json, let json = try? JSONValue(value) {
            self = .json(json)
        } else if family != .bytes, UTF8Text.holds(value) {
            self = .text(value)
        } else {
            self = .base64(value)
        }
    }

    private enum Family {
        case json, text, bytes

        init(of type: String?) {
            guard let type else {
                self = .json
                return
            }
            // RFC 9110 section 8.3.1: case does not matter, parameters follow a semicolon.
            let essence = type.prefix { $0 != ";" }.filter { $0 != " " && $0 != "\t" }.lowercased()
            if essence == "application/json" || essence.hasSuffix("+json") {
                self = .json
            } else {
                self = essence.hasPrefix("text/") ? .text : .bytes
            }
        }
    }
}

extension ByteBuffer {
    /// The member that a record's value is, behind what the object already holds.
    mutating func writeJSONMember(_ content: RecordContent) {
        switch content {
        case .json(let value):
            self.writeJSONName("value")
            self.writeJSON(value)
        case .text(let text):
            self.writeJSONName("text")
            self.writeJSONString(utf8: text)
        case .base64(let bytes):
            self.writeJSONName("base64")
            self.writeBase64String(bytes)
        case .deleted:
            self.writeJSONName("deleted")
            self.writeStaticString("true")
        }
    }
}
