import ApusClient
import ApusCore
import AsyncHTTPClient
import Foundation
import NIOCore
import NIOHTTP1
import Testing

@testable import ApusServer

/// An endpoint server in front of a broker, each with sockets of its own: what is different from a broker's own edge.
@Suite("An endpoint server of its own", .timeLimit(.minutes(10)))
struct EdgeRoleTests {
    let bench: ServerBench

    init() throws {
        self.bench = try ServerBench()
    }

    var configuration: ServerConfiguration {
        var configuration = self.bench.configuration
        configuration.http = ServerAddress(host: "127.0.0.1", port: 0)
        return configuration
    }

    /// - Parameter login: as whom it asks the broker.
    func edge(
        of server: ApusServer, login: ClientConfiguration.Login? = nil,
        _ change: (inout ServerConfiguration) -> Void = { _ in },
        _ body: (EndpointServer) async throws -> Void
    ) async throws {
        var configuration = ServerConfiguration()
        configuration.http = ServerAddress(host: "127.0.0.1", port: 0)
        configuration.loops = 2
        configuration.stopWaitMax = .seconds(5)
        change(&configuration)
        var client = ClientConfiguration(servers: ["\(server.kafka)"], clientID: "edge")
        client.login = login
        let edge = try await EndpointServer.start(configuration, upstream: client, logger: ServerBench.logger)
        do {
            try await body(edge)
        } catch {
            await edge.shutdown()
            throw error
        }
        await edge.shutdown()
    }

