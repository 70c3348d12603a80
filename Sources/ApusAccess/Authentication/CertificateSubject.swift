/// Whom a client's certificate names: the subject of an X.509 certificate (RFC 5280), as text (RFC 2253).
///
/// Whether the certificate is to be believed was decided before, by TLS; here it is only read. Reading is total: what
/// is not DER in the form of a certificate is no subject.
package struct CertificateSubject: Hashable, Sendable {
    /// As Kafka writes it by default: `CN=alice,OU=Orders,O=Example`, the most particular first.
    package let text: String
    /// The first common name, where there is one.
    package let commonName: String?

    /// - Parameter certificate: DER.
    package init?(certificate: [UInt8]) {
        var outer = DERReader(certificate[...])
        guard var body = outer.enter(.sequence), var fields = body.enter(.sequence) else { return nil }
        if fields.tag == .version { guard fields.skip() else { return nil } }
        // Serial number, signature algorithm, issuer, validity.
        for _ in 0..<4 { guard fields.skip() else { return nil } }
        guard var names = fields.enter(.sequence) else { return nil }
        var parts: [String] = []
        var commonName: String?
        while !names.isEmpty {
            guard var set = names.enter(.set), !set.isEmpty else { return nil }
            var pairs: [String] = []
            while !set.isEmpty {
                guard var pair = set.enter(.sequence), let type = pair.read(.objectIdentifier),
                    let value = pair.readAny(), let name = Self.name(of: Array(type))
                else { return nil }
                let text = Self.text(value)
                if name == "CN", commonName == nil { commonName = text }
                // What has no name of its own is written by its bytes, which nobody can read two ways.
                let isShort = Self.names[Array(type)] != nil
                let written = isShort ? text.map { Self.escaped($0) } : nil
                pairs.append("\(name)=\(written ?? Self.hexadecimal(value))")
            }
            parts.append(pairs.joined(separator: "+"))
        }
        self.text = parts.reversed().joined(separator: ",")
        self.commonName = commonName
    }

    /// The attributes that RFC 2253 has short names for, by their object identifiers.
    private static let names: [[UInt8]: String] = [
        [0x55, 4, 3]: "CN", [0x55, 4, 6]: "C", [0x55, 4, 7]: "L", [0x55, 4, 8]: "ST", [0x55, 4, 9]: "STREET",
        [0x55, 4, 10]: "O", [0x55, 4, 11]: "OU",
        [0x09, 0x92, 0x26, 0x89, 0x93, 0xF2, 0x2C, 0x64, 1, 25]: "DC",
        [0x09, 0x92, 0x26, 0x89, 0x93, 0xF2, 0x2C, 0x64, 1, 1]: "UID",
    ]

    private static func name(of identifier: [UInt8]) -> String? {
        if let name = Self.names[identifier] { return name }
        var numbers: [UInt64] = []
        var number: UInt64 = 0
        for byte in identifier {
            guard number < 1 << 56 else { return nil }
            number = number << 7 | UInt64(byte & 0x7F)
            guard byte & 0x80 == 0 else { continue }
            // The first number holds two.
            if numbers.isEmpty {
                let first = min(number / 40, 2)
                numbers = [first, number - first * 40]
            } else {
                numbers.append(number)
            }
            number = 0
        }
        return numbers.isEmpty ? nil : numbers.map { String($0) }.joined(separator: ".")
    }

    /// The text of a string; nil for what is none, or has letters that are none.
    private static func text(_ value: DERValue) -> String? {
        switch value.tag {
        case .utf8String, .printableString, .ia5String, .numericString:
            return String(validating: value.content, as: UTF8.self)
        case .bmpString:
            guard value.content.count.isMultiple(of: 2) else { return nil }
            let bytes = Array(value.content)
            let units = stride(from: 0, to: bytes.count, by: 2).map { UInt16(bytes[$0]) << 8 | UInt16(bytes[$0 + 1]) }
            return String(validating: units, as: UTF16.self)
        case .teletexString:
            // Whoever writes it means Latin-1; what all agree on is ASCII.
            return value.content.allSatisfy { $0 < 0x80 } ? String(decoding: value.content, as: UTF8.self) : nil
        default: return nil
        }
    }

    private static func hexadecimal(_ value: DERValue) -> String {
        "#" + ApusAccess.hexadecimal(value.whole)
    }

    /// RFC 2253, section 2.4.
    private static func escaped(_ text: String) -> String {
        var result = ""
        let scalars = Array(text.unicodeScalars)
        for (index, scalar) in scalars.enumerated() {
            let isEdge = index == 0 || index == scalars.count - 1
            switch scalar {
            case ",", "+", "\"", "\\", "<", ">", ";": result += "\\"
            case "#" where index == 0: result += "\\"
            case " " where isEdge: result += "\\"
            default: break
            }
            result.unicodeScalars.append(scalar)
        }
        return result
    }
}

/// One value of DER: its tag, what is in it, and both together with the length.
struct DERValue {
    let tag: DERTag
    let content: ArraySlice<UInt8>
    let whole: ArraySlice<UInt8>
}

struct DERTag: Hashable {
    let rawValue: UInt8

    static let objectIdentifier = DERTag(rawValue: 0x06)
    static let utf8String = DERTag(rawValue: 0x0C)
    static let numericString = DERTag(rawValue: 0x12)
    static let printableString = DERTag(rawValue: 0x13)
    static let teletexString = DERTag(rawValue: 0x14)
    static let ia5String = DERTag(rawValue: 0x16)
    static let bmpString = DERTag(rawValue: 0x1E)
    static let sequence = DERTag(rawValue: 0x30)
    static let set = DERTag(rawValue: 0x31)
    /// A certificate's version, when it is not the first.
    static let version = DERTag(rawValue: 0xA0)
}

/// Reads DER (X.690) value by value: tags of one byte, definite lengths. Total.
struct DERReader {
    private var rest: ArraySlice<UInt8>

    init(_ bytes: ArraySlice<UInt8>) {
        self.rest = bytes
    }

    var isEmpty: Bool { self.rest.isEmpty }
    var tag: DERTag? { self.rest.first.map { DERTag(rawValue: $0) } }

    mutating func readAny() -> DERValue? {
        let start = self.rest
        guard let tag = self.rest.popFirst(), tag & 0x1F != 0x1F, let first = self.rest.popFirst() else { return nil }
        var length = Int(first)
        if first & 0x80 != 0 {
            // At most three bytes of length: no certificate has 16 MiB.
            guard (1...3).contains(first & 0x7F) else { return nil }
            length = 0
            for _ in 0..<(first & 0x7F) {
                guard let byte = self.rest.popFirst() else { return nil }
                length = length << 8 | Int(byte)
            }
        }
        guard self.rest.count >= length else { return nil }
        let content = self.rest.prefix(length)
        self.rest = self.rest.dropFirst(length)
        return DERValue(tag: DERTag(rawValue: tag), content: content, whole: start.dropLast(self.rest.count))
    }

    mutating func read(_ tag: DERTag) -> ArraySlice<UInt8>? {
        guard let value = self.readAny(), value.tag == tag else { return nil }
        return value.content
    }

    mutating func enter(_ tag: DERTag) -> DERReader? {
        self.read(tag).map { DERReader($0) }
    }

    mutating func skip() -> Bool {
        self.readAny() != nil
    }
}
