import ApusCore
package import NIOCore

/// One JSON value: its kind, and its bytes as they came, without blanks around them. A slice; nothing is built until a
/// typed reading is asked for.
package struct JSONValue: Hashable, Sendable {
    package let kind: JSONKind
    package let bytes: ByteBuffer
    /// Whether a line break stands between two of its tokens. It means nothing, and may be a blank as well.
    package let breaksLines: Bool

    /// The one value that all readable bytes are, blanks around it aside.
    package init(_ buffer: ByteBuffer) throws(JSONFault) {
        let bytes = buffer.readableBytesUInt8Span
        var scanner = JSONScanner()
        scanner.skipBlanks(bytes)
        let value = try Self(in: buffer, bytes, &scanner)
        scanner.skipBlanks(bytes)
        guard scanner.position == bytes.count else { throw .trailing(at: scanner.position) }
        self = value
    }

    /// The value at the scanner's place in `buffer`, whose readable bytes are `bytes`. Moves the scanner past it.
    fileprivate init(
        in buffer: ByteBuffer, _ bytes: Span<UInt8>, _ scanner: inout JSONScanner
    ) throws(JSONFault) {
        let start = scanner.position
        self.kind = try scanner.value(bytes)
        self.breaksLines = scanner.breaksLines
        guard let slice = buffer.getSlice(at: buffer.readerIndex + start, length: scanner.position - start) else {
            throw .truncated
        }
        self.bytes = slice
    }

    package var isNull: Bool { self.kind == .null }

    package var boolean: Bool? {
        self.kind == .boolean ? self.bytes.readableBytesUInt8Span[0] == UInt8(ascii: "t") : nil
    }

    /// A whole number without fraction and exponent that fits into 64 bits; nil for everything else.
    package var integer: Int64? {
        guard self.kind == .number else { return nil }
        return Int64(String(buffer: self.bytes))
    }

    /// The bytes that a string stands for, its escapes resolved; nil for other kinds.
    package var textBytes: ByteBuffer? {
        guard self.kind == .string else { return nil }
        return JSONEscapes.resolved(self.bytes)
    }

    package var text: String? { self.textBytes.map { String(buffer: $0) } }

    /// The members of an object.
    package func object() throws(JSONFault) -> JSONObject { try JSONObject(self.bytes) }

    /// The elements of an array, at most `max`.
    package func elements(max: Int) throws(JSONFault) -> [JSONValue] {
        guard self.kind == .array else { throw .notA(.array) }
        let bytes = self.bytes.readableBytesUInt8Span
        var scanner = JSONScanner(at: 1)
        var elements: [JSONValue] = []
        scanner.skipBlanks(bytes)
        if scanner.take(UInt8(ascii: "]"), bytes) { return [] }
        while true {
            guard elements.count < max else { throw .tooMany(limit: max) }
            scanner.skipBlanks(bytes)
            elements.append(try JSONValue(in: self.bytes, bytes, &scanner))
            scanner.skipBlanks(bytes)
            if scanner.take(UInt8(ascii: "]"), bytes) { return elements }
            try scanner.expect(UInt8(ascii: ","), bytes)
        }
    }
}

/// The members of one object, by name, in their order. No name stands twice.
package struct JSONObject: Sendable {
    package struct Member: Sendable {
        package let name: String
        package let value: JSONValue
    }

    package private(set) var members: [Member] = []

    /// The one object that all readable bytes are, blanks around it aside.
    package init(_ buffer: ByteBuffer) throws(JSONFault) {
        let bytes = buffer.readableBytesUInt8Span
        var scanner = JSONScanner()
        scanner.skipBlanks(bytes)
        guard scanner.position < bytes.count else { throw .truncated }
        guard scanner.take(UInt8(ascii: "{"), bytes) else { throw .notA(.object) }
        scanner.skipBlanks(bytes)
        if !scanner.take(UInt8(ascii: "}"), bytes) { try self.readMembers(of: buffer, bytes, &scanner) }
        scanner.skipBlanks(bytes)
        guard scanner.position == bytes.count else { throw .trailing(at: scanner.position) }
    }

    package subscript(name: String) -> JSONValue? {
        self.members.first { $0.name == name }?.value
    }

    private mutating func readMembers(
        of buffer: ByteBuffer, _ bytes: Span<UInt8>, _ scanner: inout JSONScanner
    ) throws(JSONFault) {
        while true {
            guard self.members.count < Limits.edgeJSONMembersMax else {
                throw .tooMany(limit: Limits.edgeJSONMembersMax)
            }
            scanner.skipBlanks(bytes)
            let start = scanner.position
            try scanner.string(bytes)
            let quoted = buffer.getSlice(at: buffer.readerIndex + start, length: scanner.position - start)
            let name = quoted.map { String(buffer: JSONEscapes.resolved($0)) } ?? ""
            // Swift's own `==` takes two spellings of one character for the same: refusing both is on the safe side.
            guard self[name] == nil else { throw .duplicateName(name) }
            scanner.skipBlanks(bytes)
            try scanner.expect(UInt8(ascii: ":"), bytes)
            scanner.skipBlanks(bytes)
            self.members.append(Member(name: name, value: try JSONValue(in: buffer, bytes, &scanner)))
            scanner.skipBlanks(bytes)
            if scanner.take(UInt8(ascii: "}"), bytes) { return }
            try scanner.expect(UInt8(ascii: ","), bytes)
        }
    }
}
