import ApusCore
import NIOCore

/// Reads a record that a client writes. Its fields have the names that they have in a pushed record.
package enum RecordReader {
    package static let fields = [
        "key", "key_base64", "value", "text", "base64", "deleted", "type", "headers", "partition", "timestamp",
    ]

    /// The header that holds a record's content type.
    static let typeHeader = "content-type"

    package static func record(_ reader: FieldReader) throws(Problem) -> WrittenRecord {
        var headers = try self.headers(reader)
        let content = try self.content(reader)
        if let type = try reader.text("type", max: Limits.edgeContentTypeBytesMax) ?? content.type {
            headers.removeAll { $0.name == self.typeHeader }
            headers.append(WrittenRecord.Header(name: self.typeHeader, value: ByteBuffer(string: type)))
        }
        return WrittenRecord(
            key: try self.key(reader), value: content.bytes, headers: headers, partition: try reader.partition(),
            timestamp: try reader.integer("timestamp", 0...Int64.max).map { Timestamp(rawValue: $0) }
        )
    }

    private static func key(_ reader: FieldReader) throws(Problem) -> ByteBuffer? {
        let text = try reader.bytes("key", max: Limits.edgeKeyBytesMax)
        guard let encoded = try reader.bytes("key_base64", max: Limits.edgeMessageBytesMax) else { return text }
        guard text == nil else { throw Problem(.invalidRecord, "a record has either 'key' or 'key_base64'") }
        guard let key = Base64.standard.decoded(encoded), key.readableBytes <= Limits.edgeKeyBytesMax.rawValue else {
            throw Problem(.invalidRecord, "'key_base64' is Base64 with padding of at most \(Limits.edgeKeyBytesMax)")
        }
        return key
    }

    /// The value's bytes, and the type without which they would come back in another form: the text `42` as a number,
    /// bytes that happen to be text as text.
    private static func content(_ reader: FieldReader) throws(Problem) -> (bytes: ByteBuffer?, type: String?) {
        let forms = ["value", "text", "base64", "deleted"].filter { reader.has($0) }
        guard forms.count == 1, let form = forms.first else {
            throw Problem(.invalidRecord, "a record has one of 'value', 'text', 'base64' and 'deleted'")
        }
        switch form {
        case "value":
            // Absent and null are two things here: JSON's null is a value like any other.
            return (reader.value(form)?.bytes ?? ByteBuffer(string: "null"), nil)
        case "text":
            let text = try reader.required(form, try reader.bytes(form, max: Limits.edgeMessageBytesMax))
            let isPlain = RecordContent(of: text, type: nil) == .text(text)
            return (text, isPlain ? nil : "text/plain; charset=utf-8")
        case "base64":
            let text = try reader.required(form, try reader.bytes(form, max: Limits.edgeMessageBytesMax))
            guard let bytes = Base64.standard.decoded(text) else {
                throw Problem(.invalidRecord, "'base64' is Base64 with padding")
            }
            let isPlain = RecordContent(of: bytes, type: nil) == .base64(bytes)
            return (bytes, isPlain ? nil : "application/octet-stream")
        default:
            guard reader.value(form)?.boolean == true else {
                throw Problem(.invalidRecord, "'deleted' is true or absent")
            }
            return (nil, nil)
        }
    }

    /// `{"name":"value"}`, or `[["name","value"]]` where a name stands twice or a value is bytes.
    private static func headers(_ reader: FieldReader) throws(Problem) -> [WrittenRecord.Header] {
        guard let value = reader.value("headers") else { return [] }
        if value.kind == .object {
            var headers: [WrittenRecord.Header] = []
            for member in try reader.object("headers")?.members ?? [] {
                headers.append(WrittenRecord.Header(name: member.name, value: try self.headerValue(member.value)))
            }
            return headers
        }
        var headers: [WrittenRecord.Header] = []
        for pair in try reader.elements("headers", max: Limits.edgeJSONMembersMax) ?? [] {
            // What is no array of two is refused below, with the whole rule.
            guard let parts = try? pair.elements(max: 2), parts.count == 2, let name = parts[0].text else {
                throw Problem(.invalidRecord, "'headers' is an object, or an array of ['name', 'value']")
            }
            headers.append(WrittenRecord.Header(name: name, value: try self.headerValue(parts[1])))
        }
        return headers
    }

    private static func headerValue(_ value: JSONValue) throws(Problem) -> ByteBuffer? {
        if value.isNull { return nil }
        if let text = value.textBytes { return text }
        // What is no such object is refused below.
        guard let object = try? value.object(), object.members.count == 1, let text = object["base64"]?.textBytes,
            let bytes = Base64.standard.decoded(text)
        else { throw Problem(.invalidRecord, "a header's value is a string, null or {\"base64\":\"…\"}") }
        return bytes
    }
}
