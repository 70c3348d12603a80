import ApusCore

/// The client's first message of SASL OAUTHBEARER (RFC 7628, KIP-255):
///
///     n,[a=authzid],^A auth=Bearer <token> ^A [key=value ^A …] ^A
///
/// The token is a secret until it has expired. KIP-342's extensions are read and ignored.
package struct OAuthBearerMessage: Sendable {
    package let authorizationIdentity: ExactText?
    package let token: Secret

    package enum Refusal: Error, Hashable, Sendable {
        case malformed(String)
        case channelBindingNotOffered
    }

    /// What the client sends to end a login that was refused.
    package static let abort: [UInt8] = [1]
    /// What a client whose token was refused is told (RFC 7628, section 3.2.2), before it aborts.
    package static let invalidToken = Array(#"{"status":"invalid_token"}"#.utf8)

    package init(_ message: [UInt8]) throws(Refusal) {
        guard message.count <= Limits.bearerMessageBytesMax.rawValue else { throw .malformed("too long") }
        // Bounded before it becomes memory: each part is 32 bytes, for one byte received.
        let max = Limits.saslAttributesMax
        let parts = message.split(separator: 1, maxSplits: max, omittingEmptySubsequences: false)
        guard parts.count <= max else { throw .malformed("too many pairs") }
        // header ^A pair ^A … ^A ^A: at least one pair, and two empty parts at the end.
        guard parts.count >= 4, parts.suffix(2).allSatisfy(\.isEmpty) else { throw .malformed("form") }
        self.authorizationIdentity = try Self.identity(parts[0])
        var values: [ExactText: ArraySlice<UInt8>] = [:]
        for pair in parts[1..<(parts.count - 2)] {
            let halves = pair.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
            guard halves.count == 2, !halves[0].isEmpty, halves[0].allSatisfy(isASCIILetter),
                halves[1].allSatisfy({ (0x20...0x7E).contains($0) || $0 == 9 || $0 == 10 || $0 == 13 })
            else { throw .malformed("pair") }
            let name = ExactText(String(decoding: halves[0], as: UTF8.self))
            guard values.updateValue(halves[1], forKey: name) == nil else { throw .malformed("pair twice") }
        }
        guard let credentials = values["auth"] else { throw .malformed("auth") }
        let words = credentials.split(separator: UInt8(ascii: " "), maxSplits: 2, omittingEmptySubsequences: false)
        guard words.count == 2, String(decoding: words[0], as: UTF8.self).lowercased() == "bearer", !words[1].isEmpty
        else { throw .malformed("auth") }
        self.token = Secret(words[1])
    }

    private static func identity(_ header: ArraySlice<UInt8>) throws(Refusal) -> ExactText? {
        let parts = header.split(separator: UInt8(ascii: ","), maxSplits: 3, omittingEmptySubsequences: false)
        guard let flag = parts.first else { throw .malformed("header") }
        if flag.first == UInt8(ascii: "p") { throw .channelBindingNotOffered }
        guard parts.count == 3, parts[2].isEmpty, flag.elementsEqual("n".utf8) || flag.elementsEqual("y".utf8)
        else { throw .malformed("header") }
        guard !parts[1].isEmpty else { return nil }
        guard parts[1].starts(with: "a=".utf8), let name = String(validating: parts[1].dropFirst(2), as: UTF8.self),
            Principal(user: name) != nil
        else { throw .malformed("authorization identity") }
        return ExactText(name)
    }
}
