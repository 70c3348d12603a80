import ApusCore
package import NIOCore

/// CBOR (RFC 8949) written into a buffer: definite lengths and the shortest heads only, so that one thing is written in
/// one way (section 4.2.1, but for the order of members, which is that of our JSON).
extension ByteBuffer {
    /// Major types (section 3.1).
    enum CBORType: UInt8 {
        case unsigned = 0
        case negative = 1
        case bytes = 2
        case text = 3
        case array = 4
        case map = 5
        case tag = 6
        case simple = 7
    }

    mutating func writeCBORHead(_ type: CBORType, _ argument: UInt64) {
        let major = type.rawValue << 5
        switch argument {
        case 0..<24: self.writeInteger(major | UInt8(truncatingIfNeeded: argument))
        case 24...0xFF: self.writeMultipleIntegers(major | 24, UInt8(truncatingIfNeeded: argument))
        case 0x100...0xFFFF: self.writeMultipleIntegers(major | 25, UInt16(truncatingIfNeeded: argument))
        case 0x1_0000...0xFFFF_FFFF: self.writeMultipleIntegers(major | 26, UInt32(truncatingIfNeeded: argument))
        default: self.writeMultipleIntegers(major | 27, argument)
        }
    }

    package mutating func writeCBORMap(_ members: Int) { self.writeCBORHead(.map, UInt64(members)) }

    package mutating func writeCBORArray(_ elements: Int) { self.writeCBORHead(.array, UInt64(elements)) }

    package mutating func writeCBORBytes(_ bytes: ByteBuffer) {
        self.writeCBORHead(.bytes, UInt64(bytes.readableBytes))
        self.writeImmutableBuffer(bytes)
    }

    /// - Parameter text: UTF-8.
    package mutating func writeCBORText(utf8 text: ByteBuffer) {
        self.writeCBORHead(.text, UInt64(text.readableBytes))
        self.writeImmutableBuffer(text)
    }

    package mutating func writeCBORText(_ text: String) {
        self.writeCBORHead(.text, UInt64(text.utf8.count))
        self.writeString(text)
    }

    package mutating func writeCBORName(_ name: StaticString) {
        self.writeCBORHead(.text, UInt64(name.utf8CodeUnitCount))
        self.writeStaticString(name)
    }

    package mutating func writeCBORInteger(_ number: Int64) {
        if number >= 0 {
            self.writeCBORHead(.unsigned, UInt64(number))
        } else {
            // −1 − n, which no negative number overflows (section 3.1).
            self.writeCBORHead(.negative, UInt64(-1 - number))
        }
    }

    package mutating func writeCBOR(_ boolean: Bool) { self.writeInteger(UInt8(boolean ? 0xF5 : 0xF4)) }

    package mutating func writeCBORNull() { self.writeInteger(UInt8(0xF6)) }

    /// The same as JSON says it: what we write about an operation is made as JSON, whatever format its client has.
    package mutating func writeCBOR(_ value: JSONValue) throws(JSONFault) {
        switch value.kind {
        case .null: self.writeCBORNull()
        case .boolean: self.writeCBOR(value.boolean == true)
        case .number:
            if let integer = value.integer { return self.writeCBORInteger(integer) }
            self.writeInteger(UInt8(0xFB))
            self.writeInteger((Double(String(buffer: value.bytes)) ?? .nan).bitPattern)
        case .string: self.writeCBORText(utf8: value.textBytes ?? ByteBuffer())
        case .array:
            let elements = try value.elements(max: .max)
            self.writeCBORArray(elements.count)
            for element in elements { try self.writeCBOR(element) }
        case .object:
            let members = try value.object().members
            self.writeCBORMap(members.count)
            for member in members {
                self.writeCBORText(member.name)
                try self.writeCBOR(member.value)
            }
        }
    }

    /// The records as an array of maps with the members that JSON has, but for these: a key, a value and a header's
    /// value are byte strings, under `key` and `value`, whatever is in them.
    package mutating func writeCBOR(_ records: [EdgeRecord]) {
        self.writeCBORArray(records.count)
        for record in records { self.writeCBOR(record) }
    }

    package mutating func writeCBOR(_ record: EdgeRecord) {
        let hasTime = record.timestamp != .none
        let headers = record.headers
        self.writeCBORMap(3 + (hasTime ? 1 : 0) + (record.key == nil ? 0 : 1) + (headers.isEmpty ? 0 : 1))
        self.writeCBORName("partition")
        self.writeCBORInteger(Int64(record.partition.rawValue))
        self.writeCBORName("offset")
        self.writeCBORInteger(record.offset.rawValue)
        if hasTime {
            self.writeCBORName("timestamp")
            self.writeCBORInteger(record.timestamp.rawValue)
        }
        if let key = record.key {
            self.writeCBORName("key")
            self.writeCBORBytes(key)
        }
        if let value = record.value {
            self.writeCBORName("value")
            self.writeCBORBytes(value)
        } else {
            self.writeCBORName("deleted")
            self.writeCBOR(true)
        }
        guard !headers.isEmpty else { return }
        self.writeCBORName("headers")
        self.writeCBORArray(headers.count)
        for header in headers {
            self.writeCBORArray(2)
            self.writeCBORText(header.name)
            if let value = header.value { self.writeCBORBytes(value) } else { self.writeCBORNull() }
        }
    }
}
