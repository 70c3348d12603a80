import ApusAccess
import ApusBroker
import ApusCore
import KafkaWire
import NIOCore
import NIOEmbedded
import Testing

@testable import KafkaDoor

@Suite("A connection that has to log in")
struct LoginTests {
    @Test("SCRAM logs in, and the connection is the user's from then on")
    func scram() throws {
        let login = try LoginBench()
        let last = try login.logIn()
        #expect(last.errorCode == .none)
        #expect(last.sessionLifetimeMs == 0)
        let access = try login.bench.connection.client.access
        #expect(!access.authorize(.read, on: Resource(.topic, "t")).isAllowed, "nobody gave alice a right")
        #expect(try login.isServed())
        #expect(login.reports.value == ["in: User:alice"])
        #expect(login.bench.broker.memory.used == .zero)
    }

    @Test("a password logs in with PLAIN, hashed elsewhere, while nothing of the connection goes on")
    func plain() throws {
        let login = try LoginBench()
        #expect(try login.handshake("PLAIN").errorCode == .none)
        login.hold()
        try login.bench.send(LoginBench.message(Array("\0alice\0tea".utf8)), version: 2)
        try login.bench.send(ApiVersionsRequest(), version: 0)
        #expect(login.workHeld == 1)
        #expect(try login.bench.replies().isEmpty)
        login.release()
        let replies = try login.bench.replies()
        try #require(replies.count == 2)
        let answer = try login.bench.decode(replies[0], SaslAuthenticateResponse.self, version: 2)
        #expect(answer.errorCode == .none)
        #expect(login.bench.isOpen)
    }

    @Test("after version 0 of the handshake the messages come without headers")
    func bare() throws {
        let login = try LoginBench()
        let bench = login.bench
        #expect(try login.handshake("SCRAM-SHA-256", version: 0).errorCode == .none)
        let client = try LoginBench.scram("alice", "tea", .sha256)
        func ask(_ message: [UInt8]) throws -> [UInt8] {
            var frame = ByteBuffer(integer: Int32(message.count))
            frame.writeBytes(message)
            try bench.send(frame)
            let replies = try bench.replies()
            try #require(replies.count == 1)
            return Array(replies[0].readableBytesView)
        }
        let (message, proof) = try client.final(try ask(client.first))
        try proof.check(try ask(message))
        #expect(try login.isServed())
        #expect(bench.broker.memory.used == .zero)
    }

    @Test("a bare message of no bytes at all is one, and no login; the next frame needs a header again")
    func emptyBareMessage() throws {
        let login = try LoginBench()
        #expect(try login.handshake("SCRAM-SHA-256", version: 0).errorCode == .none)
        try login.bench.send(ByteBuffer(integer: Int32(0)))
        login.bench.loop.advanceTime(by: .seconds(1))
        #expect(!login.bench.isOpen)
        #expect(try login.bench.replies().isEmpty)
        #expect(login.bench.broker.memory.used == .zero)
    }

    @Test(
        "any other API before the login ends the connection, with a line that names it",
        arguments: ApiTable.standard.all.map(\.key).filter {
            ![.apiVersions, .saslHandshake, .saslAuthenticate].contains($0)
        })
    func otherFirst(key: ApiKey) throws {
        let login = try LoginBench()
        let api = try #require(ApiTable.standard[key])
        var frame = ByteBuffer()
        frame.writeInteger(key.rawValue)
        frame.writeInteger(api.versions.upperBound)
        frame.writeInteger(Int32(1))
        frame.writeInteger(Int16(-1))
        frame.writeRepeatingByte(0, count: 64)
        var bytes = ByteBuffer(integer: Int32(frame.readableBytes))
        bytes.writeImmutableBuffer(frame)
        try login.bench.send(bytes)
        #expect(!login.bench.isOpen)
        #expect(try login.bench.replies().isEmpty)
        #expect(login.bench.lines.all.contains { $0.contains("\(key) before the login") })
        #expect(login.reports.value == ["failed: outOfOrder"])
        #expect(login.bench.broker.memory.used == .zero)
    }

