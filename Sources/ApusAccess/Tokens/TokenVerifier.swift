package import ApusCore

/// An identity provider whose tokens are taken, as the operator wrote it down.
package struct TokenIssuer: Sendable {
    /// The `iss` of its tokens, byte for byte.
    package let name: ExactText
    /// A token must name one of these in its `aud`.
    package let audiences: Set<ExactText>
    /// Nil until a key set was read, and then nothing of this issuer is taken.
    package var keys: TokenKeys?

    package init(name: ExactText, audiences: Set<ExactText>, keys: TokenKeys?) {
        self.name = name
        self.audiences = audiences
        self.keys = keys
    }
}

/// What a token proved.
package struct VerifiedToken: Hashable, Sendable {
    package let principal: Principal
    /// Not good any more from this moment on.
    package let expires: Timestamp
    /// The channels it is for; nil: it names none, and rules alone say what its bearer may do.
    package let channels: ChannelGrants?
}

/// Why a token is refused. For the log and the audit trail; the client is told `invalid_token`.
package enum TokenRefusal: Error, Hashable, Sendable {
    /// No issuer is configured, or the issuer's keys were not read: nothing is taken.
    case noKeySource
    case tooLong(ByteCount)
    case notThreeParts
    case base64
    case header(String)
    case algorithm(String)
    /// A header member that says where to find a key, or that must be understood: never followed.
    case headerMember(String)
    case unknownKey
    case signature
    case claims(String)
    case issuer
    case audience
    case expired
    case notYetValid
    case subject
    /// The claim `apus`, and what is wrong with it. In our words: nothing of the token is in them.
    case channels(String)
}

/// Checks bearer tokens: signed JWTs (RFC 7515, 7519) under the rules of RFC 8725.
///
/// **What is believed when.** Nothing of a token is, before its signature holds. Its `iss` and `kid` are read first,
/// but only to pick among the keys that the operator configured: never to fetch, open or ask anything (CVE-2026-32301),
/// and keys are looked up under their issuer, so that one provider's key id says nothing about another's
/// (CVE-2026-49998). The algorithm is the key's own; a token that names another is refused. Without a key source
/// nothing passes (CVE-2026-110985).
package struct TokenVerifier: Sendable {
    private var issuers: [ExactText: TokenIssuer]

    /// At most `Limits.tokenIssuersMax` issuers, each with an audience: a token that is good anywhere is no login.
    package init(_ issuers: [TokenIssuer] = []) {
        precondition(issuers.count <= Limits.tokenIssuersMax)
        precondition(issuers.allSatisfy { !$0.audiences.isEmpty && !$0.name.isEmpty })
        self.issuers = Dictionary(issuers.map { ($0.name, $0) }) { _, _ in preconditionFailure("one issuer twice") }
    }

    /// New keys of an issuer, or nil when it has none any more.
    package mutating func set(_ keys: TokenKeys?, of issuer: ExactText) {
        self.issuers[issuer]?.keys = keys
    }

    package func verify(_ token: [UInt8], now: Timestamp) throws(TokenRefusal) -> VerifiedToken {
        guard self.issuers.values.contains(where: { $0.keys != nil }) else { throw .noKeySource }
        guard token.count <= Limits.tokenBytesMax.rawValue else { throw .tooLong(.bytes(token.count)) }
        let parts = token.split(separator: UInt8(ascii: "."), maxSplits: 3, omittingEmptySubsequences: false)
        guard parts.count == 3 else { throw .notThreeParts }
        guard let header = Base64.url.decoded(parts[0]), let payload = Base64.url.decoded(parts[1]),
            let signature = Base64.url.decoded(parts[2])
        else { throw .base64 }
        let (algorithm, keyID) = try Self.header(header)
        guard let claims = JSON(payload)?.object else { throw .claims("not one JSON object") }
        guard let name = claims["iss"]?.text, let issuer = self.issuers[name] else { throw .issuer }
        guard let keys = issuer.keys else { throw .noKeySource }
        guard let key = keys.key(named: keyID) else { throw .unknownKey }
        guard key.algorithm == algorithm else { throw .algorithm(algorithm.rawValue) }
        guard key.verifies(signature, over: Array(token[..<parts[1].endIndex])) else { throw .signature }
        return try Self.verified(claims, issuer, now: now)
    }

    private static func header(
        _ bytes: [UInt8]
    ) throws(TokenRefusal) -> (algorithm: TokenAlgorithm, keyID: ExactText?) {
        guard let members = JSON(bytes)?.object else { throw .header("not one JSON object") }
        for name in ["crit", "b64", "jku", "jwk", "x5u", "x5c", "zip", "enc", "cty"]
        where members.keys.contains(ExactText(name)) {
            throw .headerMember(name)
        }
        if let type = members["typ"] {
            guard let text = type.text?.text.lowercased(), ["jwt", "at+jwt", "application/at+jwt"].contains(text)
            else { throw .header("typ") }
        }
        guard let name = members["alg"]?.text else { throw .header("alg") }
        guard let algorithm = TokenAlgorithm(rawValue: name.text) else {
            throw .algorithm(String(name.text.prefix(16)))
        }
        guard let id = members["kid"] else { return (algorithm, nil) }
        guard let text = id.text, !text.isEmpty else { throw .header("kid") }
        return (algorithm, text)
    }

    private static func verified(
        _ claims: [ExactText: JSON], _ issuer: TokenIssuer, now: Timestamp
    ) throws(TokenRefusal) -> VerifiedToken {
        let audiences: [ExactText?]
        switch claims["aud"] {
        case .string(let one): audiences = [one]
        case .array(let many): audiences = many.map(\.text)
        default: throw .audience
        }
        guard audiences.allSatisfy({ $0 != nil }),
            audiences.contains(where: { $0.map(issuer.audiences.contains) ?? false })
        else { throw .audience }
        let expires = try Self.moment("exp", claims)
        guard let expires else { throw .claims("exp") }
        guard now < Timestamp(rawValue: expires.rawValue + Self.skew) else { throw .expired }
        for name: ExactText in ["nbf", "iat"] {
            guard let from = try Self.moment(name, claims) else { continue }
            guard from.rawValue - Self.skew <= now.rawValue else { throw .notYetValid }
        }
        guard let subject = claims["sub"]?.text, let principal = Principal(user: subject.text) else { throw .subject }
        let channels = try claims["apus"].map { claim throws(TokenRefusal) in try ChannelGrants(claim: claim) }
        return VerifiedToken(principal: principal, expires: expires, channels: channels)
    }

    /// How far our clock and the issuer's may be apart, in milliseconds.
    private static let skew = Limits.tokenClockSkewMax.wholeMilliseconds
    /// The year 10000: later is a unit's mistake (milliseconds for seconds), or an attempt on the arithmetic.
    private static let secondsMax = 253_402_300_800.0

    /// A NumericDate (RFC 7519): seconds since 1970, maybe with a fraction.
    private static func moment(_ name: ExactText, _ claims: [ExactText: JSON]) throws(TokenRefusal) -> Timestamp? {
        guard let value = claims[name] else { return nil }
        guard let seconds = value.number, seconds >= 0, seconds < Self.secondsMax else { throw .claims(name.text) }
        return Timestamp(rawValue: Int64(seconds * 1000))
    }
}
