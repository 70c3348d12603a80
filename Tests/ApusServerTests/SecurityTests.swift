import ApusClient
import ApusCore
import Foundation
import Logging
import NIOCore
import NIOPosix
import Testing

@testable import ApusServer

/// Servers that ask who comes, over real sockets, with the Swift client.
@Suite("A server that asks for a login", .timeLimit(.minutes(20)))
struct SecurityTests {
    private let bench: ServerBench

    init() throws {
        self.bench = try ServerBench()
    }

    /// Writes a file for the test and gives its path.
    private func file(_ name: String, _ text: String) throws -> String {
        let path = self.bench.directory.file(name)
        try Data((text + "\n").utf8).write(to: URL(filePath: path))
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
        return path
    }

    private func tls() throws -> ServerConfiguration.TLS {
        ServerConfiguration.TLS(
            certificateFile: try self.file("server.pem", TestCertificates.server),
            keyFile: try self.file("server.key", TestCertificates.serverKey))
    }

    /// SCRAM and PLAIN, a first user `admin`, password `tea`, over TLS.
    private func secured() throws -> ServerConfiguration {
        var configuration = self.bench.configuration
        configuration.tls = try self.tls()
        configuration.authentication.mechanisms = [.scramSHA256, .scramSHA512, .plain]
        configuration.authentication.firstUser = ServerConfiguration.FirstUser(name: "admin", password: "tea")
        return configuration
    }

    private func client(
        _ server: ApusServer, _ login: ClientConfiguration.Login?, trusting authority: String? = TestCertificates.root
    ) throws -> ApusClient {
        var configuration = ClientConfiguration(servers: ["\(server.kafka)"], clientID: "test")
        configuration.callTimeout = .seconds(120)
        configuration.login = login
        if let authority {
            var tls = ClientConfiguration.TLS()
            tls.authorityFile = try self.file("authority-\(UUID().uuidString).pem", authority)
            configuration.tls = tls
        }
        return ApusClient(configuration)
    }

    /// What a client that should not get in is told.
    private func refusal(_ client: ApusClient) async throws -> ApusError {
        do {
            try await client.withConnection { _ in }
        } catch let error as ApusError {
            return error
        }
        throw LetIn()
    }

    private struct LetIn: Error {}

    @Test(
        "a key set's URL is shown without what may be secret in it",
        arguments: [
            ("https://me:secret@id.example.com:8443/keys?token=secret#secret", "https://id.example.com:8443/keys"),
            ("https://id.example.com/keys", "https://id.example.com/keys"), ("secret", "what was given"),
        ])
    func shownURL(whole: String, shown: String) {
        #expect(TokenKeySource.shown(whole) == shown)
    }

    @Test(
        "the first user logs in over TLS by every mechanism, makes topics and users, writes and reads",
        arguments: [
            ClientConfiguration.Login.scramSHA512(user: "admin", password: "tea"),
            .scramSHA256(user: "admin", password: "tea"), .plain(user: "admin", password: "tea"),
        ])
    func logsIn(login: ClientConfiguration.Login) async throws {
        try await self.bench.serve(try self.secured()) { server in
            try await self.client(server, login).withConnection { admin in
                try await admin.topics.create("t", partitions: 1)
                try await admin.publish("hello", to: "t")
                var values: [String] = []
                for try await record in admin.read("t", until: .end) {
                    values.append(String(buffer: record.value ?? ByteBuffer()))
                }
                #expect(values == ["hello"])
                try await admin.users.setPassword("cocoa", of: "bob")
                #expect(try await admin.users.list().map(\.name) == ["admin", "bob"])
                #expect(try await admin.users.describe("nobody") == nil)
            }
            let bob = try self.client(server, .scramSHA512(user: "bob", password: "cocoa"))
            try await bob.withConnection { bob in
                let error = await #expect(throws: ApusError.self) { try await bob.topics.create("u", partitions: 1) }
                #expect(error?.code == .notAuthorized, "nobody gave bob a right")
            }
        }
    }