    @Test("ApiVersions is served before the login, and in versions that we do not know, but not for ever")
    func versionsFirst() throws {
        let login = try LoginBench()
        for _ in 0..<8 { #expect(try login.bench.ask(ApiVersionsRequest(), version: 2).errorCode == .none) }
        var unknown = ByteBuffer()
        unknown.writeInteger(Int32(11))
        unknown.writeInteger(ApiKey.apiVersions.rawValue)
        unknown.writeInteger(Int16(99))
        unknown.writeInteger(Int32(7))
        unknown.writeInteger(Int16(-1))
        unknown.writeInteger(UInt8(0))
        for _ in 8..<Limits.unauthenticatedRequestsMax {
            try login.bench.send(unknown)
            #expect(try login.bench.answered() == [7])
        }
        #expect(login.bench.isOpen)
        try login.bench.send(unknown)
        #expect(!login.bench.isOpen)
    }

    @Test("a frame over 512 KiB before the login ends the connection and takes no memory; after it, it is taken")
    func longFrames() throws {
        let long = Limits.unauthenticatedFrameBytesMax.rawValue + 1
        let early = try LoginBench()
        try early.bench.send(ByteBuffer(integer: Int32(long)))
        #expect(!early.bench.isOpen)
        #expect(early.bench.lines.all.contains { $0.contains("frameTooLarge") })

        let later = try LoginBench()
        try later.logIn()
        try later.bench.send(ByteBuffer(integer: Int32(long)))
        #expect(later.bench.isOpen)
        for bench in [early.bench, later.bench] {
            bench.channel.pipeline.fireChannelInactive()
            bench.loop.run()
            #expect(bench.broker.memory.used == .zero)
        }
    }

    @Test("what a client sends together with its login is read by the login's rules")
    func pipelined() throws {
        let login = try LoginBench()
        let client = try LoginBench.scram()
        let bytes = [
            login.bench.encode(LoginBench.handshakeRequest("SCRAM-SHA-512"), version: 1),
            login.bench.encode(LoginBench.message(client.first), version: 2),
        ].joined
        try login.bench.send(bytes)
        #expect(try login.bench.answered() == [1, 2])
        #expect(login.bench.isOpen)
    }

    @Test(
        "a login that does not hold is answered with SASL_AUTHENTICATION_FAILED after its delay, and then closed",
        arguments: [("alice", "coffee"), ("nobody", "tea")])
    func wrongPassword(user: String, password: String) throws {
        let login = try LoginBench()
        _ = try login.handshake("SCRAM-SHA-512")
        let client = try LoginBench.scram(user, password)
        let challenge = try login.authenticate(client.first)
        #expect(challenge.errorCode == .none, "who does not exist is told nothing of it")
        let answer = try login.refusal(of: try client.final(Array(challenge.authBytes.readableBytesView)).message)
        #expect(answer.errorCode == .saslAuthenticationFailed)
        #expect(answer.errorMessage == "SCRAM-SHA-512: wrong user or password")
        #expect(login.bench.lines.all.contains { $0.contains("login refused") && $0.contains(user) })
        #expect(login.bench.broker.memory.used == .zero)
    }

    @Test("a recorded final message does not log in on another connection")
    func replay() throws {
        let login = try LoginBench()
        _ = try login.handshake("SCRAM-SHA-512")
        let client = try LoginBench.scram()
        let challenge = try login.authenticate(client.first)
        let message = try client.final(Array(challenge.authBytes.readableBytesView)).message
        #expect(try login.authenticate(message).errorCode == .none)

        try login.bench.connect()
        _ = try login.handshake("SCRAM-SHA-512")
        #expect(try login.authenticate(client.first).errorCode == .none)
        #expect(try login.refusal(of: message).errorCode == .saslAuthenticationFailed)
        #expect(login.reports.value == ["in: User:alice", "failed: scram(ApusAccess.ScramRefusal.nonceMismatch)"])
    }

    @Test("messages in the wrong order are told ILLEGAL_SASL_STATE, and end the connection")
    func wrongOrder() throws {
        let early = try LoginBench()
        #expect(try early.authenticate(try LoginBench.scram().first).errorCode == .illegalSaslState)
        #expect(!early.bench.isOpen)
        let twice = try LoginBench()
        _ = try twice.handshake("PLAIN")
        #expect(try twice.handshake("PLAIN").errorCode == .illegalSaslState)
        #expect(!twice.bench.isOpen)
    }

    @Test("a mechanism that is not offered is answered with those that are, and the connection ends")
    func mechanisms() throws {
        let network = try LoginBench(from: "10.1.1.1")
        let answer = try network.handshake("PLAIN")
        #expect(answer.errorCode == .unsupportedSaslMechanism)
        #expect(answer.mechanisms == ["SCRAM-SHA-512", "SCRAM-SHA-256"], "in clear, on a network")
        #expect(!network.bench.isOpen)
        let local = try LoginBench()
        #expect(
            try local.handshake("GSSAPI").mechanisms == ["SCRAM-SHA-512", "SCRAM-SHA-256", "OAUTHBEARER", "PLAIN"])
    }

