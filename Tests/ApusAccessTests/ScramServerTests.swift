import ApusCore
import ApusFakes
import Testing

@testable import ApusAccess

@Suite("SCRAM")
struct ScramServerTests {
    private static let nonce = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"

    private func server(_ hash: ScramHash = .sha256, nonce: String = Self.nonce) throws -> ScramServer {
        ScramServer(hash, nonce: try #require(ScramNonce(nonce)))
    }

    /// The conversation of RFC 7677, section 3; the one with SHA-512 was computed with another implementation.
    private static let vectors: [(ScramHash, salt: String, proof: String, answer: String)] = [
        (
            .sha256, "W22ZaJ0SNY7soEsUEjb6gQ==", "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
            "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
        ),
        (
            .sha512, "Yin2FuHTt/M0kJWb0t9OI32n2VmOGi3m+JfjOvuDF88=",
            "/3obeUE1tHCJjbQttd+ChF5ox2IU1rNjj2wVDnbQ5LdNT126oy4QgLz2tHw/Uj7Gwb6PRuHOS3HC+45exxT58A==",
            "5AwW78p+EVPirB3A5lrHcvrN8pVKRlR3opLuRoxXrN9ubKokkPzVPzWNNNuBbrtZrv5mpfKZ7+QCDSZWeZQEqw=="
        ),
    ]

    @Test("the conversations that are written down go as written", arguments: 0..<2)
    func vectors(index: Int) throws {
        let (hash, salt, proof, answer) = Self.vectors[index]
        let saltBytes = try #require(Base64.standard.decoded(Array(salt.utf8)))
        let work = try PasswordHashing("pencil", hash: hash, salt: saltBytes, iterations: 4096)
        var users = ScramUsers(mockSecret: Secret(repeatElement(1, count: 32)))
        let credential = try #require(work.run())
        users.set(credential, of: "user", hash)
        var server = try self.server(hash)
        let challenge = server.received(Array("n,,n=user,r=rOprNGfwEbeRWgbNEkqO".utf8), users: users).challenge
        let expected = "r=rOprNGfwEbeRWgbNEkqO\(Self.nonce),s=\(salt),i=4096"
        #expect(challenge.map { String(decoding: $0, as: UTF8.self) } == expected)
        let final = server.received(
            Array("c=biws,r=rOprNGfwEbeRWgbNEkqO\(Self.nonce),p=\(proof)".utf8), users: users)
        #expect(final.acceptance == Array("v=\(answer)".utf8))
        #expect(final.acceptedUser == "user")
    }

    @Test("the right password is let in, the wrong one is not", arguments: ScramHash.allCases)
    func passwords(hash: ScramHash) throws {
        let users = try ScramUsers.having(["alice": "tea time"], hash: hash)
        for (password, isRight) in [("tea time", true), ("Tea time", false), ("tea", false)] {
            var server = try self.server(hash)
            let client = ScramClient(hash: hash, user: "alice", password: password)
            let challenge = try #require(server.received(client.first, users: users).challenge)
            let (message, answer) = try client.final(challenge)
            let result = server.received(message, users: users)
            #expect(result.acceptance == (isRight ? answer : nil))
            #expect(result.refusal == (isRight ? nil : .wrongPassword))
        }
    }

    @Test("names with a comma and an equals sign are told apart from attributes")
    func escapedNames() throws {
        let users = try ScramUsers.having(["a,b=c": "secret"])
        var server = try self.server()
        let client = ScramClient(hash: .sha256, user: "a=2Cb=3Dc", password: "secret")
        let challenge = try #require(server.received(client.first, users: users).challenge)
        #expect(server.received(try client.final(challenge).message, users: users).acceptedUser == "a,b=c")
    }

    @Test("a client that can bind, and one that names itself twice, are let in", arguments: ["y,,", "n,a=alice,"])
    func otherHeaders(header: String) throws {
        let users = try ScramUsers.having(["alice": "tea"])
        var server = try self.server()
        let client = ScramClient(hash: .sha256, user: "alice", password: "tea", header: header)
        let challenge = try #require(server.received(client.first, users: users).challenge)
        #expect(server.received(try client.final(challenge).message, users: users).acceptedUser == "alice")
    }

    @Test(
        "a first message that asks for what is not there is refused by name",
        arguments: [
            ("p=tls-unique,,n=alice,r=abc", ScramRefusal.channelBindingNotOffered),
            ("n,a=bob,n=alice,r=abc", .otherAuthorizationIdentity),
            ("n,,m=x,n=alice,r=abc", .extensionNotSupported),
            ("n,,n=alice,r=abc,tokenauth=true", .extensionNotSupported),
            ("n,,n=alice,r=abc,m=1", .extensionNotSupported),
            ("n,,n=al=ice,r=abc", .malformed("name")),
            ("n,,n=al=2,r=abc", .malformed("name")),
            ("n,,n=,r=abc", .malformed("attribute n")),
            ("n,,n=*,r=abc", .malformed("name")),
            ("n,,n=a\u{0}b,r=abc", .malformed("name")),
            ("n,,n=alice,r=", .malformed("attribute r")),
            ("n,,n=alice,r=a b", .malformed("nonce")),
            ("n,,r=abc,n=alice", .malformed("attribute n")),
            ("n,,n=alice", .malformed("no nonce")),
            ("nn,,n=alice,r=abc", .malformed("channel binding flag")),
            ("n=alice,r=abc", .malformed("no header")),
            ("", .malformed("no header")),
        ]
    )
    func badFirst(message: String, refusal: ScramRefusal) throws {
        let users = try ScramUsers.having(["alice": "tea"])
        var server = try self.server()
        #expect(server.received(Array(message.utf8), users: users).refusal == refusal)
        #expect(server.received(Array("n,,n=alice,r=abc".utf8), users: users).refusal == .finished)
    }

    @Test("a recorded second message fits no other conversation")
    func replay() throws {
        let users = try ScramUsers.having(["alice": "tea"])
        let client = ScramClient(hash: .sha256, user: "alice", password: "tea")
        var recorded = try self.server()
        let challenge = try #require(recorded.received(client.first, users: users).challenge)
        let message = try client.final(challenge).message
        #expect(recorded.received(message, users: users).acceptance != nil)
        #expect(recorded.received(message, users: users).refusal == .finished)

        var fresh = try self.server(nonce: "another")
        _ = fresh.received(client.first, users: users)
        #expect(fresh.received(message, users: users).refusal == .nonceMismatch)
        // The thief puts the new nonce into the old message: the proof was made over the old one.
        let text = String(decoding: message, as: UTF8.self)
        let patched = text.split(separator: ",").map {
            $0.hasPrefix("r=") ? "r=\(client.nonce)another" : String($0)
        }
        var next = try self.server(nonce: "another")
        _ = next.received(client.first, users: users)
        #expect(next.received(Array(patched.joined(separator: ",").utf8), users: users).refusal == .wrongPassword)
        // And the second message first.
        var early = try self.server()
        #expect(early.received(message, users: users).refusal == .malformed("channel binding flag"))
    }

    @Test("a client that says its half of the nonce once more logs in, as those of librdkafka before 2.6.1 do")
    func doubledNonce() throws {
        let users = try ScramUsers.having(["alice": "tea"])
        let client = try ApusAccess.ScramClient(
            .sha256, user: "alice", password: Secret("tea".utf8), nonce: ScramNonce(random: (1, 2, 3)))
        for (repeated, isTaken) in [(0, true), (1, true), (2, false)] {
            var server = try self.server()
            let challenge = try #require(server.received(client.first, users: users).challenge)
            let again = [UInt8](Array(repeatElement(client.nonce, count: repeated)).joined())
            let final = try client.final(challenge, repeating: again)
            let answer = server.received(final.message, users: users)
            #expect((answer.acceptance != nil) == isTaken)
            if let acceptance = answer.acceptance { try final.proof.check(acceptance) }
        }
    }

    @Test("a client does not believe a server that has another nonce, few iterations, or a wrong signature")
    func badServer() throws {
        let client = try ApusAccess.ScramClient(
            .sha256, user: "a,b=c", password: Secret("tea".utf8), nonce: ScramNonce(random: (1, 2, 3)))
        let nonce = String(decoding: client.nonce, as: UTF8.self)
        #expect(String(decoding: client.first, as: UTF8.self) == "n,,n=a=2Cb=3Dc,r=\(nonce)")
        let refusals: [(String, ApusAccess.ScramClient.Refusal)] = [
            ("r=other,s=AAAA,i=4096", .nonce), ("r=\(nonce),s=AAAA,i=4096", .nonce),
            ("r=\(nonce)x,s=AAAA,i=4095", .iterations(4095)), ("r=\(nonce)x,s=AAAA,i=9999999", .iterations(9_999_999)),
            ("r=\(nonce)x,s=?,i=4096", .malformed), ("", .malformed), ("e=unknown-user", .malformed),
        ]
        for (challenge, refusal) in refusals {
            #expect(throws: refusal) { try client.final(Array(challenge.utf8)) }
        }
        let proof = try client.final(Array("r=\(nonce)x,s=AAAA,i=4096".utf8)).proof
        #expect(throws: ApusAccess.ScramClient.Refusal.serverSignature) { try proof.check(Array("v=AAAA".utf8)) }
        #expect(throws: ApusAccess.ScramClient.Refusal.refused("other-error")) {
            try proof.check(Array("e=other-error".utf8))
        }
    }

