import ApusCore
import ApusFakes
import Testing

@testable import ApusAccess

@Suite("Messages of PLAIN and OAUTHBEARER")
struct LoginMessageTests {
    @Test("PLAIN names a user and a password")
    func plain() throws {
        for text in ["\0alice\0tea time", "alice\0alice\0tea time"] {
            let message = try PlainMessage(Array(text.utf8))
            #expect(message.user == "alice")
            #expect(message.password.matches(Secret("tea time".utf8)))
        }
    }

    @Test(
        "PLAIN that is anything else is refused by name",
        arguments: [
            ("", PlainMessage.Refusal.malformed), ("alice\0tea", .malformed), ("\0alice\0tea\0", .malformed),
            ("bob\0alice\0tea", .otherAuthorizationIdentity), ("\0\0tea", .user), ("\0*\0tea", .user),
            ("\0a\nb\0tea", .user), ("\0alice\0", .password(.empty)),
            ("\0alice\0t\u{e9}", .password(.notPrintableASCII)),
        ]
    )
    func badPlain(text: String, refusal: PlainMessage.Refusal) {
        #expect(throws: refusal) { _ = try PlainMessage(Array(text.utf8)) }
    }

    @Test("PLAIN's lengths have limits")
    func longPlain() {
        let long = String(repeating: "a", count: 2000)
        #expect(throws: PlainMessage.Refusal.user) { _ = try PlainMessage(Array("\0\(long)\0tea".utf8)) }
        #expect(throws: PlainMessage.Refusal.password(.tooLong(.bytes(2000)))) {
            _ = try PlainMessage(Array("\0alice\0\(long)".utf8))
        }
        #expect(throws: PlainMessage.Refusal.user) { _ = try PlainMessage([0, 0xFF, 0, 0x61]) }
    }

    @Test("OAUTHBEARER brings a token, with or without an identity and extensions")
    func bearer() throws {
        let good: [(String, ExactText?)] = [
            ("n,,\u{1}auth=Bearer abc.def.ghi\u{1}\u{1}", nil),
            ("n,a=alice,\u{1}auth=bearer abc.def.ghi\u{1}\u{1}", "alice"),
            ("y,,\u{1}host=broker\u{1}port=9092\u{1}auth=Bearer abc.def.ghi\u{1}trace=x=y\u{1}\u{1}", nil),
        ]
        for (text, identity) in good {
            let message = try OAuthBearerMessage(Array(text.utf8))
            #expect(message.token.matches(Secret("abc.def.ghi".utf8)))
            #expect(message.authorizationIdentity == identity)
        }
    }

    @Test(
        "OAUTHBEARER that is anything else is refused by name",
        arguments: [
            ("", OAuthBearerMessage.Refusal.malformed("form")), ("n,,\u{1}\u{1}", .malformed("form")),
            ("n,,\u{1}auth=Bearer a\u{1}", .malformed("form")),
            ("n,,\u{1}auth=Bearer a\u{1}\u{1}x", .malformed("form")),
            ("n,,\u{1}auth=Bearer a\u{1}\u{1}\u{1}", .malformed("pair")),
            ("p=x,,\u{1}auth=Bearer a\u{1}\u{1}", .channelBindingNotOffered),
            ("n,\u{1}auth=Bearer a\u{1}\u{1}", .malformed("header")),
            ("x,,\u{1}auth=Bearer a\u{1}\u{1}", .malformed("header")),
            ("n,b=a,\u{1}auth=Bearer a\u{1}\u{1}", .malformed("authorization identity")),
            ("n,,\u{1}auth=Basic a\u{1}\u{1}", .malformed("auth")),
            ("n,,\u{1}auth=Bearer \u{1}\u{1}", .malformed("auth")),
            ("n,,\u{1}auth=Bearer a b\u{1}\u{1}", .malformed("auth")), ("n,,\u{1}host=a\u{1}\u{1}", .malformed("auth")),
            ("n,,\u{1}auth=Bearer a\u{1}auth=Bearer b\u{1}\u{1}", .malformed("pair twice")),
            ("n,,\u{1}a1=b\u{1}auth=Bearer a\u{1}\u{1}", .malformed("pair")),
            ("n,,\u{1}=b\u{1}auth=Bearer a\u{1}\u{1}", .malformed("pair")),
            ("n,,\u{1}host=\u{0}\u{1}auth=Bearer a\u{1}\u{1}", .malformed("pair")),
        ]
    )
    func badBearer(text: String, refusal: OAuthBearerMessage.Refusal) {
        #expect(throws: refusal) { _ = try OAuthBearerMessage(Array(text.utf8)) }
    }

    @Test("separators without end are refused before they become memory")
    func separators() throws {
        let many = String(repeating: "\u{1}", count: 500_000)
        #expect(throws: OAuthBearerMessage.Refusal.malformed("too long")) {
            _ = try OAuthBearerMessage(Array("n,,\(many)".utf8))
        }
        let some = String(repeating: "a=b\u{1}", count: 40)
        #expect(throws: OAuthBearerMessage.Refusal.malformed("too many pairs")) {
            _ = try OAuthBearerMessage(Array("n,,\u{1}\(some)auth=Bearer a\u{1}\u{1}".utf8))
        }
        #expect(throws: OAuthBearerMessage.Refusal.malformed("header")) {
            _ = try OAuthBearerMessage(Array("n,,,,,,,\u{1}auth=Bearer a\u{1}\u{1}".utf8))
        }
        let commas = String(repeating: ",x=1", count: 40)
        #expect(throws: ScramRefusal.malformed("too many attributes")) {
            _ = try ScramClientFirst(Array("n,,n=alice,r=abc\(commas)".utf8))
        }
        #expect(throws: ScramRefusal.malformed("too many attributes")) {
            _ = try ScramClientFinal(Array("c=biws,r=abc\(commas),p=AAAA".utf8))
        }
    }

    @Test("any bytes are read or refused, without a trap", arguments: 0..<10 as Range<UInt64>)
    func anyBytes(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        let letters = Array("n,y=ap\0\u{1}auth=Bearer x".utf8)
        for _ in 0..<500 {
            let bytes = (0..<random.below(40)).map { _ in
                random.isOne(in: 9) ? UInt8(random.below(256)) : letters[random.below(letters.count)]
            }
            if let plain = try? PlainMessage(bytes) { #expect(!plain.user.isEmpty && plain.password.count > 0) }
            if let bearer = try? OAuthBearerMessage(bytes) { #expect(bearer.token.count > 0) }
        }
    }

    @Test("mechanisms that show the secret are offered only where nobody listens")
    func offered() {
        var rules = MechanismRules(enabled: Set(SaslMechanism.allCases))
        for transport in [Transport.tls, .loopback] {
            #expect(rules.offered(over: transport) == [.scramSHA512, .scramSHA256, .oauthBearer, .plain])
        }
        #expect(rules.offered(over: .open) == [])
        rules.allowsScramInClear = true
        #expect(rules.offered(over: .open) == [.scramSHA512, .scramSHA256])
        rules.enabled = [.plain]
        #expect(rules.offered(over: .open) == [])
        #expect(rules.offered(over: .tls) == [.plain])
    }

    @Test("a principal is a type and a name that shows itself")
    func principals() {
        #expect(Principal(user: "alice")?.text == "User:alice")
        #expect(Principal(parsing: "User:a:b")?.name == "a:b")
        #expect(Principal(parsing: "User:*") == .everybody)
        #expect(Principal(user: "ANONYMOUS") == .anonymous)
        #expect(Principal(user: "CN=a, OU=\u{e9}") != nil)
        for text in ["", "alice", "User:", ":alice", "Us er:a", "User:a\u{0}", "User:a\u{202e}b", "User:a\u{200b}"] {
            #expect(Principal(parsing: text) == nil, "\(text.debugDescription)")
        }
        #expect(Principal(user: String(repeating: "a", count: 255)) != nil)
        #expect(Principal(user: String(repeating: "a", count: 256)) == nil)
        #expect(Principal(user: "*") == nil)
    }
}
