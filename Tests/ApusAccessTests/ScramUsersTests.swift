import ApusCore
import Testing

@testable import ApusAccess

@Suite("SCRAM users, known and unknown")
struct ScramUsersTests {
    private func firstAnswer(_ name: String, _ users: ScramUsers, hash: ScramHash = .sha256) throws -> [UInt8] {
        var server = ScramServer(hash, nonce: try #require(ScramNonce("server")))
        let message = Array("n,,n=\(name),r=client".utf8)
        return try #require(server.received(message, users: users).challenge)
    }

    @Test("an unknown user is answered like a known one: same form, same salt each time, refused at the end")
    func lookAlike() throws {
        let users = try ScramUsers.having(["alice": "tea"])
        let known = try self.firstAnswer("alice", users)
        let unknown = try self.firstAnswer("mallory", users)
        #expect(unknown.count == known.count)
        #expect(unknown != known)
        #expect(try self.firstAnswer("mallory", users) == unknown)
        #expect(try self.firstAnswer("mallorz", users) != unknown)
        let others = try ScramUsers.having(["alice": "tea"], secret: 8)
        #expect(try self.firstAnswer("mallory", others) != unknown)

        let client = ScramClient(hash: .sha256, user: "mallory", password: "tea")
        var server = ScramServer(.sha256, nonce: try #require(ScramNonce("server")))
        let challenge = try #require(server.received(client.first, users: users).challenge)
        #expect(server.received(try client.final(challenge).message, users: users).refusal == .unknownUser)
    }

    @Test("a user who has another mechanism's password only looks like one who has none")
    func otherMechanism() throws {
        var users = try ScramUsers.having(["alice": "tea"], hash: .sha512)
        let before = try self.firstAnswer("alice", users)
        #expect(users.hashes(of: "alice") == [.sha512])
        users.set(nil, of: "alice", .sha512)
        #expect(users.hashes(of: "alice") == nil)
        #expect(users.count == 0)
        #expect(try self.firstAnswer("alice", users) == before)
    }

    @Test("unknown users take the iterations and salts of real ones, whatever shapes there are")
    func shapes() throws {
        var users = ScramUsers(mockSecret: Secret(repeatElement(3, count: 32)))
        for (index, (iterations, salt)) in [(4096, 16), (8192, 20), (20_000, 128)].enumerated() {
            let credential = try ScramCredential(
                hash: .sha256, saltedPassword: Secret(repeatElement(1, count: 32)),
                salt: Array(repeating: 9, count: salt), iterations: Int32(iterations)
            )
            users.set(credential, of: ExactText("user\(index)"), .sha256)
        }
        var seen: [CredentialShape: Int] = [:]
        for index in 0..<300 {
            let (credential, isKnown) = users.challenge(for: ExactText("nobody\(index)"), .sha256)
            #expect(!isKnown)
            seen[credential.shape, default: 0] += 1
        }
        #expect(Set(seen.keys.map(\.iterations)) == [4096, 8192, 20_000])
        #expect(Set(seen.keys.map(\.saltBytes)) == [16, 20, 128])
        #expect(seen.values.allSatisfy { $0 > 50 })
    }

    @Test("a plain password is checked against the same credential, and an unknown user's costs the same")
    func plain() throws {
        let users = try ScramUsers.having(["alice": "tea"])
        #expect(users.check(Secret("tea".utf8), of: "alice").run())
        #expect(!users.check(Secret("coffee".utf8), of: "alice").run())
        let unknown = users.check(Secret("tea".utf8), of: "bob")
        #expect(unknown.credential.iterations == 4096)
        #expect(unknown.credential.hash == .sha256)
        #expect(!unknown.run())
    }

    @Test("credentials outside the limits are refused by name")
    func bounds() throws {
        let salted = Secret(repeatElement(1, count: 32))
        func credential(_ iterations: Int32, salt: Int = 16, key: Secret? = nil) throws -> ScramCredential {
            try ScramCredential(
                hash: .sha256, saltedPassword: key ?? salted, salt: Array(repeating: 0, count: salt),
                iterations: iterations)
        }
        for iterations: Int32 in [.min, -1, 0, 4095, 1_000_001, .max] {
            #expect(throws: ScramCredential.Refusal.iterations(iterations)) { _ = try credential(iterations) }
        }
        for salt in [0, 7, 129] {
            #expect(throws: ScramCredential.Refusal.salt(.bytes(salt))) { _ = try credential(4096, salt: salt) }
        }
        #expect(throws: ScramCredential.Refusal.keyLength(.bytes(31))) {
            _ = try credential(4096, key: Secret(repeatElement(1, count: 31)))
        }
        #expect(try credential(1_000_000).iterations == 1_000_000)
        let refusals: [(String, PasswordRefusal)] = [
            ("", .empty), (String(repeating: "a", count: 1025), .tooLong(.bytes(1025))),
            ("pass\u{e9}", .notPrintableASCII), ("a\tb", .notPrintableASCII),
        ]
        for (password, refusal) in refusals {
            #expect(throws: ScramCredential.Refusal.password(refusal)) {
                _ = try PasswordHashing(password, hash: .sha256, salt: Array(repeating: 0, count: 16))
            }
        }
    }

    @Test("a secret tells its length and nothing else")
    func secrets() {
        let secret = Secret("tea time".utf8)
        var dumped = ""
        dump(secret, to: &dumped)
        for text in ["\(secret)", String(reflecting: secret), dumped] {
            #expect(text.contains("secret of 8 bytes"))
            #expect(!text.contains("116"))
            #expect(!text.contains("tea"))
        }
        #expect(secret.matches(Secret("tea time".utf8)))
        #expect(!secret.matches(Secret("tea timE".utf8)))
        #expect(!secret.matches(Secret("tea".utf8)))
    }
}