    @Test("a second message with less than the whole nonce, another header or a short proof is refused")
    func badFinal() throws {
        let users = try ScramUsers.having(["alice": "tea"])
        let client = ScramClient(hash: .sha256, user: "alice", password: "tea")
        let changes: [(String, (String) -> String, ScramRefusal)] = [
            ("client's half", { $0.replacing(Self.nonce, with: "") }, .nonceMismatch),
            ("server's half", { $0.replacing("r=" + client.nonce, with: "r=") }, .nonceMismatch),
            ("header", { $0.replacing("c=biws", with: "c=eSws") }, .channelBindingChanged),
            ("proof", { $0.split(separator: ",").dropLast().joined(separator: ",") + ",p=AAAA" }, .malformed("proof")),
            ("extension", { $0.replacing(",p=", with: ",m=x,p=") }, .extensionNotSupported),
        ]
        for (name, change, refusal) in changes {
            var server = try self.server()
            let challenge = try #require(server.received(client.first, users: users).challenge)
            let message = String(decoding: try client.final(challenge).message, as: UTF8.self)
            #expect(server.received(Array(change(message).utf8), users: users).refusal == refusal, "\(name)")
        }
    }

    @Test("whatever else comes, nobody is let in and nothing breaks", arguments: 0..<20 as Range<UInt64>)
    func mutations(seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        let users = try ScramUsers.having(["alice": "tea"])
        let client = ScramClient(hash: .sha256, user: "alice", password: "tea")
        var reference = try self.server()
        let challenge = try #require(reference.received(client.first, users: users).challenge)
        let final = try client.final(challenge).message
        for _ in 0..<200 {
            var server = try self.server()
            let first = random.isOne(in: 2) ? client.first : self.mutated(client.first, &random)
            let second = self.mutated(final, &random)
            _ = server.received(first, users: users)
            let answer = server.received(second, users: users)
            if answer.acceptance != nil { #expect(first == client.first && second == final) }
        }
    }

    private func mutated(_ message: [UInt8], _ random: inout SplitMix64) -> [UInt8] {
        var bytes = message
        for _ in 0...random.below(4) {
            let at = random.below(bytes.count + 1)
            let byte = random.isOne(in: 3) ? Array(",=\0nrp".utf8)[random.below(6)] : UInt8(random.below(256))
            switch random.below(4) {
            case 0: bytes.insert(byte, at: at)
            case 1 where at < bytes.count: bytes.remove(at: at)
            case 2 where at < bytes.count: bytes[at] = byte
            default: bytes.removeLast(min(bytes.count, random.below(8)))
            }
        }
        return bytes
    }

    @Test("a message over the limit is refused before it is read")
    func oversized() throws {
        let users = try ScramUsers.having([:])
        var server = try self.server()
        let long = Array("n,,n=alice,r=".utf8) + Array(repeating: UInt8(ascii: "a"), count: 5000)
        #expect(server.received(long, users: users).refusal == .tooLong(.bytes(long.count)))
    }
}
