import ApusCore
import HTTPTypes
import NIOCore
import WebFormats

/// CloudEvents 1.0 over HTTP, as records: the HTTP binding on one side, the Kafka binding on the other.
///
/// Structured, an event is the record's value as it came. Binary, the body is the value and the attributes are record
/// headers `ce_…`. The key is the event's `partitionkey`, as that extension says.
enum CloudEvents {
    private static let type = "application/cloudevents+json; charset=utf-8"

    static func record(structured body: ByteBuffer) throws(Problem) -> WrittenRecord {
        do throws(JSONFault) { return try self.record(try JSONValue(body)) } catch { throw Problem(error) }
    }

    static func records(batched body: ByteBuffer) throws(Problem) -> [WrittenRecord] {
        do throws(JSONFault) {
            var records: [WrittenRecord] = []
            for event in try JSONValue(body).elements(max: Limits.webRecordsPerWriteMax) {
                records.append(try self.record(event))
            }
            guard !records.isEmpty else { throw JSONFault.truncated }
            return records
        } catch {
            throw Problem(error)
        }
    }

    private static func record(_ event: JSONValue) throws(JSONFault) -> WrittenRecord {
        let members = try event.object()
        for name in ["id", "source", "specversion", "type"] where members[name]?.text?.isEmpty ?? true {
            throw .notA(.string)
        }
        let header = WrittenRecord.Header(name: "content-type", value: ByteBuffer(string: self.type))
        return WrittenRecord(key: members["partitionkey"]?.textBytes, value: event.bytes, headers: [header])
    }

    static func record(binary body: ByteBuffer, _ fields: HTTPFields) throws(Problem) -> WrittenRecord {
        var headers: [WrittenRecord.Header] = []
        var key: ByteBuffer?
        for field in fields where field.name.canonicalName.hasPrefix("ce-") {
            let name = field.name.canonicalName.dropFirst(3)
            // Values are percent-encoded where they are not plain (HTTP binding, section 3.1.3.2).
            guard let value = PercentText.decoded(field.value) else {
                throw Problem(.invalidRecord, "\(field.name.rawName) is not percent-encoded UTF-8")
            }
            if name == "partitionkey" { key = ByteBuffer(string: value) }
            headers.append(WrittenRecord.Header(name: "ce_\(name)", value: ByteBuffer(string: value)))
        }
        let names = Set(headers.map(\.name))
        guard ["ce_id", "ce_source", "ce_specversion", "ce_type"].allSatisfy({ names.contains($0) }) else {
            throw Problem(.invalidRecord, "an event has ce-id, ce-source, ce-specversion and ce-type")
        }
        if let type = fields[.contentType] {
            headers.append(WrittenRecord.Header(name: "content-type", value: ByteBuffer(string: type)))
        }
        return WrittenRecord(key: key, value: body, headers: headers)
    }
}
