import ApusClient
import ApusCore
import AsyncHTTPClient
import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import Testing

@testable import ApusServer

/// Whole servers over HTTP, asked by another HTTP client than ours.
@Suite("A server of the web", .timeLimit(.minutes(20)))
struct WebTests {
    private let bench: ServerBench

    init() throws { self.bench = try ServerBench() }

    private func configuration() -> ServerConfiguration {
        var configuration = self.bench.configuration
        configuration.http = ServerAddress(host: "127.0.0.1", port: 0)
        return configuration
    }

    private struct Answer {
        let status: Int
        let body: String
    }

    private struct Web {
        let client: HTTPClient
        let base: String

        func ask(
            _ method: HTTPMethod, _ path: String, _ body: String? = nil, login: String? = nil
        ) async throws -> Answer {
            var request = HTTPClientRequest(url: self.base + path)
            request.method = method
            if let body { request.body = .bytes(ByteBuffer(string: body)) }
            if let login {
                request.headers.add(name: "Authorization", value: "Basic \(Data(login.utf8).base64EncodedString())")
            }
            let response = try await self.client.execute(request, timeout: .seconds(120))
            let bytes = try await response.body.collect(upTo: 1 << 20)
            return Answer(status: Int(response.status.code), body: String(buffer: bytes))
        }

        func expect(
            _ status: Int, _ method: HTTPMethod, _ path: String, _ body: String? = nil, login: String? = nil
        ) async throws {
            let answer = try await self.ask(method, path, body, login: login)
            #expect(answer.status == status, "\(method) \(path): \(answer.body)")
        }

        /// The events of a stream until one has the text.
        func stream(_ path: String, until text: String) async throws -> String {
            let response = try await self.client.execute(
                HTTPClientRequest(url: self.base + path), timeout: .seconds(120))
            #expect(response.headers.first(name: "content-type")?.hasPrefix("text/event-stream") == true)
            var found = ""
            for try await piece in response.body {
                found += String(buffer: piece)
                if found.contains(text) { return found }
            }
            return found
        }
    }

    private func with(
        _ server: ApusServer, tls: Bool = false, _ body: (Web) async throws -> Void
    ) async throws {
        let address = try #require(server.http)
        var configuration = HTTPClient.Configuration()
        if tls {
            var settings = TLSConfiguration.makeClientConfiguration()
            settings.trustRoots = .certificates(
                try NIOSSLCertificate.fromPEMBytes(Array(TestCertificates.root.utf8)))
            configuration.tlsConfiguration = settings
        }
        let client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
        do {
            try await body(Web(client: client, base: "\(tls ? "https" : "http")://\(address)"))
        } catch {
            try? await client.shutdown()
            throw error
        }
        try await client.shutdown()
    }

    @Test("a record has one offset, whether read by Kafka's protocol, by REST or as an event, after a restart, too")
    func oneOffset() async throws {
        try await self.bench.serve(self.configuration()) { server in
            try await self.with(server) { web in
                try await web.expect(201, .POST, "/v1/topics", #"{"name":"t"}"#)
                for value in ["a", "b", "c"] {
                    try await web.expect(200, .POST, "/v1/topics/t/records", value)
                }
            }
        }
        try await self.bench.serve(self.configuration()) { server in
            let apus = ApusClient(ClientConfiguration(servers: ["\(server.kafka)"], clientID: "test"))
            try await apus.withConnection { apus in
                var found: [String] = []
                for try await record in apus.read("t", until: .end) {
                    found.append("\(record.offset):\(String(buffer: record.value ?? ByteBuffer()))")
                }
                #expect(found == ["0:a", "1:b", "2:c"])
            }
            try await self.with(server) { web in
                let read = try await web.ask(.GET, "/v1/topics/t/records?from=1&limit=1").body
                #expect(read.contains(#""offset":1"#) && read.contains(#""text":"b""#))
                let events = try await web.stream("/v1/stream?channel=t&from=earliest", until: #""text":"c""#)
                #expect(events.contains(#""offset":2"#))
            }
        }
    }

    @Test("the users of the Kafka port log in over HTTPS with their passwords, and have their rights there")
    func logins() async throws {
        var configuration = self.configuration()
        func file(_ name: String, _ text: String) throws -> String {
            let path = self.bench.directory.file(name)
            try Data(text.utf8).write(to: URL(filePath: path))
            try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
            return path
        }
        configuration.tls = ServerConfiguration.TLS(
            certificateFile: try file("server.pem", TestCertificates.server),
            keyFile: try file("server.key", TestCertificates.serverKey))
        configuration.authentication.mechanisms = [.scramSHA256, .plain]
        configuration.authentication.firstUser = ServerConfiguration.FirstUser(name: "admin", password: "tea")
        try await self.bench.serve(configuration) { server in
            try await self.with(server, tls: true) { web in
                try await web.expect(200, .GET, "/livez")
                try await web.expect(401, .GET, "/v1/topics")
                try await web.expect(401, .GET, "/v1/topics", login: "admin:coffee")
                try await web.expect(401, .GET, "/v1/topics", login: "nobody:tea")
                let admin = "admin:tea"
                try await web.expect(201, .POST, "/v1/topics", #"{"name":"t"}"#, login: admin)
                let password = #"{"password":"cocoa"}"#
                try await web.expect(204, .PUT, "/v1/users/bob", password, login: admin)
                try await web.expect(403, .GET, "/v1/topics/t", login: "bob:cocoa")
                let rule = #"{"acls":[{"type":"topic","name":"t","principal":"User:bob","operation":"write"}]}"#
                try await web.expect(403, .POST, "/v1/acls", rule, login: "bob:cocoa")
                try await web.expect(200, .POST, "/v1/acls", rule, login: admin)
                try await web.expect(200, .POST, "/v1/topics/t/records", "x", login: "bob:cocoa")
                try await web.expect(403, .GET, "/v1/topics/t/records", login: "bob:cocoa")
            }
        }
    }

    @Test("a port that something else has is a refusal, or is done without where that was said")
    func taken() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let other = try await ServerBootstrap(group: group).bind(host: "127.0.0.1", port: 0).get()
        var configuration = self.configuration()
        configuration.http?.port = try #require(other.localAddress?.port)
        let taken = configuration
        let error = await #expect(throws: ServerError.self) { try await self.bench.serve(taken) { _ in } }
        #expect(error?.code == .addressInUse && error?.message.contains("--http") == true)
        configuration.doesWithoutHTTP = true
        try await self.bench.serve(configuration) { server in #expect(server.http == nil) }
        try await group.shutdownGracefully()
    }
}
