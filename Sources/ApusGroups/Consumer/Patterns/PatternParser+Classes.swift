/// Escapes and character classes.
extension PatternParser {
    /// Behind a backslash, outside a class.
    mutating func escape() throws(PatternError) -> PatternNode {
        switch self.peek {
        case "A":
            self.skip(1)
            return .assertion(.textStart)
        case "z":
            self.skip(1)
            return .assertion(.textEnd)
        case "b":
            self.skip(1)
            return .assertion(.wordBoundary)
        case "B":
            self.skip(1)
            return .assertion(.noWordBoundary)
        case "C":
            self.skip(1)
            return .set(.all)
        case "E":
            // The end of a quotation that did not begin.
            throw PatternError(#"\E without \Q"#)
        default: break
        }
        if let set = try self.classEscape() { return .set(self.cased(set)) }
        return self.literal(try self.characterEscape())
    }

    /// `\d`, `\s`, `\w`, `\p{…}` and their opposites; nil, and nothing is read, for anything else.
    private mutating func classEscape() throws(PatternError) -> AsciiSet? {
        let set: AsciiSet
        switch self.peek {
        case "d": set = .digits
        case "D": set = AsciiSet.digits.inverted
        case "s": set = .space
        case "S": set = AsciiSet.space.inverted
        case "w": set = .word
        case "W": set = AsciiSet.word.inverted
        case "p", "P":
            let isNegated = self.next() == "P"
            return try self.unicodeClass(isNegated: isNegated)
        default: return nil
        }
        self.skip(1)
        return set
    }

    private mutating func unicodeClass(isNegated: Bool) throws(PatternError) -> AsciiSet {
        var name = ""
        if self.take("{") {
            let inside = self.rest.prefix { $0 != "}" }
            self.skip(inside.count)
            guard self.take("}") else { throw PatternError(#"\p{ without its }"#) }
            name = String(String.UnicodeScalarView(inside))
        } else if let scalar = self.next() {
            name = String(scalar)
        }
        var isNegated = isNegated
        if name.hasPrefix("^") {
            isNegated.toggle()
            name.removeFirst()
        }
        guard let set = Self.unicodeClasses[name] else { throw PatternError(#"\p{\#(name)} is not known"#) }
        return isNegated ? set.inverted : set
    }

    /// The part of each class that is ASCII.
    private static let unicodeClasses: [String: AsciiSet] = [
        "Any": .all, "L": .letters, "Lu": .upper, "Ll": .lower, "Latin": .letters, "N": .digits, "Nd": .digits,
        "P": AsciiSet(##"!"#%&'()*,-./:;?@[\]_{}"##), "S": AsciiSet("$+<=>^`|~"), "Z": AsciiSet(" "),
        "Lt": .none, "Lm": .none, "Lo": .none, "M": .none, "Nl": .none, "No": .none, "Greek": .none,
        "Cyrillic": .none, "Han": .none,
    ]

    /// The character that an escape stands for.
    private mutating func characterEscape() throws(PatternError) -> Unicode.Scalar {
        guard let scalar = self.next() else { throw PatternError(#"a \ at the end"#) }
        switch scalar {
        case "a": return "\u{7}"
        case "f": return "\u{C}"
        case "n": return "\n"
        case "r": return "\r"
        case "t": return "\t"
        case "v": return "\u{B}"
        case "x": return try self.hexadecimal()
        case "0": return self.octal(first: 0)
        case "1"..."7":
            guard let second = self.peek, ("0"..."7").contains(second) else {
                throw PatternError("back references are not supported")
            }
            return self.octal(first: scalar.value - 48)
        default:
            let isName = AsciiSet.letters.union(.digits).contains(UInt8(clamping: scalar.value))
            guard scalar.value < 128, !isName else { throw PatternError(#"\\#(scalar) is not known"#) }
            return scalar
        }
    }

    /// Up to two more digits.
    private mutating func octal(first: UInt32) -> Unicode.Scalar {
        var value = first
        for _ in 0..<2 {
            guard let digit = self.peek, ("0"..."7").contains(digit) else { break }
            value = value * 8 + (digit.value - 48)
            self.skip(1)
        }
        return Unicode.Scalar(value) ?? "\u{FFFD}"
    }

    private mutating func hexadecimal() throws(PatternError) -> Unicode.Scalar {
        let digits: ArraySlice<Unicode.Scalar>
        if self.take("{") {
            digits = self.rest.prefix { $0 != "}" }
            self.skip(digits.count)
            guard self.take("}") else { throw PatternError(#"\x{ without its }"#) }
        } else {
            digits = self.rest.prefix(2)
            self.skip(digits.count)
            guard digits.count == 2 else { throw PatternError(#"\x without two digits"#) }
        }
        let text = String(String.UnicodeScalarView(digits))
        guard text.allSatisfy(\.isHexDigit), let value = UInt32(text, radix: 16), let scalar = Unicode.Scalar(value)
        else { throw PatternError(#"\x\#(text) is no character"#) }
        return scalar
    }

    // MARK: Classes

    /// Behind the opening bracket.
    mutating func characterClass() throws(PatternError) -> AsciiSet {
        let isNegated = self.take("^")
        var set = AsciiSet.none
        var isFirst = true
        while isFirst || self.peek != "]" {
            isFirst = false
            guard self.peek != nil else { throw PatternError("a [ without its ]") }
            if let named = try self.namedClass() {
                set = set.union(named)
                continue
            }
            if self.rest.starts(with: #"\"#.unicodeScalars) {
                let before = self
                self.skip(1)
                if let escaped = try self.classEscape() {
                    set = set.union(escaped)
                    continue
                }
                self = before
            }
            set = set.union(try self.range())
        }
        self.skip(1)
        // Both cases first: what is left out is left out in both.
        let cased = self.cased(set)
        return isNegated ? cased.inverted : cased
    }

    private mutating func range() throws(PatternError) -> AsciiSet {
        let low = try self.classCharacter()
        guard self.peek == "-", let behind = self.rest.dropFirst().first, behind != "]" else {
            return AsciiSet(low...low)
        }
        self.skip(1)
        let high = try self.classCharacter()
        guard low <= high else { throw PatternError("a range that ends before it begins") }
        return AsciiSet(low...high)
    }

    private mutating func classCharacter() throws(PatternError) -> Unicode.Scalar {
        guard let scalar = self.next() else { throw PatternError("a [ without its ]") }
        return scalar == #"\"# ? try self.characterEscape() : scalar
    }

    /// `[:alpha:]` and the like, inside a class.
    private mutating func namedClass() throws(PatternError) -> AsciiSet? {
        guard self.rest.starts(with: "[:".unicodeScalars) else { return nil }
        let inside = self.rest.dropFirst(2).prefix { $0 != ":" && $0 != "]" }
        let behind = self.rest.dropFirst(2 + inside.count)
        guard behind.starts(with: ":]".unicodeScalars) else { return nil }
        var name = String(String.UnicodeScalarView(inside))
        let isNegated = name.hasPrefix("^")
        if isNegated { name.removeFirst() }
        guard let set = Self.namedClasses[name] else { throw PatternError("[:\(name):] is not known") }
        self.skip(4 + inside.count)
        return isNegated ? set.inverted : set
    }

    private static let namedClasses: [String: AsciiSet] = [
        "alnum": AsciiSet.letters.union(.digits), "alpha": .letters, "ascii": .all, "blank": AsciiSet("\t "),
        "cntrl": AsciiSet("\u{0}"..."\u{1F}").union(AsciiSet("\u{7F}"..."\u{7F}")), "digit": .digits,
        "graph": AsciiSet("!"..."~"), "lower": .lower, "print": AsciiSet(" "..."~"), "punct": .punctuation,
        "space": AsciiSet("\t"..."\r").union(AsciiSet(" "..." ")), "upper": .upper, "word": .word,
        "xdigit": AsciiSet.digits.union(AsciiSet("A"..."F")).union(AsciiSet("a"..."f")),
    ]
}
