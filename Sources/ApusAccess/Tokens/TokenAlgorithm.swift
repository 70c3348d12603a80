import Crypto
import CryptoExtras

/// The signature algorithms of RFC 7518 and RFC 8037 that are taken. Public keys only: with a shared secret (`HS256`)
/// whoever can check a token can make one, and mixing the two kinds is the classic forgery. `none` is no algorithm.
package enum TokenAlgorithm: String, CaseIterable, Sendable {
    case rs256 = "RS256"
    case rs384 = "RS384"
    case rs512 = "RS512"
    case ps256 = "PS256"
    case ps384 = "PS384"
    case ps512 = "PS512"
    case es256 = "ES256"
    case es384 = "ES384"
    case es512 = "ES512"
    case ed25519 = "EdDSA"
}

/// One public key of an identity provider, good for exactly one algorithm (RFC 8725, section 3.1): the key says which,
/// never the token.
package struct TokenKey: Sendable {
    enum Material: Sendable {
        case rsa(_RSA.Signing.PublicKey)
        case p256(P256.Signing.PublicKey)
        case p384(P384.Signing.PublicKey)
        case p521(P521.Signing.PublicKey)
        case ed25519(Curve25519.Signing.PublicKey)
    }

    package let id: ExactText?
    package let algorithm: TokenAlgorithm
    let material: Material

    /// Whether `signature` is this key's over `bytes`: one verification, some ten to a hundred microseconds.
    func verifies(_ signature: [UInt8], over bytes: [UInt8]) -> Bool {
        switch self.material {
        case .rsa(let key): self.verifies(signature, over: bytes, key)
        // `try?`: what is not even the form of a signature is none.
        case .p256(let key):
            (try? P256.Signing.ECDSASignature(rawRepresentation: signature)).map {
                key.isValidSignature($0, for: bytes)
            } ?? false
        case .p384(let key):
            (try? P384.Signing.ECDSASignature(rawRepresentation: signature)).map {
                key.isValidSignature($0, for: bytes)
            } ?? false
        case .p521(let key):
            (try? P521.Signing.ECDSASignature(rawRepresentation: signature)).map {
                key.isValidSignature($0, for: bytes)
            } ?? false
        case .ed25519(let key): key.isValidSignature(signature, for: bytes)
        }
    }

    private func verifies(_ signature: [UInt8], over bytes: [UInt8], _ key: _RSA.Signing.PublicKey) -> Bool {
        let signature = _RSA.Signing.RSASignature(rawRepresentation: signature)
        return switch self.algorithm {
        case .rs256: key.isValidSignature(signature, for: SHA256.hash(data: bytes), padding: .insecurePKCS1v1_5)
        case .rs384: key.isValidSignature(signature, for: SHA384.hash(data: bytes), padding: .insecurePKCS1v1_5)
        case .rs512: key.isValidSignature(signature, for: SHA512.hash(data: bytes), padding: .insecurePKCS1v1_5)
        case .ps256: key.isValidSignature(signature, for: SHA256.hash(data: bytes), padding: .PSS)
        case .ps384: key.isValidSignature(signature, for: SHA384.hash(data: bytes), padding: .PSS)
        case .ps512: key.isValidSignature(signature, for: SHA512.hash(data: bytes), padding: .PSS)
        case .es256, .es384, .es512, .ed25519: false
        }
    }
}
