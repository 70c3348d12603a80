/// Reads the text of `-f` into pieces. See ``RecordFormat`` for the tokens.
struct RecordFormatParser {
    private let text: String
    private var rest: ArraySlice<UInt8>
    private let isHeader: Bool

    init(_ text: String, isHeader: Bool = false) {
        self.text = text
        self.rest = Array(text.utf8)[...]
        self.isHeader = isHeader
    }

    mutating func pieces() throws(CommandFailure) -> [RecordFormat.Piece] {
        var pieces: [RecordFormat.Piece] = []
        var literal: [UInt8] = []
        while let byte = self.rest.popFirst() {
            switch byte {
            case UInt8(ascii: "\\"):
                guard let escaped = Escapes.escaped(&self.rest) else { throw self.refusal("has an unknown escape") }
                literal.append(escaped)
            case UInt8(ascii: "%") where self.rest.first == UInt8(ascii: "%"):
                literal.append(UInt8(ascii: "%"))
                self.rest.removeFirst()
            case UInt8(ascii: "%"):
                if !literal.isEmpty { pieces.append(.literal(literal)) }
                literal = []
                pieces.append(try self.token())
            default: literal.append(byte)
            }
        }
        if !literal.isEmpty { pieces.append(.literal(literal)) }
        return pieces
    }

    private mutating func token() throws(CommandFailure) -> RecordFormat.Piece {
        guard let letter = self.rest.popFirst() else { throw self.refusal("ends in a percent sign") }
        let modifier = try self.modifier()
        switch Unicode.Scalar(letter) {
        case "k": return .bytes(.key, try self.encoding(modifier))
        case "v", "s": return .bytes(.value, try self.encoding(modifier))
        case "t": return .bytes(.topic, try self.encoding(modifier))
        case "d": return .moment(try self.moment(modifier))
        case "a":
            switch modifier {
            case "compression": return .compression
            case "timestamp-type": return .number(.timestampType)
            default: throw self.refusal("has %a without {compression} or {timestamp-type}")
            }
        case "h" where !self.isHeader:
            var parser = RecordFormatParser(modifier ?? "%k=%v ", isHeader: true)
            return .headers(try parser.pieces())
        case let letter:
            let numbers: [Unicode.Scalar: RecordFormat.Number] = [
                "T": .topicLength, "K": .keyLength, "V": .valueLength, "S": .valueLength, "H": .headerCount,
                "p": .partition, "o": .offset, "e": .epoch, "i": .printed,
            ]
            guard let number = numbers[letter] else { throw self.refusal("has an unknown token %\(letter)") }
            guard modifier == nil else { throw self.refusal("has a modifier on %\(letter), which takes none") }
            return .number(number)
        }
    }

    /// What stands in braces behind a token; braces may nest.
    private mutating func modifier() throws(CommandFailure) -> String? {
        guard self.rest.first == UInt8(ascii: "{") else { return nil }
        self.rest.removeFirst()
        var depth = 1
        var inner: [UInt8] = []
        while let byte = self.rest.popFirst() {
            if byte == UInt8(ascii: "{") { depth += 1 }
            if byte == UInt8(ascii: "}") { depth -= 1 }
            if depth == 0 { return String(decoding: inner, as: UTF8.self) }
            inner.append(byte)
        }
        throw self.refusal("opens a brace that it does not close")
    }

    private func encoding(_ modifier: String?) throws(CommandFailure) -> RecordFormat.Encoding {
        switch modifier {
        case nil: .plain
        case "hex": .hex
        case "base64": .base64
        case let other?: throw self.refusal("has an unknown encoding {\(other)}")
        }
    }

    private func moment(_ modifier: String?) throws(CommandFailure) -> RecordFormat.Moment {
        switch modifier {
        case nil, "ms": return .milliseconds
        case "s": return .seconds
        case "iso": return .iso
        case let other?:
            guard other.hasPrefix("strftime["), other.hasSuffix("]") else {
                throw self.refusal("has an unknown time format {\(other)}")
            }
            return .strftime(String(other.dropFirst("strftime[".count).dropLast()))
        }
    }

    private func refusal(_ what: String) -> CommandFailure {
        .usage(
            "the format \"\(self.text)\" \(what)",
            next: "tokens are %t %p %o %e %k %v %h %d %a %i %K %V %H %T %%, as in -f '%t[%p]@%o %k %v\\n'"
        )
    }
}
