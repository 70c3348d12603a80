import ApusCore
import HTTPTypes
import NIOCore
import WebFormats

/// A record whose value is the body as it came; the rest stands in headers:
///
/// | header | is |
/// |---|---|
/// | `Apus-Key`, `Apus-Key-Base64` | the key |
/// | `Apus-Partition`, `Apus-Timestamp` | those, as whole numbers |
/// | `Apus-Header-trace` | the record's header `trace` |
/// | `Content-Type` | kept as the record's type, unless it is curl's for `-d` |
enum RawRecord {
    private static let headerPrefix = "apus-header-"

    static func record(_ body: ByteBuffer, _ fields: HTTPFields) throws(Problem) -> WrittenRecord {
        var headers: [WrittenRecord.Header] = []
        for field in fields where field.name.canonicalName.hasPrefix(self.headerPrefix) {
            let name = String(field.name.canonicalName.dropFirst(self.headerPrefix.count))
            headers.append(WrittenRecord.Header(name: name, value: ByteBuffer(string: field.value)))
        }
        let type = fields[.contentType]
        switch MediaType(type) {
        case .form, .none: break
        default:
            if let type {
                headers.append(WrittenRecord.Header(name: "content-type", value: ByteBuffer(string: type)))
            }
        }
        return WrittenRecord(
            key: try self.key(fields), value: body, headers: headers,
            partition: try self.number(fields, .partition, max: Int64(Limits.partitionsPerTopicMax - 1)).map {
                PartitionIndex(rawValue: Int32(truncatingIfNeeded: $0))
            },
            timestamp: try self.number(fields, .timestamp, max: .max).map { Timestamp(rawValue: $0) })
    }

    private static func key(_ fields: HTTPFields) throws(Problem) -> ByteBuffer? {
        guard let encoded = fields[.keyBase64] else { return fields[.key].map { ByteBuffer(string: $0) } }
        guard fields[.key] == nil, let key = Base64.standard.decoded(ByteBuffer(string: encoded)) else {
            throw Problem(
                .invalidRecord, "a record has either Apus-Key or Apus-Key-Base64, which is Base64 with padding")
        }
        return key
    }

    private static func number(
        _ fields: HTTPFields, _ name: HTTPField.Name, max: Int64
    ) throws(Problem) -> Int64? {
        guard let text = fields[name] else { return nil }
        guard let number = Int64(text), (0...max).contains(number) else {
            throw Problem(.invalidRecord, "\(name.rawName) is a whole number from 0 to \(max)")
        }
        return number
    }
}

extension HTTPField.Name {
    fileprivate static let key = HTTPField.Name("Apus-Key") ?? .ifMatch
    fileprivate static let keyBase64 = HTTPField.Name("Apus-Key-Base64") ?? .ifMatch
    fileprivate static let partition = HTTPField.Name("Apus-Partition") ?? .ifMatch
    fileprivate static let timestamp = HTTPField.Name("Apus-Timestamp") ?? .ifMatch
}
