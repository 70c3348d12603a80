import ApusAccess
import ApusBroker
import ApusCore
import Synchronization
import Testing
import WebFormats

@testable import HTTPDoor

@Suite("Who is connected", .timeLimit(.minutes(10)))
struct ConnectionTests {
    /// A door with these clients; ends them as it is told.
    private final class Door: Sendable {
        let open: Mutex<[OpenConnection]>

        init(_ count: UInt64) {
            self.open = Mutex(
                (1...count).map { number in
                    OpenConnection(
                        id: ConnectionID(.edge, number), transport: .webSocket, principal: .anonymous,
                        client: "a\r\n\u{1B}[31m</script>\"\(number)", address: "10.0.0.7", channels: 2,
                        since: Timestamp(rawValue: 7), bytesOwed: .bytes(11))
                })
        }

        var source: ConnectionSource {
            ConnectionSource(.edge) { after, limit, then in
                then(self.open.withLock { $0.page(after: after, limit) })
            } disconnect: { id, then in
                then(
                    self.open.withLock { open in
                        let before = open.count
                        open.removeAll { $0.id == id }
                        return open.count < before
                    })
            }
        }
    }

    @Test("all clients are listed once, page by page, with what a stranger calls himself as text and nothing else")
    func pages() async throws {
        let door = Door(25)
        try await WebWorld.run {
            $0.connections = [door.source]
        } _: { world in
            var seen: [String] = []
            var cursor: String?
            repeat {
                let target = "/v1/connections?limit=10" + (cursor.map { "&cursor=\($0)" } ?? "")
                let answer = try await world.ask("GET", target)
                #expect(answer.status == 200, "\(answer.text)")
                #expect(!answer.text.contains("\u{1B}") && !answer.body.contains("\r"))
                let fields = try answer.fields()
                let items = try #require(try fields["items"]?.elements(max: 10)).map { try $0.object() }
                seen += items.compactMap { $0["conn"]?.text }
                if let first = items.first, first["transport"]?.text == "websocket" {
                    #expect(first["client"]?.text?.hasPrefix("a\r\n\u{1B}[31m</script>\"") == true)
                    #expect(first["channels"]?.integer == 2 && first["bytes_owed"]?.integer == 11)
                    #expect(first["user"]?.text == "User:ANONYMOUS" && first["since"]?.integer == 7)
                }
                cursor = try fields["page"]?.object()["next"]?.text
            } while cursor != nil
            #expect(seen.filter { $0.hasPrefix("c") } == (1...25).map { "c\($0)" })
            // The one that asked, each time another.
            #expect(seen.contains { $0.hasPrefix("h") })
            #expect(Set(seen).count == seen.count)
        }
    }

    @Test("one is disconnected by name, once; names of nobody are not found")
    func disconnect() async throws {
        let door = Door(2)
        try await WebWorld.run {
            $0.connections = [door.source]
        } _: { world in
            #expect(try await world.ask("DELETE", "/v1/connections/c2").status == 204)
            let answer = try await world.ask("DELETE", "/v1/connections/c2")
            #expect(answer.status == 404 && answer.code == "connection_not_found")
            for name in ["c0002", "c", "x1", "k1", "c-1", "c99999999999999999999999", "%00"] {
                #expect(try await world.ask("DELETE", "/v1/connections/\(name)").status == 404, "\(name)")
            }
            #expect(try await world.ask("GET", "/v1/connections?cursor=%21").status == 400)
            #expect(door.open.withLock { $0.map(\.id.number) } == [1])
        }
    }

    @Test("a connection of HTTP can be ended, and is listed until then")
    func ownConnections() async throws {
        try await WebWorld.run { world in
            let client = try await world.connect()
            client.send("GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
            try await client.wait(for: "ok")
            let list = try await world.ask("GET", "/v1/connections").body
            #expect(list.contains(#""conn":"h1","transport":"http","address":"127.0.0.1""#), "\(list)")
            #expect(try await world.ask("DELETE", "/v1/connections/h1").status == 204)
            #expect(try await client.rest().contains("200 OK"))
        }
    }

    @Test("who has no right on the cluster sees nobody and ends nobody")
    func rights() async throws {
        let door = Door(1)
        try await WebWorld.run {
            $0.connections = [door.source]
        } settings: {
            $0.isAuthorizing = true
        } _: { world in
            for (method, path) in [("GET", ""), ("DELETE", "/c1"), ("DELETE", "/c9")] {
                let status = try await world.ask(method, "/v1/connections\(path)").status
                #expect(status == 403, "\(method) \(path)")
            }
            #expect(door.open.withLock { $0.count } == 1)
        }
    }
}