    @Test("a wrong password, no login and an authority that signed nothing are told apart, and at once")
    func refused() async throws {
        try await self.bench.serve(try self.secured()) { server in
            let wrong = try await self.refusal(
                try self.client(server, .scramSHA512(user: "admin", password: "coffee")))
            #expect(wrong.code == .notAuthorized)
            #expect(wrong.message == "SCRAM-SHA-512: wrong user or password")
            let untrusted = try await self.refusal(
                try self.client(
                    server, .scramSHA512(user: "admin", password: "tea"), trusting: TestCertificates.other))
            #expect(untrusted.code == .tls)
            let token = try await self.refusal(try self.client(server, .token { "no token" }))
            #expect(token.code == .notAuthorized)
            #expect(token.message.contains("SCRAM-SHA-512, SCRAM-SHA-256, PLAIN"))
        }
    }

    @Test("a bare connection is safe and logged in: whoever gets it is answered; with a wrong password there is none")
    func bareConnection() async throws {
        try await self.bench.serve(try self.secured()) { server in
            let loop = MultiThreadedEventLoopGroup.singleton.next()
            func bare(_ password: String) async throws -> any Channel {
                try await self.client(server, .scramSHA512(user: "admin", password: password))
                    .bareConnection(to: server.kafka.host, port: server.kafka.port, on: loop).get()
            }
            let channel = try await bare("tea")
            let answer = loop.makePromise(of: Int32.self)
            try await loop.submit { try channel.pipeline.syncOperations.addHandler(FirstAnswer(answer)) }.get()
            // Metadata, version 1, of no topic: who has not logged in is not answered.
            var request = ByteBuffer()
            request.writeMultipleIntegers(Int32(14), Int16(3), Int16(1), Int32(7), Int16(-1), Int32(0))
            try await channel.writeAndFlush(request).get()
            #expect(try await answer.futureResult.get() == 7, "the correlation id of what was asked")
            try await channel.close().get()
            let refusal = await #expect(throws: ApusError.self) { _ = try await bare("coffee") }
            #expect(refusal?.code == .notAuthorized)
        }
    }

    /// The correlation id of the first answer. Owner: the channel's loop.
    private final class FirstAnswer: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private let answer: EventLoopPromise<Int32>
        private var received = ByteBuffer()

