import ApusCore
import NIOCore

/// JSON as the records of `__presence` have it: objects and arrays of texts, whole numbers, and lists of such objects.
///
/// What is written holds no control character, whatever names strangers gave: they are escaped, as are the characters
/// that only change how a line looks. What is read may be anything, and may not take more stack than it has levels:
/// four.
enum PresenceText {
    indirect enum Value: Hashable, Sendable {
        case text(String)
        case number(Int64)
        case list([Value])
        case object([String: Value])

        var text: String? { if case .text(let text) = self { text } else { nil } }
        var number: Int64? { if case .number(let number) = self { number } else { nil } }
        var list: [Value]? { if case .list(let list) = self { list } else { nil } }
        var object: [String: Value]? { if case .object(let object) = self { object } else { nil } }
    }

    /// Nil when the bytes are not one such value.
    static func read(_ bytes: ByteBuffer) -> Value? {
        var reader = Reader(bytes: bytes)
        guard let value = reader.value(levels: 4), reader.bytes.readableBytes == 0 else { return nil }
        return value
    }

    private struct Reader {
        var bytes: ByteBuffer

        mutating func skip(_ byte: Character) -> Bool {
            guard let wanted = byte.asciiValue, self.peek == wanted else { return false }
            self.bytes.moveReaderIndex(forwardBy: 1)
            return true
        }

        var peek: UInt8? { self.bytes.getInteger(at: self.bytes.readerIndex) }

        mutating func value(levels: Int) -> Value? {
            guard levels > 0, let first = self.peek else { return nil }
            switch first {
            case UInt8(ascii: "\""): return self.text().map { .text($0) }
            case UInt8(ascii: "["): return self.list(levels)
            case UInt8(ascii: "{"): return self.object(levels)
            default: return self.number().map { .number($0) }
            }
        }

        private mutating func list(_ levels: Int) -> Value? {
            guard self.skip("[") else { return nil }
            var list: [Value] = []
            if self.skip("]") { return .list(list) }
            while let value = self.value(levels: levels - 1) {
                list.append(value)
                if self.skip("]") { return .list(list) }
                guard self.skip(",") else { return nil }
            }
            return nil
        }

        private mutating func object(_ levels: Int) -> Value? {
            guard self.skip("{") else { return nil }
            var object: [String: Value] = [:]
            if self.skip("}") { return .object(object) }
            while let name = self.text(), self.skip(":"), let value = self.value(levels: levels - 1) {
                guard object.updateValue(value, forKey: name) == nil else { return nil }
                if self.skip("}") { return .object(object) }
                guard self.skip(",") else { return nil }
            }
            return nil
        }

        private mutating func number() -> Int64? {
            var length = 0
            while let byte: UInt8 = self.bytes.getInteger(at: self.bytes.readerIndex + length),
                byte == UInt8(ascii: "-") || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
            {
                length += 1
            }
            return self.bytes.readString(length: length).flatMap { Int64($0) }
        }

        private mutating func text() -> String? {
            guard self.skip("\"") else { return nil }
            var text = ByteBuffer()
            while let byte = self.bytes.readInteger(as: UInt8.self) {
                switch byte {
                case UInt8(ascii: "\""): return text.readString(length: text.readableBytes)
                case UInt8(ascii: "\\"):
                    guard let scalar = self.escape() else { return nil }
                    text.writeString(String(Character(scalar)))
                case ..<0x20: return nil
                default: text.writeInteger(byte)
                }
            }
            return nil
        }

        /// Of those that we write: quote, backslash and four digits, which are never half of a pair.
        private mutating func escape() -> Unicode.Scalar? {
            switch self.bytes.readInteger(as: UInt8.self) {
            case UInt8(ascii: "\""): return "\""
            case UInt8(ascii: "\\"): return "\\"
            case UInt8(ascii: "u"):
                guard let digits = self.bytes.readString(length: 4), let value = UInt32(digits, radix: 16) else {
                    return nil
                }
                return Unicode.Scalar(value)
            default: return nil
            }
        }
    }
}

extension ByteBuffer {
    mutating func writePresenceText(_ text: String) {
        self.writeInteger(UInt8(ascii: "\""))
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": self.writeStaticString("\\\"")
            case "\\": self.writeStaticString("\\\\")
            case _ where scalar.isHidden:
                let digits = String(scalar.value, radix: 16)
                self.writeString("\\u" + String(repeating: "0", count: 4 - digits.count) + digits)
            default: self.writeString(String(Character(scalar)))
            }
        }
        self.writeInteger(UInt8(ascii: "\""))
    }

    mutating func writePresenceMember(_ name: StaticString, _ text: String) {
        self.writePresenceName(name)
        self.writePresenceText(text)
    }

    mutating func writePresenceMember(_ name: StaticString, _ number: Int64) {
        self.writePresenceName(name)
        self.writeString(String(number))
    }

    mutating func writePresenceName(_ name: StaticString) {
        self.writeStaticString(",\"")
        self.writeStaticString(name)
        self.writeStaticString("\":")
    }
}

extension Unicode.Scalar {
    /// Control characters, line separators, and what changes the direction of a line. All have four digits.
    fileprivate var isHidden: Bool {
        self.value < 0x20 || (0x7F...0x9F).contains(self.value) || (0x2028...0x202E).contains(self.value)
            || (0x2066...0x2069).contains(self.value)
    }
}
