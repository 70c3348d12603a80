import ApusCore
import Testing

@testable import ApusAccess

@Suite("The SASL conversation")
struct SaslConversationTests {
    private static let start = LoginMoment(now: Instant(nanoseconds: 1_000_000_000_000), wall: TokenForge.now)

    private static func later(_ duration: Duration) -> LoginMoment {
        LoginMoment(
            now: self.start.now.advanced(by: duration),
            wall: Timestamp(rawValue: self.start.wall.rawValue + duration.wholeMilliseconds)
        )
    }

    private func handshake(_ mechanism: SaslMechanism, version: Int16 = 1) -> SaslRequest {
        .handshake(mechanism: mechanism.rawValue, version: version, nonce: ScramNonce(random: (1, 2, 3)))
    }

    private func rules(lifetime: Duration? = nil) throws -> LoginRules {
        LoginRules(
            mechanisms: MechanismRules(enabled: Set(SaslMechanism.allCases)),
            users: try ScramUsers.having(["alice": "tea", "bob": "tea"]), sessionLifetimeMax: lifetime)
    }

    /// A conversation, with what was answered written down as one reads it.
    private struct Talk {
        var conversation: SaslConversation
        var rules: LoginRules
        var moment = SaslConversationTests.start
        var last: SaslAnswer?

        init(_ rules: LoginRules, over transport: Transport = .tls) {
            self.rules = rules
            self.conversation = SaslConversation(over: transport, at: SaslConversationTests.start.now)
        }

        mutating func say(_ request: SaslRequest) -> String {
            self.told(self.conversation.received(request, at: self.moment, rules: self.rules))
        }

        mutating func hashed() -> String {
            guard case .check(let check) = self.last else { return "nothing to check" }
            return self.told(self.conversation.checked(check.run(), at: self.moment, rules: self.rules))
        }

        private mutating func told(_ answer: SaslAnswer) -> String {
            self.last = answer
            return switch answer {
            case .serve: "serve"
            case .reply(let reply): self.told(reply)
            case .loggedIn(let reply, let session): "\(session.principal): " + self.told(reply)
            case .check: "check"
            case .refuse(let reply, let after, let failure):
                (reply.map { self.told($0) } ?? "nothing") + " after \(after.wholeMilliseconds): \(failure.cause)"
            }
        }

        private func told(_ reply: SaslReply) -> String {
            switch reply {
            case .handshake(let code, let mechanisms): "handshake \(code.rawValue), \(mechanisms.count) offered"
            case .authenticate(let code, _, let bytes, let lifetime):
                "authenticate \(code.rawValue), \(bytes.count) bytes, \(lifetime?.wholeMilliseconds ?? 0) ms"
            case .token(let bytes): "token of \(bytes.count)"
            case .illegalState: "illegal state"
            }
        }

        var bytes: [UInt8] {
            switch self.last {
            case .reply(.authenticate(_, _, let bytes, _)), .reply(.token(let bytes)): bytes
            default: []
            }
        }
    }

    private func plain(_ user: String, _ password: String) -> SaslRequest {
        .authenticate(Array("\0\(user)\0\(password)".utf8))
    }