    func socket(_ address: ServerAddress, _ headers: String = "") async throws -> EdgeClient {
        let client = try await EdgeClient.socket(address, headers)
        _ = try await client.ask(1, #""op":"connect""#)
        return client
    }

    /// Waits for so many records, and gives their numbers by partition and offset, and the last cursor.
    func records(_ client: EdgeClient, _ count: Int) async throws -> (values: [String], cursor: String) {
        var values: [String] = []
        var cursor = ""
        while values.count < count {
            await client.wait { texts, _ in !texts.isEmpty }
            let texts = client.take()
            guard !texts.isEmpty else {
                throw EdgeClient.Failure(words: "closed after \(values), waiting for \(count): \(client.codes)")
            }
            for text in texts {
                let object = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
                cursor = object["cursor"] as? String ?? cursor
                for record in object["records"] as? [[String: Any]] ?? [] {
                    values.append(
                        "\(record["partition"] ?? "?"):\(record["offset"] ?? "?")=\(record["text"] ?? "?")")
                }
            }
        }
        return (values, cursor)
    }

    func get(
        _ address: ServerAddress, _ path: String, _ method: String = "GET", _ authorization: String? = nil,
        _ body: String? = nil
    ) async throws -> (Int, String) {
        var request = HTTPClientRequest(url: "http://\(address)\(path)")
        request.method = .RAW(value: method)
        if let authorization { request.headers.add(name: "authorization", value: authorization) }
        if let body { request.body = .bytes(ByteBuffer(string: body)) }
        let response = try await HTTPClient.shared.execute(request, timeout: .seconds(30))
        return (Int(response.status.code), String(buffer: try await response.body.collect(upTo: 1 << 20)))
    }

    @Test("it pushes what a broker gets, over one connection, and its cursors are the broker's")
    func whole() async throws {
        try await self.bench.serve(self.configuration) { server in
            _ = try await server.createTopic("news", partitions: 3)
            try await self.edge(of: server) { edge in
                let clients = [try await self.socket(edge.http), try await self.socket(edge.http)]
                for client in clients {
                    let answer = try await client.ask(2, #""op":"subscribe","channel":"news""#)
                    #expect(answer.contains(#""recovered":true"#), "\(answer)")
                }
                for number in 0..<30 {
                    let written = try await clients[0].ask(
                        10 + number, #""op":"write","topic":"news","text":"n\#(number)","partition":\#(number % 3)"#)
                    #expect(written.contains(#""offset":\#(number / 3)"#), "\(written)")
                }
                let expected = Set((0..<30).map { "\($0 % 3):\($0 / 3)=n\($0)" })
                let (first, cursor) = try await self.records(clients[0], 30)
                let (second, _) = try await self.records(clients[1], 30)
                #expect(Set(first) == expected && Set(second) == expected && first.count == 30)
                let numbers = try await self.get(edge.http, "/metrics").1
                #expect(numbers.contains("\napus_upstream_connections 1\n"))
                #expect(numbers.contains("\napus_edge_readers 3\n") && numbers.contains("\napus_edge_connections 2\n"))
                // More comes while the client is away; it goes on at the broker itself, and then here again.
                try await clients[0].close()
                for number in 30..<40 {
                    _ = try await clients[1].ask(100 + number, #""op":"write","topic":"news","text":"n\#(number)""#)
                }
                var position = cursor
                for address in [try #require(server.http), edge.http] {
                    let client = try await self.socket(address)
                    let answer = try await client.ask(
                        2, #""op":"subscribe","channel":"news","cursor":"\#(cursor)""#)
                    #expect(answer.contains(#""recovered":true"#), "\(answer)")
                    let (missed, last) = try await self.records(client, 10)
                    #expect(Set(missed.map { $0.split(separator: "=")[1] }) == Set((30..<40).map { "n\($0)" }))
                    position = last
                    try await client.close()
                }
                let stream = try await EdgeClient.stream(
                    edge.http, "channel=news&last_event_id=\(position)")
                _ = try await clients[1].ask(300, #""op":"write","topic":"news","text":"last""#)
                #expect(try await self.records(stream, 1).values.first?.hasSuffix("=last") == true)
            }
        }
    }

    @Test("topics are made, read and deleted through it, and what becomes of them is told to its clients")
    func topics() async throws {
        try await self.bench.serve(self.configuration) { server in
            try await self.edge(of: server) { edge in
                let client = try await self.socket(edge.http)
                #expect(
                    try await client.ask(2, #""op":"subscribe","channel":"t""#).contains("topic_not_found"))
                let made = try await client.ask(3, #""op":"create","topic":"t","partitions":2"#)
                #expect(made == #"{"id":3,"ok":{"topic":"t","partitions":2}}"#)
                #expect(try await client.ask(4, #""op":"create","topic":"t""#).contains("topic_exists"))
                // That there was none is believed for a moment.
                var answer = try await client.ask(5, #""op":"subscribe","channel":"t""#)
                var id = 6
                while answer.contains("topic_not_found"), id < 10_000 {
                    answer = try await client.ask(id, #""op":"subscribe","channel":"t""#)
                    id += 1
                }
                #expect(answer.contains(#""recovered":true"#), "\(answer)")
                _ = try await client.ask(10_001, #""op":"write","topic":"t","partition":1,"text":"a""#)
                #expect(try await self.records(client, 1).values == ["1:0=a"])
                let read = try await client.ask(10_002, #""op":"read","channel":"t","limit":5"#)
                #expect(read.contains(#""text":"a""#), "\(read)")
                // It grows elsewhere, and the new partition is read, too.
                try await ApusClient(ClientConfiguration(servers: ["\(server.kafka)"])).withConnection { apus in
                    try await apus.topics.grow("t", toPartitions: 3)
                    _ = try await apus.publish(ByteBuffer(string: "b"), to: "t", partition: PartitionIndex(rawValue: 2))
                }
                #expect(try await self.records(client, 1).values == ["2:0=b"])
                let deleted = try await client.ask(10_003, #""op":"delete_topic","topic":"t""#)
                #expect(deleted == #"{"id":10003,"ok":{"topic":"t"}}"#)
                await client.wait { texts, _ in texts.contains { $0.contains(#""event":"ended""#) } }
                #expect(client.take().contains { $0.contains("topic_not_found") })
            }
        }
    }

    @Test("a broker that is away for a while costs clients nothing but time")
    func upstreamLost() async throws {
        var configuration = self.configuration
        let server = try await ApusServer.start(configuration, logger: ServerBench.logger)
        configuration.kafka.port = server.kafka.port
        _ = try await server.createTopic("news", partitions: 1)
        try await self.edge(of: server) { edge in
            let client = try await self.socket(edge.http)
            _ = try await client.ask(2, #""op":"subscribe","channel":"news""#)
            _ = try await client.ask(3, #""op":"write","topic":"news","text":"a""#)
            #expect(try await self.records(client, 1).values == ["0:0=a"])
            await server.shutdown()
            // Sooner or later it is not ready, for want of brokers; it says so, and keeps its clients.
            var status = 200
            while status == 200 { status = try await self.get(edge.http, "/readyz").0 }
            #expect(status == 503)
            let refused = try await client.ask(4, #""op":"write","topic":"news","text":"lost""#)
            #expect(refused.contains(#""error""#), "\(refused)")
            try await self.bench.serve(configuration) { again in
                try await ApusClient(ClientConfiguration(servers: ["\(again.kafka)"])).withConnection { apus in
                    for text in ["b", "c"] { _ = try await apus.publish(text, to: "news") }
                }
                #expect(try await self.records(client, 2).values == ["0:1=b", "0:2=c"])
                while status != 200 { status = try await self.get(edge.http, "/readyz").0 }
            }
        }
    }

    // MARK: Rights

    func basic(_ user: String, _ password: String) -> String {
        "Authorization: Basic \(Data("\(user):\(password)".utf8).base64EncodedString())\r\n"
    }

    func login(_ user: String) -> ClientConfiguration.Login {
        .scramSHA512(user: user, password: "tea \(user)")
    }

    /// A broker where users log in: `admin` may do everything; `edge`, `alice` and `bob` may do nothing yet.
    func secured(_ body: (ApusServer, ApusClient) async throws -> Void) async throws {
        var configuration = self.configuration
        configuration.authentication.mechanisms = [.scramSHA256, .scramSHA512]
        configuration.authentication.firstUser = ServerConfiguration.FirstUser(name: "admin", password: "tea admin")
        try await self.bench.serve(configuration) { server in
            var client = ClientConfiguration(servers: ["\(server.kafka)"])
            client.login = self.login("admin")
            try await ApusClient(client).withConnection { admin in
                for user in ["edge", "alice", "bob"] { try await admin.users.setPassword("tea \(user)", of: user) }
                try await admin.topics.create("news", partitions: 1)
                try await body(server, admin)
            }
        }
    }

    func rule(_ user: String, _ operation: AclRule.Operation, _ topic: String? = "news") -> AclRule {
        AclRule(.allow, "User:\(user)", operation, on: topic.map { AclRule.Resource(.topic, $0) } ?? .cluster)
    }

    @Test("without the right to ask what it has to know it does not begin, and says which right that is")
    func noRight() async throws {
        try await self.secured { server, admin in
            let error = await #expect(throws: ServerError.self) {
                try await self.edge(of: server, login: self.login("edge")) { _ in }
            }
            #expect(error?.code == .upstream && error?.message.contains("CLUSTER_ACTION") == true)
            _ = try await admin.acls.create([self.rule("edge", .clusterAction, nil)])
            try await self.edge(of: server, login: self.login("edge")) { _ in }
        }
    }

    @Test("clients have their own rights there, and one that is taken away is gone within 5 s")
    func rights() async throws {
        try await self.secured { server, admin in
            _ = try await admin.acls.create([
                self.rule("edge", .clusterAction, nil), self.rule("edge", .read), self.rule("edge", .write),
                self.rule("alice", .read),
            ])
            let change: (inout ServerConfiguration) -> Void = { $0.authentication.mechanisms = [.plain] }
            try await self.edge(of: server, login: self.login("edge"), change) { edge in
                for (user, password) in [("alice", "wrong"), ("nobody", "tea"), ("bob", "tea bob")] {
                    let status = user == "bob" ? "403" : "401"
                    let failure = await #expect(throws: EdgeClient.Failure.self) {
                        _ = try await EdgeClient.stream(edge.http, "channel=news", self.basic(user, password))
                    }
                    #expect(failure?.words.hasPrefix("HTTP/1.1 \(status)") == true, "\(failure?.words ?? "")")
                }
                let stream = try await EdgeClient.stream(edge.http, "channel=news", self.basic("alice", "tea alice"))
                let socket = try await self.socket(edge.http, self.basic("alice", "tea alice"))
                #expect(try await socket.ask(2, #""op":"subscribe","channel":"news""#).contains(#""recovered":true"#))
                // The endpoint server may write; she may not.
                let refused = try await socket.ask(3, #""op":"write","topic":"news","text":"x""#)
                #expect(refused.contains("forbidden"), "\(refused)")
                for words in [#""op":"create","topic":"mine""#, #""op":"delete_topic","topic":"news""#] {
                    let answer = try await socket.ask(4, words)
                    #expect(answer.contains("forbidden"), "\(answer)")
                }
                _ = try await admin.publish("hello", to: "news")
                #expect(try await self.records(socket, 1).values == ["0:0=hello"])
                #expect(try await self.records(stream, 1).values == ["0:0=hello"])
                _ = try await admin.acls.create([self.rule("bob", .write)])
                let removed = ContinuousClock.now
                _ = try await admin.acls.delete([AclQuery(self.rule("alice", .read))])
                await socket.wait { texts, _ in texts.contains { $0.contains(#""event":"ended""#) } }
                let wait = ContinuousClock.now - removed
                #expect(wait < .seconds(60), "5 s on a machine that does nothing else")
                #expect(socket.take().contains { $0.contains("forbidden") })
                await stream.wait { _, isClosed in isClosed }
                let bob = try await self.socket(edge.http, self.basic("bob", "tea bob"))
                let written = try await bob.ask(2, #""op":"write","topic":"news","text":"from bob""#)
                #expect(written.contains(#""offset":1"#), "\(written)")
                // She logged in and has no right any more.
                #expect(try await socket.ask(5, #""op":"read","channel":"news""#).contains("forbidden"))
            }
        }
    }

    @Test("it says what it is to whoever asks for something else")
    func pages() async throws {
        try await self.bench.serve(self.configuration) { server in
            try await self.edge(of: server) { edge in
                #expect(try await self.get(edge.http, "/livez") == (200, #"{"status":"ok"}"#))
                #expect(try await self.get(edge.http, "/readyz") == (200, #"{"status":"ready"}"#))
                let (status, words) = try await self.get(edge.http, "/v1/topics")
                #expect(status == 421 && words.contains("endpoint server") && words.contains(#""code":"misdirected""#))
                #expect(try await self.get(edge.http, "/v1/topcs").1.contains(#""code":"not_found""#))
                #expect(try await self.get(edge.http, "/asyncapi.json").0 == 200)
                #expect(try await self.get(edge.http, "/metrics", "DELETE").0 == 405)
                await #expect(throws: EdgeClient.Failure.self) {
                    _ = try await EdgeClient.stream(edge.http, "channel=none")
                }
            }
        }
    }
}
