import ApusCore
import Crypto
import CryptoExtras
import Testing

@testable import ApusAccess

/// Makes tokens, right ones and forged ones, with keys that live as long as the tests.
struct TokenForge {
    static let now = Timestamp(rawValue: 1_800_000_000_000)
    static let issuer: ExactText = "https://id.example"
    static let audience: ExactText = "apus"

    /// One for all tests: making an RSA key takes seconds in a build without optimization.
    static let shared = Result { try TokenForge() }

    let elliptic = P256.Signing.PrivateKey()
    let other = P256.Signing.PrivateKey()
    let edwards = Curve25519.Signing.PrivateKey()
    let rsa: _RSA.Signing.PrivateKey

    init() throws {
        self.rsa = try _RSA.Signing.PrivateKey(keySize: .bits2048)
    }

    static func text(_ bytes: some Collection<UInt8>) -> String {
        String(decoding: Base64.url.encoded(Array(bytes)), as: UTF8.self)
    }

    /// The key set of the issuer: `ec`, `ed` and `rsa`, the last without an algorithm of its own.
    func keySet() throws -> String {
        let edwards = Self.text(Array(self.edwards.publicKey.rawRepresentation))
        let numbers = try self.rsa.publicKey.getKeyPrimitives()
        let modulus = Self.text(Array(numbers.modulus))
        let exponent = Self.text(Array(numbers.publicExponent))
        let keys = [
            #"{"kty":"EC","kid":"ec","use":"sig",\#(Self.point(self.elliptic.publicKey))}"#,
            #"{"kty":"OKP","crv":"Ed25519","kid":"ed","alg":"EdDSA","x":"\#(edwards)"}"#,
            #"{"kty":"RSA","kid":"rsa","key_ops":["verify"],"n":"\#(modulus)","e":"\#(exponent)"}"#,
            #"{"kty":"oct","kid":"secret","alg":"HS256","k":"c2VjcmV0"}"#,
        ]
        return #"{"keys":[\#(keys.joined(separator: ","))]}"#
    }

    private static func point(_ key: P256.Signing.PublicKey) -> String {
        let bytes = Array(key.x963Representation)
        return #""crv":"P-256","x":"\#(Self.text(bytes[1..<33]))","y":"\#(Self.text(bytes[33...]))""#
    }

    func verifier() throws -> TokenVerifier {
        let keys = try TokenKeys(Array(try self.keySet().utf8))
        return TokenVerifier([
            TokenIssuer(name: Self.issuer, audiences: [Self.audience], keys: keys),
            TokenIssuer(name: "https://other.example", audiences: [Self.audience], keys: try self.otherKeys()),
        ])
    }

    /// A second issuer's, with a key of the same id.
    private func otherKeys() throws -> TokenKeys {
        try TokenKeys(Array(#"{"keys":[{"kty":"EC","kid":"ec",\#(Self.point(self.other.publicKey))}]}"#.utf8))
    }

    static func claims(
        iss: String = #""https://id.example""#, aud: String = #""apus""#, exp: String = "1800000600",
        sub: String = #""alice""#, more: String = ""
    ) -> String {
        #"{"iss":\#(iss),"aud":\#(aud),"exp":\#(exp),"sub":\#(sub)\#(more)}"#
    }

    func elliptic(claims: String) throws -> String {
        try self.elliptic(#"{"alg":"ES256","kid":"ec"}"#, claims)
    }

    /// Signed with the elliptic key, whatever the header says.
    func elliptic(_ header: String = #"{"alg":"ES256","kid":"ec"}"#, _ claims: String = Self.claims()) throws -> String
    {
        let signed = Self.text(header.utf8) + "." + Self.text(claims.utf8)
        return signed + "." + Self.text(Array(try self.elliptic.signature(for: Array(signed.utf8)).rawRepresentation))
    }

    /// Signed by somebody else, with the right key's id.
    func stranger(_ claims: String = Self.claims()) throws -> String {
        let signed = Self.text(#"{"alg":"ES256","kid":"ec"}"#.utf8) + "." + Self.text(claims.utf8)
        return signed + "." + Self.text(Array(try self.other.signature(for: Array(signed.utf8)).rawRepresentation))
    }

    func edwards(_ header: String = #"{"alg":"EdDSA","kid":"ed"}"#, _ claims: String = Self.claims()) throws -> String {
        let signed = Self.text(header.utf8) + "." + Self.text(claims.utf8)
        return signed + "." + Self.text(Array(try self.edwards.signature(for: Array(signed.utf8))))
    }

    func rsa(
        _ header: String = #"{"alg":"RS256","kid":"rsa"}"#, _ claims: String = Self.claims(),
        padding: _RSA.Signing.Padding = .insecurePKCS1v1_5
    ) throws -> String {
        let signed = Self.text(header.utf8) + "." + Self.text(claims.utf8)
        let signature = try self.rsa.signature(for: SHA256.hash(data: Array(signed.utf8)), padding: padding)
        return signed + "." + Self.text(Array(signature.rawRepresentation))
    }

    /// Signed with a shared secret: the classic mix-up takes the public key's own bytes for one.
    func shared(_ header: String, secret: [UInt8]) -> String {
        let signed = Self.text(header.utf8) + "." + Self.text(Self.claims().utf8)
        let mac = HMAC<SHA256>.authenticationCode(for: Array(signed.utf8), using: SymmetricKey(data: secret))
        return signed + "." + Self.text(Array(mac))
    }
}
