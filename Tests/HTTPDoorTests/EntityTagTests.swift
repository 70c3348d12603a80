import ApusBroker
import ApusCore
import Testing
import WebFormats

@testable import HTTPDoor

@Suite("Changes of what one has seen", .timeLimit(.minutes(10)))
struct EntityTagTests {
    private func tag(_ world: WebWorld) async throws -> String {
        try #require(try await world.ask("GET", "/v1/topics/t").header("etag"))
    }

    @Test("a change is made to the state that was seen, and to no other")
    func change() async throws {
        try await WebWorld.run { world in
            let made = try await world.ask("POST", "/v1/topics", #"{"name":"t"}"#)
            let first = try await self.tag(world)
            #expect(made.header("etag") == first)
            let change = #"{"config":{"retention.ms":1000}}"#
            let done = try await world.ask("PATCH", "/v1/topics/t", change, headers: ["If-Match": first])
            #expect(done.status == 200, "\(done.text)")
            let second = try await self.tag(world)
            #expect(second != first && done.header("etag") == second)
            for (method, body) in [("PATCH", #"{"partitions":2}"#), ("PATCH", change), ("DELETE", "")] {
                let late = try await world.ask(method, "/v1/topics/t", body, headers: ["If-Match": first])
                #expect(late.status == 412 && late.code == "precondition_failed", "\(late.text)")
            }
            #expect(try await self.tag(world) == second)
            let both = #"{"partitions":2,"config":{"retention.ms":2000}}"#
            let tags = "\"0000000000000000\" , \(second)"
            #expect(try await world.ask("PATCH", "/v1/topics/t", both, headers: ["If-Match": tags]).status == 200)
            let gone = try await world.ask(
                "DELETE", "/v1/topics/t", headers: ["If-Match": try await self.tag(world)])
            #expect(gone.status == 204, "\(gone.text)")
        }
    }

    @Test("the same name of another topic is another state")
    func remade() async throws {
        try await WebWorld.run { world in
            _ = try await world.ask("POST", "/v1/topics", #"{"name":"t"}"#)
            let first = try await self.tag(world)
            _ = try await world.ask("DELETE", "/v1/topics/t")
            _ = try await world.ask("POST", "/v1/topics", #"{"name":"t"}"#)
            #expect(try await world.ask("DELETE", "/v1/topics/t", headers: ["If-Match": first]).status == 412)
            #expect(try await world.ask("DELETE", "/v1/topics/t", headers: ["If-Match": "*"]).status == 204)
        }
    }

    @Test(
        "what is no tag is refused, and what is somebody else's matches nothing",
        arguments: [
            ("x", 400), ("\"", 400), ("", 400), ("\"a\",", 400), ("\"a\"", 412), ("W/\"0000000000000000\"", 412),
            ("\"+000000000000001\"", 412),
        ]
    )
    func odd(text: String, status: Int) async throws {
        try await WebWorld.run { world in
            _ = try await world.ask("POST", "/v1/topics", #"{"name":"t"}"#)
            let answer = try await world.ask("DELETE", "/v1/topics/t", headers: ["If-Match": text])
            #expect(answer.status == status, "\(answer.text)")
            #expect(try await world.ask("GET", "/v1/topics/t").status == 200)
        }
    }
}
