import ApusCore
package import NIOCore

/// Reads what a client says in CBOR (RFC 8949), and says the same in JSON, so that there is one reader of operations
/// with one set of bounds.
///
/// Where JSON needs Base64, CBOR has byte strings: `value` of bytes becomes `base64`, `key` of bytes becomes
/// `key_base64`, and a byte string elsewhere `{"base64":"…"}`. What has no meaning in an operation is refused:
/// tags, lengths that are not known at the start, names that are not text, numbers that are none.
///
/// Total: whatever the bytes, it ends in JSON of at most six times their length, or in a fault.
package struct CBORReader {
    private var bytes: ByteBuffer

    package init(_ bytes: ByteBuffer) { self.bytes = bytes }

    package var isAtEnd: Bool { self.bytes.readableBytes == 0 }

    /// The next item, as one line of JSON.
    package mutating func nextJSON() throws(CBORFault) -> ByteBuffer {
        var json = ByteBuffer()
        try self.item(into: &json, depth: 0)
        return json
    }

    private mutating func item(into json: inout ByteBuffer, depth: Int) throws(CBORFault) {
        guard depth < Limits.edgeJSONDepthMax else { throw .tooDeep }
        let (type, short) = try self.first()
        if type == .simple { return try self.simple(short, into: &json) }
        let argument = try self.argument(short)
        switch type {
        case .unsigned: json.writeString(String(argument))
        case .negative:
            // −1 − n; the last one has no UInt64 in front of which a sign could stand.
            json.writeString(argument == .max ? "-18446744073709551616" : "-\(argument + 1)")
        case .bytes:
            json.writeStaticString("{\"base64\":")
            json.writeBase64String(try self.string(argument))
            json.writeInteger(UInt8(ascii: "}"))
        case .text: json.writeJSONString(utf8: try self.text(argument))
        case .array:
            // Nothing is made for them before they come.
            json.writeInteger(UInt8(ascii: "["))
            var left = argument
            while left > 0 {
                json.writeJSONComma()
                try self.item(into: &json, depth: depth + 1)
                left -= 1
            }
            json.writeInteger(UInt8(ascii: "]"))
        case .map: try self.map(argument, into: &json, depth: depth)
        case .tag, .simple: throw .unexpected
        }
    }

    private mutating func map(_ count: UInt64, into json: inout ByteBuffer, depth: Int) throws(CBORFault) {
        json.writeInteger(UInt8(ascii: "{"))
        var left = count
        while left > 0 {
            let (type, short) = try self.first()
            guard type == .text else { throw .nameIsNoText }
            let name = try self.text(try self.argument(short))
            json.writeJSONComma()
            if depth == 0, let form = Self.form(of: name), let bytes = try self.takeBytes() {
                json.writeJSONString(form)
                json.writeInteger(UInt8(ascii: ":"))
                json.writeBase64String(bytes)
            } else {
                json.writeJSONString(utf8: name)
                json.writeInteger(UInt8(ascii: ":"))
                try self.item(into: &json, depth: depth + 1)
            }
            left -= 1
        }
        json.writeInteger(UInt8(ascii: "}"))
    }

    /// What a member is called whose value is bytes.
    private static func form(of name: ByteBuffer) -> String? {
        switch String(buffer: name) {
        case "value": "base64"
        case "key": "key_base64"
        default: nil
        }
    }

    /// The next item, if it is a byte string.
    private mutating func takeBytes() throws(CBORFault) -> ByteBuffer? {
        guard let first = self.bytes.getInteger(at: self.bytes.readerIndex, as: UInt8.self) else { throw .truncated }
        guard first >> 5 == ByteBuffer.CBORType.bytes.rawValue else { return nil }
        let (_, short) = try self.first()
        return try self.string(try self.argument(short))
    }

    private mutating func first() throws(CBORFault) -> (ByteBuffer.CBORType, UInt8) {
        guard let first = self.bytes.readInteger(as: UInt8.self) else { throw .truncated }
        guard let type = ByteBuffer.CBORType(rawValue: first >> 5) else { throw .unexpected }
        return (type, first & 31)
    }

    private mutating func argument(_ short: UInt8) throws(CBORFault) -> UInt64 {
        let argument: UInt64?
        switch short {
        case 0..<24: return UInt64(short)
        case 24: argument = self.bytes.readInteger(as: UInt8.self).map { UInt64($0) }
        case 25: argument = self.bytes.readInteger(as: UInt16.self).map { UInt64($0) }
        case 26: argument = self.bytes.readInteger(as: UInt32.self).map { UInt64($0) }
        case 27: argument = self.bytes.readInteger(as: UInt64.self)
        default: throw .unexpected
        }
        guard let argument else { throw .truncated }
        return argument
    }

    private mutating func string(_ length: UInt64) throws(CBORFault) -> ByteBuffer {
        guard length <= UInt64(self.bytes.readableBytes), let string = self.bytes.readSlice(length: Int(length)) else {
            throw .truncated
        }
        return string
    }

    private mutating func text(_ length: UInt64) throws(CBORFault) -> ByteBuffer {
        let text = try self.string(length)
        guard UTF8Text.holds(text) else { throw .notUTF8 }
        return text
    }

    private mutating func simple(_ short: UInt8, into json: inout ByteBuffer) throws(CBORFault) {
        let number: Double?
        switch short {
        case 20:
            json.writeStaticString("false")
            return
        case 21:
            json.writeStaticString("true")
            return
        // Undefined is what is not there; JSON has null for it.
        case 22, 23:
            json.writeStaticString("null")
            return
        case 25: number = self.bytes.readInteger(as: UInt16.self).map { Self.half($0) }
        case 26: number = self.bytes.readInteger(as: UInt32.self).map { Double(Float(bitPattern: $0)) }
        case 27: number = self.bytes.readInteger(as: UInt64.self).map { Double(bitPattern: $0) }
        default: throw .unexpected
        }
        guard let number else { throw .truncated }
        guard number.isFinite else { throw .unexpected }
        // JavaScript has one kind of number: what is whole is written so.
        json.writeString(Int64(exactly: number).map { String($0) } ?? "\(number)")
    }

    /// A number of 16 bits (appendix D of the RFC).
    private static func half(_ bits: UInt16) -> Double {
        let exponent = Int(bits >> 10 & 31)
        let fraction = Double(bits & 0x3FF)
        let value: Double
        switch exponent {
        case 0: value = fraction / 16_777_216
        case 31: value = fraction == 0 ? .infinity : .nan
        default: value = Double(sign: .plus, exponent: exponent - 25, significand: fraction + 1024)
        }
        return bits & 0x8000 == 0 ? value : -value
    }
}

/// Why bytes are no CBOR that can be an operation.
package enum CBORFault: Error, Hashable, Sendable {
    case truncated
    /// A tag, a length that is not known at the start, or a number that is none.
    case unexpected
    case tooDeep
    case notUTF8
    case nameIsNoText
}

extension Problem {
    package init(_ fault: CBORFault) {
        let detail =
            switch fault {
            case .truncated: "the CBOR ends too soon"
            case .unexpected: "tags, lengths that are not known at the start, and numbers that are none are not taken"
            case .tooDeep: "the CBOR is nested too deeply"
            case .notUTF8: "a text is not UTF-8"
            case .nameIsNoText: "the names of a map are texts"
            }
        self.init(.invalidRequest, detail)
    }
}
