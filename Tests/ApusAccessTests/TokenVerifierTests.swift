import ApusCore
import ApusFakes
import Testing

@testable import ApusAccess

@Suite("Tokens")
struct TokenVerifierTests {
    private let now = TokenForge.now

    @Test("a good token of each kind of key is taken, and says who and until when")
    func good() throws {
        let forge = try TokenForge.shared.get()
        let verifier = try forge.verifier()
        let tokens = [
            try forge.elliptic(), try forge.edwards(), try forge.rsa(),
            try forge.elliptic(#"{"typ":"at+JWT","kid":"ec","alg":"ES256","x5t":"abc"}"#),
            try forge.elliptic(claims: claims(aud: #"["other","apus"]"#)),
            try forge.elliptic(
                claims: claims(more: #","nbf":1800000000,"iat":1800000000.5,"scope":{"a":[1,null,true]}"#)),
        ]
        for token in tokens {
            let verified = try verifier.verify(Array(token.utf8), now: self.now)
            #expect(verified.principal == Principal(user: "alice"))
            #expect(verified.expires == Timestamp(rawValue: 1_800_000_600_000))
        }
    }

    private func claims(
        aud: String = #""apus""#, exp: String = "1800000600", sub: String = #""alice""#, more: String = ""
    )
        -> String
    {
        TokenForge.claims(aud: aud, exp: exp, sub: sub, more: more)
    }

    @Test("more claims that can not be so are refused")
    func badClaims() throws {
        let forge = try TokenForge.shared.get()
        let verifier = try forge.verifier()
        let bad: [(String, TokenRefusal)] = [
            (self.claims(aud: "[]"), .audience), (self.claims(aud: #"["apus",1]"#), .audience),
            (self.claims(aud: "null"), .audience), (self.claims(aud: #""Apus""#), .audience),
            (self.claims(exp: #""1800000600""#), .claims("exp")), (self.claims(exp: "-1"), .claims("exp")),
            (self.claims(exp: "1e300"), .claims("exp")), (self.claims(exp: "1e400"), .claims("not one JSON object")),
            (self.claims(exp: "01"), .claims("not one JSON object")),
            (self.claims(sub: "\"\""), .subject), (self.claims(sub: "7"), .subject),
            (self.claims(sub: #""*""#), .subject),
            (self.claims(more: #","iat":1800000031"#), .notYetValid),
            (self.claims(more: #","nbf":"0""#), .claims("nbf")),
            ("[]", .claims("not one JSON object")), ("{}", .issuer),
        ]
        for (claims, refusal) in bad {
            let token = try forge.elliptic(#"{"alg":"ES256","kid":"ec"}"#, claims)
            #expect(throws: refusal, "\(claims)") { _ = try verifier.verify(Array(token.utf8), now: self.now) }
        }
    }

    @Test("a clock that is half a minute wrong changes nothing, more does")
    func skew() throws {
        let forge = try TokenForge.shared.get()
        let verifier = try forge.verifier()
        let token = Array(try forge.elliptic().utf8)
        #expect(throws: TokenRefusal.expired) {
            _ = try verifier.verify(token, now: Timestamp(rawValue: 1_800_000_630_000))
        }
        _ = try verifier.verify(token, now: Timestamp(rawValue: 1_800_000_629_999))
        for wall in [Int64.max, 1_900_000_000_000] {
            #expect(throws: TokenRefusal.expired) { _ = try verifier.verify(token, now: Timestamp(rawValue: wall)) }
        }
    }

    @Test("without a key source nothing passes")
    func failsClosed() throws {
        let forge = try TokenForge.shared.get()
        let token = Array(try forge.elliptic().utf8)
        #expect(throws: TokenRefusal.noKeySource) { _ = try TokenVerifier().verify(token, now: self.now) }
        let keyless = TokenIssuer(name: TokenForge.issuer, audiences: [TokenForge.audience], keys: nil)
        #expect(throws: TokenRefusal.noKeySource) { _ = try TokenVerifier([keyless]).verify(token, now: self.now) }
        var verifier = try forge.verifier()
        verifier.set(nil, of: TokenForge.issuer)
        #expect(throws: TokenRefusal.noKeySource) { _ = try verifier.verify(token, now: self.now) }
        verifier.set(try TokenKeys(Array(try forge.keySet().utf8)), of: TokenForge.issuer)
        _ = try verifier.verify(token, now: self.now)
    }

    @Test("a changed byte anywhere is noticed", arguments: 0..<8 as Range<UInt64>)
    func flips(seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        let forge = try TokenForge.shared.get()
        let verifier = try forge.verifier()
        for token in [try forge.elliptic(), try forge.edwards(), try forge.rsa()] {
            for _ in 0..<30 {
                var bytes = Array(token.utf8)
                let at = random.below(bytes.count)
                bytes[at] ^= UInt8(1 + random.below(255))
                #expect(throws: TokenRefusal.self) { _ = try verifier.verify(bytes, now: self.now) }
            }
        }
    }

    @Test("key sets that are not what they should be are refused, keys of other kinds are passed over")
    func keySets() throws {
        let ed = TokenForge.text([UInt8](repeating: 7, count: 32))
        let key = { (kid: String, more: String) in
            #"{"kty":"OKP","crv":"Ed25519","kid":"\#(kid)","x":"\#(ed)"\#(more)}"#
        }
        let other = #"{"kty":"oct","kid":"s","k":"AAAA"}"#
        func keys(_ list: String...) throws -> TokenKeys {
            try TokenKeys(Array(#"{"keys":[\#(list.joined(separator: ","))]}"#.utf8))
        }
        #expect(try keys(key("a", ""), key("b", #","use":"enc""#), other).keys.map(\.id) == ["a"])
        #expect(try keys(key("a", #","alg":"EdDSA""#)).keys.map(\.algorithm) == [.ed25519])
        #expect(try keys(#"{"kty":"EC","crv":"P-257","kid":"x"}"#, key("a", "")).keys.count == 1)
        #expect(throws: TokenKeys.Refusal.noKeyUsable) { _ = try keys(other) }
        #expect(throws: TokenKeys.Refusal.noKeyUsable) { _ = try keys(key("a", #","alg":"HS256""#)) }
        #expect(throws: TokenKeys.Refusal.noKeyUsable) { _ = try keys(key("a", #","key_ops":["sign"]"#)) }
        #expect(throws: TokenKeys.Refusal.duplicateKey("a")) { _ = try keys(key("a", ""), key("a", "")) }
        #expect(throws: TokenKeys.Refusal.badKey(id: "a", "a private key")) { _ = try keys(key("a", #","d":"AA""#)) }
        #expect(throws: TokenKeys.Refusal.badKey(id: "a", "alg")) { _ = try keys(key("a", #","alg":"ES256""#)) }
        #expect(throws: TokenKeys.Refusal.notAKeySet) { _ = try TokenKeys(Array("[]".utf8)) }
        #expect(throws: TokenKeys.Refusal.notAKeySet) { _ = try keys("1") }
        #expect(throws: TokenKeys.Refusal.tooManyKeys(65)) {
            _ = try TokenKeys(Array(#"{"keys":[\#(Array(repeating: "{}", count: 65).joined(separator: ","))]}"#.utf8))
        }
        #expect(throws: TokenKeys.Refusal.tooLong(.bytes(300_000))) {
            _ = try TokenKeys(Array(repeating: 32, count: 300_000))
        }
    }

    @Test("numbers that are no key make none")
    func badNumbers() throws {
        let modulus = TokenForge.text([UInt8](repeating: 0xFF, count: 256))
        let ones = TokenForge.text([UInt8](repeating: 1, count: 32))
        let bad = [
            #""kty":"EC","crv":"P-256","x":"AA","y":"AA""#,
            #""kty":"EC","crv":"P-256","x":"\#(ones)","y":"\#(ones)""#,
            #""kty":"OKP","crv":"Ed25519","x":"AAAA""#,
            #""kty":"OKP","crv":"Ed25519""#,
            #""kty":"RSA","n":"\#(modulus)","e":"AQ""#,
            #""kty":"RSA","n":"\#(modulus)","e":"AAEAAQ""#,
            #""kty":"RSA","n":"\#(modulus)","e":"Ag""#,
            #""kty":"RSA","n":"\#(TokenForge.text([UInt8](repeating: 0xFF, count: 128)))","e":"AQAB""#,
            #""kty":"RSA","n":"","e":"AQAB""#,
        ]
        for members in bad {
            #expect(throws: TokenKeys.Refusal.badKey(id: "k", "numbers"), "\(members)") {
                _ = try TokenKeys(Array(#"{"keys":[{"kid":"k",\#(members)}]}"#.utf8))
            }
        }
    }
}
