package import ApusCore

/// Why a SCRAM login ended.
package enum ScramRefusal: Error, Hashable, Sendable {
    /// Not what RFC 5802 lets a client send; the text says where.
    case malformed(String)
    case tooLong(ByteCount)
    /// The client insists on channel binding, which is not offered.
    case channelBindingNotOffered
    /// The second message does not repeat the first one's header.
    case channelBindingChanged
    /// To act for somebody else is never allowed (CVE-2017-12610).
    case otherAuthorizationIdentity
    /// A mandatory or unknown extension, delegation tokens (`tokenauth`) among them.
    case extensionNotSupported
    /// The second message's nonce is not the whole of ours: another conversation's, or replayed (CVE-2024-56128).
    case nonceMismatch
    case wrongPassword
    /// Told to the client as `wrongPassword` is.
    case unknownUser
    /// A message after the last one.
    case finished
}

/// The client's first message: `n,,n=user,r=nonce`.
struct ScramClientFirst {
    /// Up to and with the second comma; the second message repeats it.
    let header: [UInt8]
    let bare: [UInt8]
    let user: ExactText
    let nonce: [UInt8]

    init(_ message: [UInt8]) throws(ScramRefusal) {
        guard message.count <= Limits.scramMessageBytesMax.rawValue else { throw .tooLong(.bytes(message.count)) }
        let parts = message.split(separator: UInt8(ascii: ","), maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 3 else { throw .malformed("no header") }
        // "y": the client could bind and believes that we can not, which is so. "p": it must bind.
        switch parts[0].first {
        case UInt8(ascii: "n") where parts[0].count == 1, UInt8(ascii: "y") where parts[0].count == 1: break
        case UInt8(ascii: "p"): throw .channelBindingNotOffered
        default: throw .malformed("channel binding flag")
        }
        self.bare = Array(parts[2])
        self.header = Array(message[..<parts[2].startIndex])
        let attributes = try Self.attributes(self.bare)
        guard attributes.count >= 2 else { throw .malformed("no nonce") }
        // RFC 5802, section 5.1: `m` stands first and must be understood.
        if attributes[0].starts(with: "m=".utf8) { throw .extensionNotSupported }
        self.user = try Self.name(try Self.value("n", attributes[0]))
        self.nonce = Array(try Self.value("r", attributes[1]))
        guard self.nonce.allSatisfy(ScramNonce.allows) else { throw .malformed("nonce") }
        try Self.requireOptional(attributes[2...])
        guard !parts[1].isEmpty else { return }
        guard try Self.name(try Self.value("a", parts[1])) == self.user else { throw .otherAuthorizationIdentity }
    }

    /// What stands between the commas. Bounded before it becomes memory: each is 32 bytes, for one byte received.
    static func attributes(_ message: [UInt8]) throws(ScramRefusal) -> [ArraySlice<UInt8>] {
        let max = Limits.saslAttributesMax
        let parts = message.split(separator: UInt8(ascii: ","), maxSplits: max, omittingEmptySubsequences: false)
        guard parts.count <= max else { throw .malformed("too many attributes") }
        return parts
    }

    /// The value of an attribute that must stand here; at least one byte.
    static func value(_ name: Character, _ attribute: ArraySlice<UInt8>) throws(ScramRefusal) -> ArraySlice<UInt8> {
        guard attribute.starts(with: "\(name)=".utf8), attribute.count > 2 else {
            throw .malformed("attribute \(name)")
        }
        return attribute.dropFirst(2)
    }

    /// What is no attribute of ours must be one that may be ignored: a letter, `=`, a value.
    static func requireOptional(_ attributes: ArraySlice<ArraySlice<UInt8>>) throws(ScramRefusal) {
        for attribute in attributes {
            guard attribute.count > 2, let name = attribute.first, isASCIILetter(name), name != UInt8(ascii: "m"),
                attribute[attribute.startIndex + 1] == UInt8(ascii: "=")
            else { throw .extensionNotSupported }
        }
    }

    /// A `saslname`: `=2C` is a comma, `=3D` an equals sign, and `=` stands nowhere else.
    private static func name(_ bytes: ArraySlice<UInt8>) throws(ScramRefusal) -> ExactText {
        var plain: [UInt8] = []
        var rest = bytes
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "=") else {
                plain.append(byte)
                continue
            }
            switch rest.prefix(2).elementsEqual("2C".utf8) {
            case true: plain.append(UInt8(ascii: ","))
            case false:
                guard rest.prefix(2).elementsEqual("3D".utf8) else { throw .malformed("name") }
                plain.append(UInt8(ascii: "="))
            }
            rest = rest.dropFirst(2)
        }
        guard let text = String(validating: plain, as: UTF8.self), Principal(user: text) != nil else {
            throw .malformed("name")
        }
        return ExactText(text)
    }
}

/// The client's second message: `c=biws,r=nonce,p=proof`.
struct ScramClientFinal {
    let withoutProof: [UInt8]
    let header: [UInt8]
    let nonce: [UInt8]
    let proof: [UInt8]

    init(_ message: [UInt8]) throws(ScramRefusal) {
        guard message.count <= Limits.scramMessageBytesMax.rawValue else { throw .tooLong(.bytes(message.count)) }
        let attributes = try ScramClientFirst.attributes(message)
        guard attributes.count >= 3, let last = attributes.last else { throw .malformed("too few attributes") }
        let header = Base64.standard.decoded(try ScramClientFirst.value("c", attributes[0]))
        let proof = Base64.standard.decoded(try ScramClientFirst.value("p", last))
        guard let header, let proof else { throw .malformed("base64") }
        self.header = header
        self.proof = proof
        self.nonce = Array(try ScramClientFirst.value("r", attributes[1]))
        try ScramClientFirst.requireOptional(attributes[2...].dropLast())
        self.withoutProof = Array(message[..<(last.startIndex - 1)])
    }
}

/// The server's half of a conversation's nonce, drawn for that conversation only.
package struct ScramNonce: Sendable {
    let bytes: [UInt8]

    /// 192 random bits, from the Randomness port.
    package init(random: (UInt64, UInt64, UInt64)) {
        let words = [random.0, random.1, random.2]
        self.bytes = Base64.standard.encoded(
            words.flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> UInt64($0 * 8)) } })
    }

    /// One that was written down, as in the test vectors of RFC 7677.
    init?(_ text: String) {
        guard !text.isEmpty, text.utf8.allSatisfy(Self.allows) else { return nil }
        self.bytes = Array(text.utf8)
    }

    static func allows(_ byte: UInt8) -> Bool {
        (0x21...0x7E).contains(byte) && byte != UInt8(ascii: ",")
    }
}
