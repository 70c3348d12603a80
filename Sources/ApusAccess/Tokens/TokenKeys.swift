package import ApusCore
import Crypto
import CryptoExtras

/// The public keys of one identity provider, read from its key set (JWKS, RFC 7517). Where the text comes from, a file
/// or a URL that the operator wrote down, is an adapter's matter; nothing in a token leads to a key.
package struct TokenKeys: Sendable {
    package enum Refusal: Error, Hashable, Sendable {
        case tooLong(ByteCount)
        case notAKeySet
        case tooManyKeys(Int)
        /// Two keys with one id: which of them a token means would be chance.
        case duplicateKey(String)
        /// A member of a key that can not be as it is.
        case badKey(id: String, String)
        /// Not one key that could check a signature: better the old set than one that lets nobody in.
        case noKeyUsable
    }

    package let keys: [TokenKey]

    package init(_ bytes: [UInt8]) throws(Refusal) {
        guard bytes.count <= Limits.tokenKeySetBytesMax.rawValue else { throw .tooLong(.bytes(bytes.count)) }
        guard let list = JSON(bytes)?.object?["keys"]?.array else { throw .notAKeySet }
        guard list.count <= Limits.tokenKeysPerIssuerMax else { throw .tooManyKeys(list.count) }
        var keys: [TokenKey] = []
        for entry in list {
            guard let members = entry.object else { throw .notAKeySet }
            guard let key = try Self.key(members) else { continue }
            if keys.contains(where: { $0.id == key.id }) { throw .duplicateKey(key.id?.text ?? "") }
            keys.append(key)
        }
        guard !keys.isEmpty else { throw .noKeyUsable }
        self.keys = keys
    }

    /// The key that a token names; a token that names none is taken only where there is one key.
    func key(named id: ExactText?) -> TokenKey? {
        guard let id else { return self.keys.count == 1 ? self.keys[0] : nil }
        return self.keys.first { $0.id == id }
    }

    /// Nil for a key of a kind, or for a use, that is not ours (RFC 7517, section 5: such keys are passed over). Shared
    /// secrets (`oct`) are of such a kind.
    private static func key(_ members: [ExactText: JSON]) throws(Refusal) -> TokenKey? {
        let id = members["kid"]?.text
        let name = id?.text ?? ""
        if let use = members["use"], use.text != "sig" { return nil }
        if let uses = members["key_ops"]?.array, !uses.contains(.string("verify")) { return nil }
        let told = members["alg"]?.text
        let algorithm = told.flatMap { TokenAlgorithm(rawValue: $0.text) }
        if told != nil, algorithm == nil { return nil }
        let curve = members["crv"]?.text?.text ?? ""
        let only: Set<TokenAlgorithm>
        switch (members["kty"]?.text?.text, curve) {
        // Keys that say nothing are used with RS256: what the providers who write such keys sign with.
        case ("RSA", _): only = [.rs256, .rs384, .rs512, .ps256, .ps384, .ps512]
        case ("EC", "P-256"): only = [.es256]
        case ("EC", "P-384"): only = [.es384]
        case ("EC", "P-521"): only = [.es512]
        case ("OKP", "Ed25519"): only = [.ed25519]
        default: return nil
        }
        let pinned = algorithm ?? (only.count == 1 ? only.first : .rs256)
        guard let pinned, only.contains(pinned) else { throw .badKey(id: name, "alg") }
        if members.keys.contains("d") { throw .badKey(id: name, "a private key") }
        guard let material = Self.material(members, pinned) else { throw .badKey(id: name, "numbers") }
        return TokenKey(id: id, algorithm: pinned, material: material)
    }

    private static func material(_ members: [ExactText: JSON], _ algorithm: TokenAlgorithm) -> TokenKey.Material? {
        func number(_ name: ExactText, bytes: ClosedRange<Int>) -> [UInt8]? {
            guard let text = members[name]?.text, let value = Base64.url.decoded(Array(text.utf8)),
                bytes.contains(value.count)
            else { return nil }
            return value
        }
        func point(_ width: Int) -> [UInt8]? {
            guard let x = number("x", bytes: width...width), let y = number("y", bytes: width...width)
            else { return nil }
            return [4] + x + y
        }
        // `try?` throughout: numbers that are no key, such as a point beside its curve, make no key.
        switch algorithm {
        case .rs256, .rs384, .rs512, .ps256, .ps384, .ps512:
            guard let n = number("n", bytes: 256...1024), n[0] != 0, let e = number("e", bytes: 1...4), e[0] != 0,
                e.last.map({ $0 & 1 == 1 }) == true, e != [1]
            else { return nil }
            return (try? _RSA.Signing.PublicKey(n: n, e: e)).map { .rsa($0) }
        case .es256:
            return point(32).flatMap { try? P256.Signing.PublicKey(x963Representation: $0) }.map { .p256($0) }
        case .es384:
            return point(48).flatMap { try? P384.Signing.PublicKey(x963Representation: $0) }.map { .p384($0) }
        case .es512:
            return point(66).flatMap { try? P521.Signing.PublicKey(x963Representation: $0) }.map { .p521($0) }
        case .ed25519:
            return number("x", bytes: 32...32).flatMap { try? Curve25519.Signing.PublicKey(rawRepresentation: $0) }
                .map { .ed25519($0) }
        }
    }
}
