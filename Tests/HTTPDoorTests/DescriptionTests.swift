import HTTPTypes
import NIOCore
import Testing
import WebFormats

@testable import HTTPDoor

@Suite("What /openapi.json says of requests' bodies", .timeLimit(.minutes(10)))
struct DescriptionTests {
    @Test("every request that takes a body says what it may be, and each example is one that is taken")
    func examples() async throws {
        for route in WebRoute.all where [.post, .put, .patch].contains(route.method) {
            let without = ["/v1/tickets", "/v1/nodes/{node}:drain"]
            #expect((route.body == nil) == without.contains(route.path), "\(route.path)")
        }
        try await WebWorld.run {
            $0.cursorKeys = CursorKeys(current: Array(repeating: 7, count: 32))
        } _: { world in
            _ = try await world.ask("POST", "/v1/topics", #"{"name":"orders"}"#)
            _ = try await world.ask("POST", "/v1/topics/orders/records", "x", type: nil)
            let names = ["{topic}": "orders", "{subscription}": "billing", "{group}": "billing", "{user}": "bob"]
            var seen = 0
            for route in WebRoute.all {
                let parts = route.path.split(separator: "/").map { part -> String in
                    guard let found = names.first(where: { part.hasPrefix($0.key) }) else { return String(part) }
                    return found.value + String(part.dropFirst(found.key.count))
                }
                let path = "/" + parts.joined(separator: "/")
                for form in route.body?.forms ?? [] {
                    let value = try JSONValue(ByteBuffer(string: form.example))
                    let body = value.text ?? form.example
                    let answer = try await world.ask(route.method.rawValue, path, body, type: form.type)
                    let refusals = [
                        "invalid_request", "invalid_json", "invalid_record", "unsupported_media_type", "not_found",
                        "invalid_config",
                    ]
                    #expect(!refusals.contains(answer.code ?? ""), "\(path) \(form.type) \(answer.text)")
                    #expect(answer.status < 500 || answer.code == "loading", "\(path) \(answer.text)")
                    seen += 1
                }
            }
            #expect(seen == 18, "\(seen)")
            let described = try await world.ask("GET", "/openapi.json").fields()
            let write = try #require(try described["paths"]?.object()["/v1/topics/{topic}/records"]).object()
            let content = try #require(try write["post"]?.object()["requestBody"]?.object()["content"]).object()
            #expect(content.members.count == 5)
            let schema = try #require(try content["application/json"]?.object()["schema"]).object()
            #expect(try schema["anyOf"]?.elements(max: 9).count == 2)
        }
    }
}