        init(_ answer: EventLoopPromise<Int32>) { self.answer = answer }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            self.received.writeImmutableBuffer(self.unwrapInboundIn(data))
            if let id = self.received.getInteger(at: 4, as: Int32.self) { self.answer.succeed(id) }
        }

        func channelInactive(context: ChannelHandlerContext) { self.answer.fail(ChannelError.eof) }
    }

    @Test("a first user is made once: a later start with another password changes nothing")
    func firstUserOnce() async throws {
        var configuration = try self.secured()
        try await self.bench.serve(configuration) { _ in }
        configuration.authentication.firstUser?.password = "changed"
        try await self.bench.serve(configuration) { server in
            try await self.client(server, .scramSHA256(user: "admin", password: "tea")).withConnection { _ in }
            let changed = try await self.refusal(
                try self.client(server, .scramSHA256(user: "admin", password: "changed")))
            #expect(changed.code == .notAuthorized)
        }
    }

    @Test("a new certificate is shown to who comes from then on; who is connected stays; a bad one changes nothing")
    func newCertificate() async throws {
        let configuration = try self.secured()
        let login = ClientConfiguration.Login.scramSHA512(user: "admin", password: "tea")
        try await self.bench.serve(configuration) { server in
            try await self.client(server, login).withConnection { early in
                try await early.topics.create("t", partitions: 1)
                try await early.publish("before", to: "t")
                _ = try self.file("server.pem", TestCertificates.later)
                _ = try self.file("server.key", TestCertificates.laterKey)
                server.reload()
                var isShown = false
                while !isShown {
                    let late = try self.client(server, login, trusting: TestCertificates.other)
                    isShown = (try? await late.withConnection { _ in true }) ?? false
                }
                try await early.publish("after", to: "t")
                _ = try self.file("server.key", TestCertificates.aliceKey)
                server.reload()
                try await self.client(server, login, trusting: TestCertificates.other).withConnection { _ in }
                try await early.publish("still", to: "t")
            }
        }
    }

    @Test("a client's certificate is its login; without one nobody comes in")
    func certificates() async throws {
        var configuration = self.bench.configuration
        var tls = try self.tls()
        tls.clientAuthorityFile = try self.file("clients.pem", TestCertificates.root)
        tls.clientCertificate = .required
        configuration.tls = tls
        configuration.authentication.superUsers = [#"User:CN=alice,OU=Tea\, black,O=Apus tests"#]
        try await self.bench.serve(configuration) { server in
            var reaching = ClientConfiguration(servers: ["\(server.kafka)"], clientID: "test")
            reaching.callTimeout = .seconds(120)
            var clientTLS = ClientConfiguration.TLS()
            clientTLS.authorityFile = try self.file("root.pem", TestCertificates.root)
            clientTLS.certificateFile = try self.file("alice.pem", TestCertificates.alice)
            clientTLS.keyFile = try self.file("alice.key", TestCertificates.aliceKey)
            reaching.tls = clientTLS
            try await ApusClient(reaching).withConnection { _ = try await $0.topics.create("hers", partitions: 1) }
            reaching.tls?.certificateFile = nil
            reaching.tls?.keyFile = nil
            reaching.callTimeout = .seconds(2)
            _ = try await self.refusal(ApusClient(reaching))
        }
    }

    @Test("what makes no sense together is refused before anything is touched")
    func refusedConfigurations() async throws {
        func refused(_ change: (inout ServerConfiguration) throws -> Void) async throws -> String {
            var configuration = try self.secured()
            try change(&configuration)
            let error = try await self.bench.refusal(configuration)
            #expect(!FileManager.default.fileExists(atPath: configuration.dataDirectory))
            return error.message
        }
        #expect(try await refused { $0.authentication.mechanisms.insert(.oauthBearer) }.contains("--jwks"))
        #expect(try await refused { $0.tls?.keyFile = "/nowhere" }.contains("/nowhere can not be read"))
        #expect(
            try await refused { $0.tls?.keyFile = try self.file("alice.key", TestCertificates.aliceKey) }
                .contains("is not the key of the first certificate"))
        #expect(try await refused { $0.tls?.clientCertificate = .required }.contains("--tls-client-ca"))
        #expect(try await refused { $0.authentication.superUsers = ["*"] }.contains("super user"))
        #expect(
            try await refused {
                $0.authentication.mechanisms = [.oauthBearer]
                $0.authentication.tokens = [.init(name: "me", audiences: ["you"], keys: "http://id.example.com/keys")]
            }.contains("https"))
    }

    @Test("an address that others reach takes a login and TLS, or words")
    func publicAddresses() async throws {
        func danger(_ change: (inout ServerConfiguration) throws -> Void) throws -> String? {
            var configuration = self.bench.configuration
            try change(&configuration)
            return configuration.dangerInPublic
        }
        #expect(try danger { _ in }?.contains("no authentication") == true)
        #expect(try danger { $0.tls = try self.tls() }?.contains("no authentication") == true)
        #expect(try danger { $0.authentication.mechanisms = [.scramSHA512] }?.contains("no TLS") == true)
        let inClear = try danger {
            $0.authentication.mechanisms = [.scramSHA512]
            $0.authentication.allowsScramInClear = true
        }
        #expect(inClear == nil)
        let plainToo = try danger {
            $0.authentication.mechanisms = [.scramSHA512, .plain]
            $0.authentication.allowsScramInClear = true
        }
        #expect(plainToo?.contains("no TLS") == true)
        #expect(try danger { $0 = try self.secured() } == nil)
    }
}
