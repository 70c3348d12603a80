package import ApusCore
package import NIOCore

/// A record as edge clients are given it, by WebSocket, as a server-sent event and over HTTP alike:
///
///     {"partition":1,"offset":8,"timestamp":1763632800000,"key":"u1","value":{"t":"hi"},
///      "type":"application/json","headers":[["trace","a1"],["sum",{"base64":"/w=="}]]}
///
/// `timestamp` is in milliseconds since 1970. A key that is not UTF-8 is `key_base64`; without a key there is neither.
/// ``RecordContent`` says what stands for the value. `type` is the record's `content-type` header; the other headers
/// keep their order, and a name may stand twice. Slices of what the log holds; nothing is copied before it is written.
package struct EdgeRecord: Hashable, Sendable {
    package var partition: PartitionIndex
    package var offset: Offset
    package var timestamp: Timestamp
    package var key: ByteBuffer?
    package var value: ByteBuffer?
    package var headers: [WrittenRecord.Header]

    package init(
        partition: PartitionIndex, offset: Offset, timestamp: Timestamp, key: ByteBuffer?, value: ByteBuffer?,
        headers: [WrittenRecord.Header] = []
    ) {
        self.partition = partition
        self.offset = offset
        self.timestamp = timestamp
        self.key = key
        self.value = value
        self.headers = headers
    }

    /// The place among the headers of the one that says the value's type, and that type.
    fileprivate var type: (place: Int, text: String)? {
        for (place, header) in self.headers.enumerated() where header.name.lowercased() == RecordReader.typeHeader {
            guard let value = header.value, value.readableBytes <= Limits.edgeContentTypeBytesMax.rawValue,
                UTF8Text.holds(value)
            else { return nil }
            return (place, String(buffer: value))
        }
        return nil
    }
}

extension ByteBuffer {
    /// The records as an array.
    package mutating func writeJSON(_ records: [EdgeRecord]) {
        self.writeInteger(UInt8(ascii: "["))
        for record in records {
            self.writeJSONComma()
            self.writeJSON(record)
        }
        self.writeInteger(UInt8(ascii: "]"))
    }

    /// The record as a JSON object, in one line.
    package mutating func writeJSON(_ record: EdgeRecord) {
        self.writeStaticString("{\"partition\":")
        self.writeJSONInteger(record.partition.rawValue)
        self.writeJSONName("offset")
        self.writeJSONInteger(record.offset.rawValue)
        if record.timestamp != .none {
            self.writeJSONName("timestamp")
            self.writeJSONInteger(record.timestamp.rawValue)
        }
        if let key = record.key {
            if UTF8Text.holds(key) {
                self.writeJSONName("key")
                self.writeJSONString(utf8: key)
            } else {
                self.writeJSONName("key_base64")
                self.writeBase64String(key)
            }
        }
        let type = record.headers.isEmpty ? nil : record.type
        self.writeJSONMember(RecordContent(of: record.value, type: type?.text))
        if let type {
            self.writeJSONName("type")
            self.writeJSONString(type.text)
        }
        self.writeJSONHeaders(record.headers, without: type?.place)
        self.writeInteger(UInt8(ascii: "}"))
    }

    private mutating func writeJSONHeaders(_ headers: [WrittenRecord.Header], without place: Int?) {
        guard headers.count > (place == nil ? 0 : 1) else { return }
        self.writeJSONName("headers")
        self.writeInteger(UInt8(ascii: "["))
        for (index, header) in headers.enumerated() where index != place {
            self.writeJSONComma()
            self.writeInteger(UInt8(ascii: "["))
            self.writeJSONString(header.name)
            self.writeInteger(UInt8(ascii: ","))
            if let value = header.value {
                if UTF8Text.holds(value) {
                    self.writeJSONString(utf8: value)
                } else {
                    self.writeStaticString("{\"base64\":")
                    self.writeBase64String(value)
                    self.writeInteger(UInt8(ascii: "}"))
                }
            } else {
                self.writeStaticString("null")
            }
            self.writeInteger(UInt8(ascii: "]"))
        }
        self.writeInteger(UInt8(ascii: "]"))
    }
}