    @Test("SCRAM: versions, handshake, two messages, then everything is served")
    func scram() throws {
        var talk = Talk(try self.rules())
        let client = ScramClient(hash: .sha256, user: "alice", password: "tea")
        #expect(talk.conversation.frameBytesMax == Limits.unauthenticatedFrameBytesMax)
        #expect(talk.say(.apiVersions) == "serve")
        #expect(talk.conversation.session == nil)
        #expect(talk.say(self.handshake(.scramSHA256)) == "handshake 0, 4 offered")
        #expect(talk.say(.authenticate(client.first)).hasPrefix("authenticate 0"))
        #expect(talk.conversation.session == nil)
        #expect(
            talk.say(.authenticate(try client.final(talk.bytes).message))
                == "User:alice: authenticate 0, 46 bytes, 0 ms")
        #expect(talk.conversation.session?.principal == Principal(user: "alice"))
        #expect(talk.conversation.session?.expires == nil)
        #expect(talk.conversation.frameBytesMax == Limits.frameBytesMax)
        #expect(talk.conversation.deadline == nil)
        talk.moment = Self.later(.seconds(1_000_000))
        #expect(talk.say(.other) == "serve")
        #expect(talk.say(.apiVersions) == "serve")
        #expect(talk.say(.authenticate([])) == "authenticate 34, 0 bytes, 0 ms")
        #expect(talk.say(.other) == "serve")
    }

    @Test("PLAIN waits for the hash that is computed elsewhere")
    func plain() throws {
        var talk = Talk(try self.rules())
        _ = talk.say(self.handshake(.plain))
        #expect(talk.say(self.plain("alice", "tea")) == "check")
        #expect(talk.conversation.isChecking)
        #expect(talk.conversation.session == nil)
        #expect(talk.hashed() == "User:alice: authenticate 0, 0 bytes, 0 ms")
        #expect(!talk.conversation.isChecking)
        #expect(talk.say(.other) == "serve")
        // A second word of the same check changes nothing for the better.
        let again = talk.conversation.checked(true, at: Self.start, rules: talk.rules)
        #expect(again.isRefusal)
        #expect(talk.say(.other) == "nothing after 0: outOfOrder")
    }

    @Test("wrong password, unknown user and bad message: answered alike, after a delay, then nothing is heard")
    func failures() throws {
        let wrong = [("alice", "coffee"), ("carol", "tea")]
        for (user, password) in wrong {
            var talk = Talk(try self.rules())
            _ = talk.say(self.handshake(.plain))
            _ = talk.say(self.plain(user, password))
            #expect(talk.hashed() == "authenticate 58, 0 bytes, 0 ms after 100: wrongPassword")
            #expect(talk.say(.other) == "nothing after 0: outOfOrder")
            #expect(talk.say(self.handshake(.plain)) == "nothing after 0: outOfOrder")

            var scram = Talk(try self.rules())
            let client = ScramClient(hash: .sha512, user: user, password: password)
            _ = scram.say(self.handshake(.scramSHA512))
            _ = scram.say(.authenticate(client.first))
            let answer = scram.say(.authenticate(try client.final(scram.bytes).message))
            #expect(answer.hasPrefix("authenticate 58, 0 bytes, 0 ms after 100: scram"))
            guard case .refuse(.authenticate(_, let told, _, _), _, let failure) = scram.last else {
                Issue.record("not refused")
                continue
            }
            #expect(told == "SCRAM-SHA-512: wrong user or password")
            #expect(failure.user == ExactText(user))
        }
    }

    @Test("a request out of its place is refused and ends the connection")
    func outOfOrder() throws {
        let first: [(SaslRequest, String)] = [
            (.other, "illegal state after 0: outOfOrder"), (.token([1]), "nothing after 0: outOfOrder"),
            (.authenticate([1]), "authenticate 34, 0 bytes, 0 ms after 0: outOfOrder"),
        ]
        for (request, answer) in first {
            var talk = Talk(try self.rules())
            #expect(talk.say(request) == answer)
            #expect(talk.say(.apiVersions) == "nothing after 0: outOfOrder")
        }
        for request in [SaslRequest.other, .apiVersions, .token([1]), self.handshake(.plain)] {
            var talk = Talk(try self.rules())
            _ = talk.say(self.handshake(.plain))
            #expect(talk.say(request) == "illegal state after 0: outOfOrder")
        }
        var checking = Talk(try self.rules())
        _ = checking.say(self.handshake(.plain))
        _ = checking.say(self.plain("alice", "tea"))
        #expect(checking.say(.other) == "nothing after 0: outOfOrder")
    }

    @Test("a mechanism that is not offered is answered with those that are")
    func mechanisms() throws {
        var talk = Talk(try self.rules(), over: .open)
        #expect(talk.say(self.handshake(.plain)) == "handshake 33, 0 offered after 0: mechanismNotOffered(\"PLAIN\")")
        var other = Talk(try self.rules())
        let gssapi = SaslRequest.handshake(mechanism: "GSSAPI", version: 1, nonce: ScramNonce(random: (1, 2, 3)))
        #expect(other.say(gssapi) == "handshake 33, 4 offered after 0: mechanismNotOffered(\"GSSAPI\")")
    }

    @Test("after version 0 of the handshake the messages come bare, and a refusal has no form")
    func bare() throws {
        var talk = Talk(try self.rules())
        #expect(!talk.conversation.expectsToken)
        _ = talk.say(self.handshake(.plain, version: 0))
        #expect(talk.conversation.expectsToken)
        #expect(talk.say(.token(Array("\0alice\0tea".utf8))) == "check")
        #expect(talk.hashed() == "User:alice: token of 0")
        #expect(!talk.conversation.expectsToken)
        #expect(talk.say(.other) == "serve")
        var wrong = Talk(try self.rules())
        _ = wrong.say(self.handshake(.plain, version: 0))
        _ = wrong.say(.token(Array("\0alice\0coffee".utf8)))
        #expect(wrong.hashed() == "nothing after 100: wrongPassword")
    }

    @Test("a client that asks for ever, or waits too long, is cut off")
    func patience() throws {
        var talk = Talk(try self.rules())
        for _ in 0..<Limits.unauthenticatedRequestsMax { #expect(talk.say(.apiVersions) == "serve") }
        #expect(talk.say(.apiVersions) == "nothing after 0: tooManyRequests")
        var slow = Talk(try self.rules())
        #expect(slow.conversation.deadline == Self.later(Limits.loginWaitMax).now)
        slow.moment = Self.later(Limits.loginWaitMax)
        #expect(slow.say(self.handshake(.plain)) == "nothing after 0: timedOut")
    }

    @Test("a session with an end says so, can be renewed by its principal, and is closed when it is not")
    func renewal() throws {
        var talk = Talk(try self.rules(lifetime: .seconds(60)))
        _ = talk.say(self.handshake(.plain))
        _ = talk.say(self.plain("alice", "tea"))
        #expect(talk.hashed() == "User:alice: authenticate 0, 0 bytes, 60000 ms")
        talk.moment = Self.later(.milliseconds(900))
        #expect(talk.say(self.handshake(.plain)) == "handshake 34, 0 offered")
        talk.moment = Self.later(.seconds(50))
        #expect(talk.say(self.handshake(.plain)) == "handshake 0, 4 offered")
        #expect(talk.conversation.session?.principal == Principal(user: "alice"))
        #expect(talk.say(self.plain("alice", "tea")) == "check")
        #expect(talk.hashed() == "User:alice: authenticate 0, 0 bytes, 60000 ms")
        talk.moment = Self.later(.seconds(109))
        #expect(talk.say(.other) == "serve")
        talk.moment = Self.later(.seconds(110))
        var late = talk
        #expect(talk.say(.other) == "nothing after 0: sessionExpired")
        // Whoever begins with the handshake is heard even then.
        #expect(late.say(self.handshake(.plain)) == "handshake 0, 4 offered")
        #expect(late.say(.other) == "illegal state after 0: outOfOrder")
    }

    @Test("a session is renewed by nobody else, by no other means, and by no wrong password")
    func renewalByOthers() throws {
        let attempts: [(SaslMechanism, String, String, String)] = [
            (.plain, "bob", "tea", "principalChanged"), (.plain, "alice", "coffee", "wrongPassword"),
        ]
        for (mechanism, user, password, cause) in attempts {
            var talk = Talk(try self.rules())
            _ = talk.say(self.handshake(.plain))
            _ = talk.say(self.plain("alice", "tea"))
            _ = talk.hashed()
            talk.moment = Self.later(.seconds(2))
            _ = talk.say(self.handshake(mechanism))
            _ = talk.say(self.plain(user, password))
            #expect(talk.hashed() == "authenticate 58, 0 bytes, 0 ms after 100: \(cause)")
            #expect(talk.say(.other) == "nothing after 0: outOfOrder")
        }
        var talk = Talk(try self.rules())
        _ = talk.say(self.handshake(.plain))
        _ = talk.say(self.plain("alice", "tea"))
        _ = talk.hashed()
        talk.moment = Self.later(.seconds(2))
        #expect(talk.say(self.handshake(.scramSHA256)) == "handshake 34, 1 offered after 0: mechanismChanged")
    }

    @Test("a token logs in until it expires; one that is refused is told so at once, and the login has failed")
    func tokens() throws {
        let forge = try TokenForge.shared.get()
        var rules = try self.rules(lifetime: .seconds(3600))
        rules.tokens = try forge.verifier()
        var talk = Talk(rules)
        let message = { (token: String, identity: String) in
            SaslRequest.authenticate(Array("n,\(identity),\u{1}auth=Bearer \(token)\u{1}\u{1}".utf8))
        }
        _ = talk.say(self.handshake(.oauthBearer))
        #expect(talk.say(message(try forge.elliptic(), "")) == "User:alice: authenticate 0, 0 bytes, 600000 ms")
        #expect(talk.conversation.session?.expires == Self.later(.seconds(600)).now)

        for (token, identity, cause) in [
            (try forge.stranger(), "", "token(ApusAccess.TokenRefusal.signature)"),
            (try forge.elliptic(), "a=bob", "token(ApusAccess.TokenRefusal.subject)"),
        ] {
            var refused = Talk(rules)
            _ = refused.say(self.handshake(.oauthBearer))
            #expect(refused.say(message(token, identity)) == "authenticate 58, 26 bytes, 0 ms after 100: \(cause)")
            #expect(refused.conversation.session == nil)
            #expect(refused.say(message(try forge.elliptic(), "")) == "nothing after 0: outOfOrder")
            // Without Kafka's headers there is no error to be told with: it is said in words, and the client ends it.
            var bare = Talk(rules)
            _ = bare.say(self.handshake(.oauthBearer, version: 0))
            let words = Array("n,\(identity),\u{1}auth=Bearer \(token)\u{1}\u{1}".utf8)
            #expect(bare.say(.token(words)) == "token of 26")
            #expect(bare.bytes == Array(#"{"status":"invalid_token"}"#.utf8))
            // Even if another token follows instead of the abort.
            let good = Array("n,,\u{1}auth=Bearer \(try forge.elliptic())\u{1}\u{1}".utf8)
            #expect(bare.say(.token(good)) == "nothing after 100: \(cause)")
            #expect(bare.conversation.session == nil)
        }
    }
}

extension SaslAnswer {
    fileprivate var isRefusal: Bool { if case .refuse = self { true } else { false } }
}
