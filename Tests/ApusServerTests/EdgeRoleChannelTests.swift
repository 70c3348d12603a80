import ApusClient
import ApusCore
import Foundation
import Testing

@testable import ApusServer

/// Who is in channels, the newest of each key, and going away: what an endpoint server of its own does as a broker
/// does.
extension EdgeRoleTests {
    private func object(_ words: String) throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: Data(words.utf8)) as? [String: Any], "\(words)")
    }

    /// Asks until the answer has so many items: who comes is told a moment later.
    private func items(_ address: ServerAddress, _ path: String, count: Int) async throws -> [[String: Any]] {
        while true {
            let (status, words) = try await self.get(address, path)
            // After a start presence has to be read first, and says so.
            if status == 503, words.contains(#""retryable":true"#) { continue }
            guard status == 200 else { throw EdgeClient.Failure(words: "\(path): \(status) \(words)") }
            let answer = try self.object(words)
            let items = try #require(answer["items"] as? [[String: Any]])
            if items.count == count {
                #expect(answer["count"] as? Int == count && answer["complete"] as? Bool == true)
                return items
            }
        }
    }

    @Test("who is in a channel and who has seen what is told over HTTP there, too, as by the broker")
    func presence() async throws {
        try await self.bench.serve(self.configuration) { server in
            let http = try #require(server.http)
            let made = try await self.get(
                http, "/v1/topics", "POST", nil,
                #"{"name":"chat","partitions":1,"config":{"apus.presence":"true","apus.receipts":"true"}}"#)
            #expect(made.0 == 201, "\(made.1)")
            _ = try await server.createTopic("plain", partitions: 1)
            try await self.edge(of: server) { edge in
                let clients = [try await self.socket(edge.http), try await self.socket(edge.http)]
                for client in clients {
                    let answer = try await client.ask(2, #""op":"subscribe","channel":"chat/room-7""#)
                    #expect(answer.contains(#""recovered":true"#), "\(answer)")
                }
                let path = "/v1/channels/chat%2Froom-7/presence"
                let here = try await self.items(edge.http, path, count: 2)
                let there = try await self.items(http, path, count: 2)
                #expect(NSArray(array: here) == NSArray(array: there))
                let page = try self.object(try await self.get(edge.http, "\(path)?limit=1").1)
                let next = try #require((page["page"] as? [String: Any])?["next"] as? String)
                let rest = try self.object(try await self.get(edge.http, "\(path)?limit=1&cursor=\(next)").1)
                #expect((rest["items"] as? [Any])?.count == 1 && rest["page"] == nil)
                _ = try await clients[1].ask(3, #""op":"write","topic":"chat","key":"room-7","text":"hi""#)
                #expect(try await self.records(clients[0], 1).values == ["0:0=hi"])
                let seen = try await clients[0].ask(
                    4, #""op":"ack","channel":"chat/room-7","partition":0,"offset":0"#)
                #expect(seen.contains(#""ok""#), "\(seen)")
                let receipts = "/v1/channels/chat%2Froom-7/receipts"
                let confirmed = try await self.items(edge.http, receipts, count: 1)
                let places = try #require(confirmed.first?["seen"] as? [[String: Any]])
                #expect(places.first?["offset"] as? Int == 0 && places.first?["behind"] as? Int == 0)
                #expect(
                    NSArray(array: confirmed) == NSArray(array: try await self.items(http, receipts, count: 1)))
                for (path, status, code) in [
                    ("/v1/channels/plain/presence", 400, "invalid_request"),
                    ("/v1/channels/nothing/presence", 404, "topic_not_found"),
                    ("/v1/channels/a%20b/presence", 400, "invalid_channel"),
                    ("/v1/channels/chat/presence?limt=1", 400, "invalid_request"),
                    ("/v1/channels/chat/presence?cursor=%21", 400, "invalid_cursor"),
                    ("/v1/channels/chat/nothing", 404, "not_found"),
                ] {
                    let answer = try await self.get(edge.http, path)
                    #expect(answer.0 == status && answer.1.contains("\"code\":\"\(code)\""), "\(path): \(answer)")
                }
            }
        }
    }

    @Test("the newest of each key comes first there, from a compacted topic, and so does who is there now")
    func lastValues() async throws {
        try await self.bench.serve(self.configuration) { server in
            let http = try #require(server.http)
            let config = #"{"cleanup.policy":"compact","apus.presence":"true"}"#
            let made = try await self.get(
                http, "/v1/topics", "POST", nil, #"{"name":"state","partitions":2,"config":\#(config)}"#)
            #expect(made.0 == 201, "\(made.1)")
            try await self.edge(of: server) { edge in
                let writer = try await self.socket(edge.http)
                for number in 0..<40 {
                    let written = try await writer.ask(
                        10 + number, #""op":"write","topic":"state","key":"k\#(number % 4)","text":"v\#(number)""#)
                    #expect(written.contains(#""ok""#), "\(written)")
                }
                _ = try await writer.ask(90, #""op":"write","topic":"state","key":"k3","deleted":true"#)
                let reader = try await self.socket(edge.http)
                let answer = try await reader.ask(2, #""op":"subscribe","channel":"state","from":"last value""#)
                #expect(answer.contains(#""ok""#), "\(answer)")
                _ = try await writer.ask(91, #""op":"write","topic":"state","key":"k0","text":"new""#)
                let values = try await self.records(reader, 4).values.map { String($0.split(separator: "=")[1]) }
                #expect(Set(values) == ["v36", "v37", "v38", "new"])
                let (old, new) = (
                    try #require(values.firstIndex(of: "v36")), try #require(values.firstIndex(of: "new"))
                )
                #expect(old < new)
                let stream = try await EdgeClient.stream(
                    edge.http, "channel=state/k1&from=last_value")
                #expect(try await self.records(stream, 1).values.first?.hasSuffix("=v37") == true)
                // The two who read are there; whoever follows `__presence` is told so first.
                _ = try await self.items(edge.http, "/v1/channels/state/presence", count: 1)
                let follower = try await self.socket(edge.http)
                let followed = try await follower.ask(
                    2, ##""op":"subscribe","channel":"__presence/[\"state\",*","from":"last value""##)
                #expect(followed.contains(#""ok""#), "\(followed)")
                await follower.wait { texts, _ in texts.contains { $0.contains(#""event":"join""#) } }
                try await reader.close()
                await follower.wait { texts, _ in texts.contains { $0.contains(#""event":"leave""#) } }
            }
        }
    }

    @Test("told to drain it is not ready, and sends its clients away")
    func drain() async throws {
        try await self.secured { server, admin in
            _ = try await admin.acls.create([
                self.rule("edge", .clusterAction, nil), self.rule("edge", .read), self.rule("alice", .read),
            ])
            let change: (inout ServerConfiguration) -> Void = {
                $0.authentication.mechanisms = [.plain]
                $0.drainGrace = .milliseconds(10)
            }
            try await self.edge(of: server, login: self.login("edge"), change) { edge in
                func basic(_ user: String) -> String {
                    "Basic \(Data("\(user):tea \(user)".utf8).base64EncodedString())"
                }
                let path = "/v1/nodes/self:drain"
                let socket = try await self.socket(edge.http, self.basic("alice", "tea alice"))
                #expect(try await socket.ask(2, #""op":"subscribe","channel":"news""#).contains(#""recovered":true"#))
                #expect(try await self.get(edge.http, path, "POST").0 == 401)
                #expect(try await self.get(edge.http, path, "POST", basic("alice")).0 == 403)
                #expect(try await self.get(edge.http, path, "GET", basic("admin")).0 == 405)
                #expect(try await self.get(edge.http, "/readyz").0 == 200)
                for _ in 0..<2 {
                    let (status, words) = try await self.get(edge.http, path, "POST", basic("admin"))
                    #expect(status == 202 && words == #"{"status":"draining"}"#)
                }
                #expect(try await self.get(edge.http, "/readyz").0 == 503)
                #expect(try await self.get(edge.http, "/readyz?unready=404").0 == 404)
                #expect(try await self.get(edge.http, "/livez").0 == 200)
                await socket.wait { _, isClosed in isClosed }
                #expect(socket.take().contains { $0.contains(#""event":"moved""#) } && socket.codes == [4501])
                let failure = await #expect(throws: EdgeClient.Failure.self) {
                    _ = try await self.socket(edge.http, self.basic("alice", "tea alice"))
                }
                #expect(failure?.words.hasPrefix("HTTP/1.1 503") == true, "\(failure?.words ?? "")")
            }
        }
    }
}