    @Test("where nobody has to log in, a handshake is told so and does no harm")
    func noLogin() throws {
        let bench = try DoorBench()
        #expect(
            try bench.ask(LoginBench.handshakeRequest("PLAIN"), version: 1).errorCode == .illegalSaslState)
        #expect(try bench.ask(LoginBench.message([0]), version: 2).errorCode == .illegalSaslState)
        #expect(try bench.ask(ApiVersionsRequest(), version: 0).errorCode == .none)
    }

    @Test("a client that does not log in within ten seconds is closed")
    func late() throws {
        let login = try LoginBench()
        _ = try login.handshake("SCRAM-SHA-512")
        login.bench.advance(seconds: 9)
        #expect(login.bench.isOpen)
        login.bench.advance(seconds: 2)
        #expect(!login.bench.isOpen)
        #expect(login.reports.value == ["failed: timedOut"])
    }

    @Test("a token that nobody's key signed is refused with invalid_token; the signature is checked elsewhere")
    func token() throws {
        let login = try LoginBench()
        _ = try login.handshake("OAUTHBEARER")
        login.hold()
        let message = Array("n,,\u{1}auth=Bearer eyJhbGciOiJSUzI1NiJ9.e30.AA\u{1}\u{1}".utf8)
        try login.bench.send(LoginBench.message(message), version: 2)
        #expect(login.workHeld == 1)
        login.release()
        #expect(try login.bench.replies().isEmpty, "whoever guesses waits")
        login.bench.loop.advanceTime(by: .nanoseconds(Limits.failedLoginDelay.wholeNanoseconds))
        let told = try login.bench.replies()
        try #require(told.count == 1)
        let refusal = try login.bench.decode(told[0], SaslAuthenticateResponse.self, version: 2)
        #expect(refusal.errorCode == .saslAuthenticationFailed)
        #expect(refusal.errorMessage == "OAUTHBEARER: the token is not accepted")
        #expect(String(buffer: refusal.authBytes) == #"{"status":"invalid_token"}"#)
        #expect(!login.bench.isOpen)
    }

    @Test("a token that names its channels is good for those topics alone, though its bearer is a super user")
    func boundedToken() throws {
        let alice = try #require(Principal(user: "alice"))
        for (token, isBounded) in [(LoginBench.token, false), (LoginBench.boundedToken, true)] {
            let login = try LoginBench(superUsers: [alice])
            _ = try login.handshake("OAUTHBEARER")
            #expect(try login.authenticate(token).errorCode == .none)
            func may(_ operation: AccessOperation, _ resource: Resource) throws -> Bool {
                try login.bench.connection.client.access.authorize(operation, on: resource).isAllowed
            }
            #expect(try may(.read, Resource(.topic, "news")))
            for (operation, name) in [
                (AccessOperation.write, ExactText("news")), (.read, "other"), (.delete, "news"), (.write, "chat"),
            ] {
                #expect(try may(operation, Resource(.topic, name)) != isBounded, "\(operation) \(name)")
            }
            #expect(try may(.alter, .cluster) != isBounded)
        }
    }

    @Test("a token whose claim is none lets nobody in, and says what is wrong with it")
    func oddToken() throws {
        let login = try LoginBench()
        _ = try login.handshake("OAUTHBEARER")
        try login.bench.send(LoginBench.message(LoginBench.oddToken), version: 2)
        login.bench.loop.advanceTime(by: .nanoseconds(Limits.failedLoginDelay.wholeNanoseconds))
        let told = try login.bench.replies()
        try #require(told.count == 1)
        let refusal = try login.bench.decode(told[0], SaslAuthenticateResponse.self, version: 2)
        #expect(refusal.errorCode == .saslAuthenticationFailed)
        #expect(refusal.errorMessage?.contains("claim 'apus'") == true)
        #expect(!login.bench.isOpen)
    }

    @Test("so many logins are judged at once, and no more: the next connection is closed without a word")
    func tooManyAtOnce() throws {
        let login = try LoginBench()
        login.hold()
        for _ in 0...Limits.passwordChecksPerLoopMax {
            try login.bench.connect()
            _ = try login.handshake("PLAIN")
            try login.bench.send(LoginBench.message(LoginBench.password), version: 2)
        }
        #expect(login.workHeld == Limits.passwordChecksPerLoopMax)
        #expect(!login.bench.isOpen)
        #expect(login.reports.value == ["failed: overloaded"])
        login.release()
        #expect(login.reports.value?.count == Limits.passwordChecksPerLoopMax + 1)
        #expect(login.bench.broker.memory.used == .zero)
    }

    @Test(
        "while a crowd of one kind waits, passwords or tokens, those of the other are judged and let in",
        arguments: LoginWork.allCases)
    func oneKindAtATime(crowd: LoginWork) throws {
        let login = try LoginBench()
        let passwords = ("PLAIN", LoginBench.password, Limits.passwordChecksPerLoopMax)
        let tokens = ("OAUTHBEARER", LoginBench.token, Limits.tokenChecksPerLoopMax)
        let (many, one) = crowd == .password ? (passwords, tokens) : (tokens, passwords)
        login.hold([crowd])
        for _ in 0...many.2 {
            try login.bench.connect()
            _ = try login.handshake(many.0)
            try login.bench.send(LoginBench.message(many.1), version: 2)
        }
        #expect(login.reports.value == ["failed: overloaded"])
        for _ in 0..<3 {
            try login.bench.connect()
            _ = try login.handshake(one.0)
            #expect(try login.authenticate(one.1).errorCode == .none)
            #expect(try login.isServed())
        }
        #expect(login.workHeld == many.2)
        login.release()
        let ended = try #require(login.reports.value)
        #expect(ended.dropFirst() == Array(repeating: "in: User:alice", count: many.2 + 3)[...])
        #expect(login.bench.broker.memory.used == .zero)
    }

    @Test("a connection that goes while its password is hashed leaves nothing behind")
    func goneMeanwhile() throws {
        let login = try LoginBench()
        _ = try login.handshake("PLAIN")
        login.hold()
        try login.bench.send(LoginBench.message(Array("\0alice\0tea".utf8)), version: 2)
        login.bench.channel.pipeline.fireChannelInactive()
        login.release()
        #expect(login.bench.broker.memory.used == .zero)
        #expect(login.bench.doorLoop.connectionCount == 0)
        #expect(login.reports.value == nil)
    }
}

