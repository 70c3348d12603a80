import ApusAccess
import ApusBroker
import ApusClient
import ApusCore
import Foundation
import NIOCore
import NIOPosix
import Testing

@testable import ApusServer

/// Who clients of an endpoint server of its own are, and what that is worth there.
extension EdgeRoleTests {
    /// Makes an API key, and gives its id and its text.
    private func key(of user: String, at server: ApusServer) async throws -> (id: String, text: String) {
        let owner = try #require(Principal(user: user))
        var generator = SystemRandomNumberGenerator()
        let made = try AccessKey.make(
            "test", owner: owner, created: Timestamp(rawValue: 1), expires: nil,
            idBytes: (0..<8).map { _ in UInt8.random(in: 0...255, using: &generator) },
            secret: (0..<Limits.apiKeySecretBytes.rawValue).map { _ in UInt8.random(in: 0...255, using: &generator) })
        let loop = MultiThreadedEventLoopGroup.singleton.any()
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
            server.broker.add(made.key, client: .embedded, on: loop) { continuation.resume(with: $0) }
        }
        return (made.key.id, made.text)
    }

    private func remove(key id: String, at server: ApusServer) async throws {
        let loop = MultiThreadedEventLoopGroup.singleton.any()
        let isRemoved = try await withCheckedThrowingContinuation {
            (continuation: CheckedContinuation<Bool, any Error>) in
            server.broker.removeAccessKey(id, client: .embedded, on: loop) { continuation.resume(with: $0) }
        }
        #expect(isRemoved)
    }

    private func member(_ name: String, of words: String) throws -> String {
        let object = try JSONSerialization.jsonObject(with: Data(words.utf8)) as? [String: Any]
        return try #require(object?[name] as? String, "\(words)")
    }

    /// They are good for half a minute: each is got when it is needed.
    private func ticket(for key: String, at broker: ServerAddress) async throws -> String {
        let (status, words) = try await self.get(broker, "/v1/tickets", "POST", "Bearer \(key)")
        #expect(status == 201, "\(words)")
        return try self.member("ticket", of: words)
    }

    private func refusal(_ address: ServerAddress, _ query: String, _ headers: String = "") async throws -> String {
        let failure = await #expect(throws: EdgeClient.Failure.self) {
            _ = try await EdgeClient.stream(address, query, headers)
        }
        return failure?.words ?? ""
    }

    @Test("API keys are good there, and once they are removed whoever is connected with one is sent away")
    func apiKeys() async throws {
        try await self.secured { server, admin in
            _ = try await admin.acls.create([
                self.rule("edge", .clusterAction, nil), self.rule("edge", .read), self.rule("bob", .read),
            ])
            let key = try await self.key(of: "bob", at: server)
            let change: (inout ServerConfiguration) -> Void = { $0.authentication.mechanisms = [.plain] }
            try await self.edge(of: server, login: self.login("edge"), change) { edge in
                let bearer = "Authorization: Bearer \(key.text)\r\n"
                let stream = try await EdgeClient.stream(edge.http, "channel=news", bearer)
                let socket = try await EdgeClient.socket(edge.http)
                let connected = try await socket.ask(1, #""op":"connect","token":"\#(key.text)""#)
                #expect(connected.contains(#""conn""#), "\(connected)")
                #expect(try await socket.ask(2, #""op":"subscribe","channel":"news""#).contains(#""recovered":true"#))
                for wrong in ["\(key.text)x", "apus_0123456789abcdef_\(key.text.dropFirst(22))", "apus_", "apus_1_2"] {
                    let words = try await self.refusal(
                        edge.http, "channel=news", "Authorization: Bearer \(wrong)\r\n")
                    #expect(words.hasPrefix("HTTP/1.1 401"), "\(words)")
                }
                _ = try await admin.publish("hello", to: "news")
                #expect(try await self.records(socket, 1).values == ["0:0=hello"])
                #expect(try await self.records(stream, 1).values == ["0:0=hello"])
                // One that is made while the endpoint server is there is good at once, and stays so.
                let second = try await self.key(of: "bob", at: server)
                let later = try await EdgeClient.stream(
                    edge.http, "channel=news&from=earliest", "Authorization: Bearer \(second.text)\r\n")
                #expect(try await self.records(later, 1).values == ["0:0=hello"])
                try await self.remove(key: key.id, at: server)
                await socket.wait { _, isClosed in isClosed }
                #expect(socket.codes == [4003])
                await stream.wait { _, isClosed in isClosed }
                let words = try await self.refusal(edge.http, "channel=news", bearer)
                #expect(words.hasPrefix("HTTP/1.1 401"), "\(words)")
                _ = try await admin.publish("again", to: "news")
                #expect(try await self.records(later, 1).values == ["0:1=again"])
            }
        }
    }

    @Test("a ticket of a broker is good once, at whichever endpoint server it is shown, and ends with its key")
    func tickets() async throws {
        try await self.secured { server, admin in
            _ = try await admin.acls.create([
                self.rule("edge", .clusterAction, nil), self.rule("edge", .read), self.rule("bob", .read),
            ])
            let key = try await self.key(of: "bob", at: server)
            let http = try #require(server.http)
            let change: (inout ServerConfiguration) -> Void = { $0.authentication.mechanisms = [.plain] }
            try await self.edge(of: server, login: self.login("edge"), change) { first in
                try await self.edge(of: server, login: self.login("edge"), change) { second in
                    let ticket = try await self.ticket(for: key.text, at: http)
                    let stream = try await EdgeClient.stream(first.http, "channel=news&ticket=\(ticket)")
                    for address in [first.http, second.http, http] {
                        let words = try await self.refusal(address, "channel=news&ticket=\(ticket)")
                        #expect(words.hasPrefix("HTTP/1.1 401"), "\(words)")
                    }
                    let another = try await self.ticket(for: key.text, at: http)
                    let other = try await EdgeClient.stream(second.http, "channel=news&ticket=\(another)")
                    let last = try await self.ticket(for: key.text, at: http)
                    let own = try await EdgeClient.stream(http, "channel=news&ticket=\(last)")
                    for words in try await [
                        self.refusal(first.http, "channel=news&ticket=never-given"),
                        self.refusal(second.http, "channel=news&ticket=\(last)"),
                    ] {
                        #expect(words.hasPrefix("HTTP/1.1 401"), "\(words)")
                    }
                    _ = try await admin.publish("hello", to: "news")
                    for client in [stream, other, own] {
                        #expect(try await self.records(client, 1).values == ["0:0=hello"])
                    }
                    try await self.remove(key: key.id, at: server)
                    for client in [stream, other, own] { await client.wait { _, isClosed in isClosed } }
                }
            }
        }
    }

    @Test("a topic that a client makes through it is the client's")
    func owners() async throws {
        try await self.secured { server, admin in
            _ = try await admin.acls.create([
                self.rule("edge", .clusterAction, nil), self.rule("edge", .create, "mine"),
                self.rule("edge", .delete, "mine"), self.rule("alice", .create, "mine"),
                self.rule("alice", .delete, "mine"), self.rule("bob", .delete, "mine"),
            ])
            let change: (inout ServerConfiguration) -> Void = { $0.authentication.mechanisms = [.plain] }
            try await self.edge(of: server, login: self.login("edge"), change) { edge in
                let socket = try await self.socket(edge.http, self.basic("alice", "tea alice"))
                let made = try await socket.ask(2, #""op":"create","topic":"mine","partitions":2"#)
                #expect(made.contains(#""ok""#), "\(made)")
                #expect(server.broker.topics.topic(named: "mine")?.owner == Principal(user: "alice"))
                let bob = try await self.socket(edge.http, self.basic("bob", "tea bob"))
                #expect(try await bob.ask(2, #""op":"create","topic":"mine""#).contains("forbidden"))
                #expect(try await bob.ask(3, #""op":"delete_topic","topic":"mine""#).contains(#""ok""#))
                #expect(server.broker.topics.topic(named: "mine") == nil)
            }
        }
    }

    @Test("a client's quota holds there for the client, and for nobody else")
    func quotas() async throws {
        try await self.secured { server, admin in
            _ = try await admin.acls.create([
                self.rule("edge", .clusterAction, nil), self.rule("edge", .read), self.rule("alice", .read),
                self.rule("bob", .read),
            ])
            let entity = try ApusAccess.QuotaEntity(user: .named("alice"))
            let loop = MultiThreadedEventLoopGroup.singleton.any()
            let refusal = await withCheckedContinuation { continuation in
                server.broker.alterQuotas(
                    [QuotaAlteration(entity, [.fetchedBytes: 20_000])], client: .embedded, on: loop
                ) { continuation.resume(returning: $0) }
            }
            #expect(refusal == nil)
            for number in 0..<10 {
                _ = try await admin.publish(
                    ByteBuffer(string: "n\(number)" + String(repeating: "x", count: 10_000)), to: "news")
            }
            let change: (inout ServerConfiguration) -> Void = { $0.authentication.mechanisms = [.plain] }
            try await self.edge(of: server, login: self.login("edge"), change) { edge in
                let began = ContinuousClock.now
                let alice = try await EdgeClient.stream(
                    edge.http, "channel=news&from=earliest", self.basic("alice", "tea alice"))
                let bob = try await EdgeClient.stream(
                    edge.http, "channel=news&from=earliest", self.basic("bob", "tea bob"))
                _ = try await self.records(bob, 10)
                _ = try await self.records(alice, 10)
                // 100 kB are there at once; what comes next has to wait until they are paid for.
                _ = try await admin.publish("last", to: "news")
                #expect(try await self.records(alice, 1).values == ["0:10=last"])
                #expect(ContinuousClock.now - began > .seconds(2), "100 kB at 20 kB/s, less what may come at once")
                #expect(try await self.records(bob, 1).values == ["0:10=last"])
            }
        }
    }
}
