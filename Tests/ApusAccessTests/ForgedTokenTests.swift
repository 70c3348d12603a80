import ApusCore
import CryptoExtras
import Testing

@testable import ApusAccess

/// Forty ways to forge a token, or to bend one (RFC 8725, and the advisories of other brokers), each refused for its
/// own reason: a forgery that is refused for another's sake is not tested.
@Suite("Forged tokens")
struct ForgedTokenTests {
    private typealias Forgery = (name: String, token: String, refusal: TokenRefusal)

    @Test("forty forged tokens are refused, each for its own reason")
    func forty() throws {
        let forge = try TokenForge.shared.get()
        let verifier = try forge.verifier()
        let forgeries =
            try self.algorithms(forge) + self.headers(forge) + self.spellings(forge) + self.claims(forge)
        #expect(forgeries.count == 40)
        for (name, token, refusal) in forgeries {
            #expect(throws: refusal, "\(name)") { _ = try verifier.verify(Array(token.utf8), now: TokenForge.now) }
        }
    }

    private func algorithms(_ forge: TokenForge) throws -> [Forgery] {
        let payload = TokenForge.text(TokenForge.claims().utf8)
        let unsigned = { (alg: String) in TokenForge.text(#"{"alg":"\#(alg)","kid":"ec"}"#.utf8) + "." + payload + "." }
        let publicKey = Array(forge.rsa.publicKey.pemRepresentation.utf8)
        let good = try forge.elliptic()
        let zeros = TokenForge.text([UInt8](repeating: 0, count: 64))
        let prefix = good.split(separator: ".").dropLast().joined(separator: ".")
        return [
            ("none", unsigned("none"), .algorithm("none")),
            ("None", unsigned("None"), .algorithm("None")),
            ("nOnE with a signature", try forge.elliptic(#"{"alg":"nOnE","kid":"ec"}"#), .algorithm("nOnE")),
            ("no signature under a good algorithm", unsigned("ES256"), .signature),
            (
                "the RSA key as a shared secret",
                forge.shared(#"{"alg":"HS256","kid":"rsa"}"#, secret: publicKey), .algorithm("HS256")
            ),
            (
                "the set's own shared secret",
                forge.shared(#"{"alg":"HS256","kid":"secret"}"#, secret: Array("secret".utf8)),
                .algorithm("HS256")
            ),
            (
                "a shared secret's signature called RSA's",
                forge.shared(#"{"alg":"RS256","kid":"rsa"}"#, secret: publicKey), .signature
            ),
            (
                "another algorithm of the same key", try forge.rsa(#"{"alg":"PS256","kid":"rsa"}"#, padding: .PSS),
                .algorithm("PS256")
            ),
            ("another key's algorithm", try forge.elliptic(#"{"alg":"RS256","kid":"ec"}"#), .algorithm("RS256")),
            ("a stranger's signature", try forge.stranger(), .signature),
            ("a signature of zeros", prefix + "." + zeros, .signature),
            ("a signature in DER", prefix + "." + TokenForge.text([0x30, 6, 2, 1, 1, 2, 1, 1]), .signature),
            ("no alg", try forge.elliptic(#"{"kid":"ec"}"#), .header("alg")),
        ]
    }

    private func headers(_ forge: TokenForge) throws -> [Forgery] {
        let with = { (member: String) in try forge.elliptic(#"{"alg":"ES256","kid":"ec",\#(member)}"#) }
        return [
            ("a path for a key id", try forge.elliptic(#"{"alg":"ES256","kid":"../../dev/null"}"#), .unknownKey),
            ("SQL for a key id", try forge.elliptic(#"{"alg":"ES256","kid":"ec' OR '1'='1"}"#), .unknownKey),
            ("an empty key id", try forge.elliptic(#"{"alg":"ES256","kid":""}"#), .header("kid")),
            ("a number for a key id", try forge.elliptic(#"{"alg":"ES256","kid":1}"#), .header("kid")),
            ("no key id among many keys", try forge.elliptic(#"{"alg":"ES256"}"#), .unknownKey),
            ("its own key", try with(#""jwk":{"kty":"EC"}"#), .headerMember("jwk")),
            ("a URL for keys", try with(#""jku":"http://169.254.169.254/""#), .headerMember("jku")),
            ("a URL for certificates", try with(#""x5u":"http://evil.example/""#), .headerMember("x5u")),
            ("its own certificate", try with(#""x5c":["MIIB"]"#), .headerMember("x5c")),
            ("something that must be understood", try with(#""crit":["exp"]"#), .headerMember("crit")),
            ("a payload that is not encoded", try with(#""b64":false"#), .headerMember("b64")),
            ("a compressed payload", try with(#""zip":"DEF""#), .headerMember("zip")),
            ("two algorithms", try with(#""alg":"none""#), .header("not one JSON object")),
            ("another type of token", try with(#""typ":"dpop+jwt""#), .header("typ")),
        ]
    }

    private func spellings(_ forge: TokenForge) throws -> [Forgery] {
        let good = try forge.elliptic()
        let parts = good.split(separator: ".").map(String.init)
        let long = String(repeating: "a", count: 20_000)
        return [
            ("padded base64", "\(parts[0]).\(parts[1]).\(parts[2])==", .base64),
            ("a line break behind it", good + "\n", .base64),
            ("four parts", good + ".", .notThreeParts),
            ("one longer than any", good + long, .tooLong(.bytes(good.utf8.count + long.utf8.count))),
        ]
    }

    private func claims(_ forge: TokenForge) throws -> [Forgery] {
        let with = { (claims: String) in try forge.elliptic(#"{"alg":"ES256","kid":"ec"}"#, claims) }
        return [
            ("no end", try with(#"{"iss":"https://id.example","aud":"apus","sub":"alice"}"#), .claims("exp")),
            ("past its end", try with(TokenForge.claims(exp: "1799999969")), .expired),
            ("an end in milliseconds", try with(TokenForge.claims(exp: "1800000600000")), .claims("exp")),
            ("not yet good", try with(TokenForge.claims(more: #","nbf":1800000031"#)), .notYetValid),
            ("for somebody else", try with(TokenForge.claims(aud: #""other""#)), .audience),
            (
                "another issuer's name, one issuer's key",
                try with(TokenForge.claims(iss: #""https://other.example""#)), .signature
            ),
            ("an issuer nobody knows", try with(TokenForge.claims(iss: #""https://evil.example""#)), .issuer),
            ("two subjects", try with(TokenForge.claims(more: #","sub":"root""#)), .claims("not one JSON object")),
            ("a subject that breaks lines", try with(TokenForge.claims(sub: #""alice\nroot""#)), .subject),
        ]
    }
}