@Suite("A session that has to be renewed")
struct ReauthenticationTests {
    @Test("a session has a length, is renewed on the live connection, and goes on for as long again")
    func renewed() throws {
        let login = try LoginBench(lifetime: .seconds(10))
        #expect(try login.logIn().sessionLifetimeMs == 10_000)
        login.bench.advance(seconds: 8)
        #expect(try login.logIn().sessionLifetimeMs == 10_000)
        login.bench.advance(seconds: 8)
        #expect(try login.isServed())
        #expect(login.bench.isOpen)
    }

    @Test("a session that has run out is closed at its next request, not before")
    func expired() throws {
        let login = try LoginBench(lifetime: .seconds(5))
        try login.logIn()
        login.bench.advance(seconds: 30)
        #expect(login.bench.isOpen)
        try login.bench.send(MetadataRequest(), version: 9)
        #expect(!login.bench.isOpen)
        #expect(try login.bench.replies().isEmpty)
        #expect(login.reports.value?.last == "failed: sessionExpired")
    }

    @Test("a fetch that waited for another until its session was over is not served")
    func heldFetch() throws {
        let alice = try #require(Principal(user: "alice"))
        let login = try LoginBench(lifetime: .seconds(5), superUsers: [alice])
        try login.logIn()
        try login.bench.create("t")
        var fetch = try login.bench.fetch("t", version: 11)
        fetch.minBytes = 1
        fetch.maxWaitMs = 3_000
        for _ in 0..<4 { try login.bench.send(fetch, version: 11) }
        login.bench.advance(seconds: 4)
        #expect(try login.bench.replies().count == 1)
        #expect(login.bench.isOpen)
        login.bench.advance(seconds: 30)
        #expect(try login.bench.replies().count == 1)
        #expect(!login.bench.isOpen)
    }

    @Test("a session that has run out may still be renewed")
    func late() throws {
        let login = try LoginBench(lifetime: .seconds(5))
        try login.logIn()
        login.bench.advance(seconds: 6)
        try login.logIn()
        #expect(try login.isServed())
    }

    @Test("a session is not renewed with another mechanism, nor before a second has passed")
    func otherMechanism() throws {
        let login = try LoginBench(lifetime: .seconds(60))
        try login.logIn()
        #expect(try login.handshake("SCRAM-SHA-512").errorCode == .illegalSaslState)
        #expect(login.bench.isOpen)
        login.bench.advance(seconds: 2)
        #expect(try login.handshake("PLAIN").errorCode == .illegalSaslState)
        #expect(!login.bench.isOpen)
        #expect(login.reports.value?.last == "failed: mechanismChanged")
    }

    @Test("requests between the messages of a renewal end the connection")
    func inBetween() throws {
        let login = try LoginBench(lifetime: .seconds(60))
        try login.logIn()
        login.bench.advance(seconds: 2)
        _ = try login.handshake("SCRAM-SHA-512")
        try login.bench.send(MetadataRequest(), version: 9)
        #expect(!login.bench.isOpen)
    }
}
