import ApusAccess
import ApusBroker
import ApusCore
import NIOCore
import Testing
import WebFormats

@testable import HTTPDoor

@Suite("Idempotency keys", .timeLimit(.minutes(10)))
struct IdempotencyTests {
    private static let path = "/v1/topics/t/records"

    private static func run(partitions: Int = 3, _ body: (WebWorld) async throws -> Void) async throws {
        try await WebWorld.run {
            $0.cursorKeys = CursorKeys(current: Array(repeating: 7, count: 32))
        } _: { world in
            _ = try await world.ask("POST", "/v1/topics", #"{"name":"t","partitions":\#(partitions)}"#)
            try await body(world)
        }
    }

    private func write(
        _ world: WebWorld, _ body: String, key: String, type: String? = "application/json",
        headers: [String: String] = [:]
    ) async throws -> RawAnswer {
        try await world.ask(
            "POST", Self.path, body, type: type, headers: headers.merging(["Idempotency-Key": key]) { $1 })
    }

    @Test("a write sent twice is done once, whatever its form, and the second answer says so")
    func twice() async throws {
        try await Self.run { world in
            let forms: [(body: String, type: String, headers: [String: String])] = [
                (#"{"value":1}"#, "application/json", [:]),
                (
                    #"{"records":[{"value":1},{"text":"b","key":"k"},{"deleted":true,"key":"j"}]}"#, "application/json",
                    [:]
                ),
                ("raw", "text/csv", ["Apus-Key": "k", "Apus-Header-a": "b", "Apus-Timestamp": "5"]),
                (
                    #"{"specversion":"1.0","id":"1","source":"/s","type":"t"}"#, "application/cloudevents+json", [:]
                ),
                ("e", "text/plain", ["ce-id": "2", "ce-source": "/s", "ce-specversion": "1.0", "ce-type": "t"]),
            ]
            for (number, form) in forms.enumerated() {
                let key = "\"write-\(number)\""
                let first = try await self.write(world, form.body, key: key, type: form.type, headers: form.headers)
                #expect(first.status == 200 && first.header("idempotent-replayed") == nil, "\(first.text)")
                let again = try await self.write(world, form.body, key: key, type: form.type, headers: form.headers)
                #expect(again.status == 200 && again.header("idempotent-replayed") == "true", "\(again.text)")
                #expect(again.body.contains(#""replayed":true"#))
                func places(_ answer: RawAnswer) throws -> [String] {
                    try #require(try answer.fields()["records"]).elements(max: 9).map { place in
                        let fields = try place.object()
                        return "\(fields["partition"]?.integer ?? -1) \(fields["offset"]?.integer ?? -1)"
                    }
                }
                #expect(try places(first) == places(again))
            }
            let all = try await world.ask("GET", "\(Self.path)?limit=100").fields()
            #expect(try #require(all["records"]).elements(max: 99).count == 7)
            let short = try await self.write(
                world, #"{"value":1}"#, key: "write-0", headers: ["Prefer": "return=minimal"])
            #expect(short.status == 204 && short.header("idempotent-replayed") == "true", "quotes or none: one key")
        }
    }

    @Test("a key of another write is refused, and so is a key that is none")
    func refused() async throws {
        try await Self.run(partitions: 1) { world in
            #expect(try await self.write(world, #"{"value":1}"#, key: "k").status == 200)
            for body in [#"{"value":2}"#, #"{"value":1,"key":"x"}"#, #"{"value":1,"timestamp":1}"#, #"{"text":"1"}"#] {
                let answer = try await self.write(world, body, key: "k")
                #expect(answer.status == 422 && answer.code == "idempotency_key_reused", "\(answer.text)")
            }
            let bad = [
                "", "\"\"", "a b", "\"a", "\"a\"b", "\"a\\x\"", "a\"b", "k\u{e9}", "\"\u{1}\"", "a,\tb",
                String(repeating: "k", count: 256),
            ]
            for key in bad {
                let answer = try await self.write(world, #"{"value":1}"#, key: key)
                #expect(answer.status == 400, "\(key): \(answer.text)")
            }
            let twice = try await world.ask(
                raw: "POST \(Self.path) HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nIdempotency-Key: a\r\n"
                    + "Idempotency-Key: b\r\nContent-Length: 1\r\n\r\nx")
            #expect(twice.status == 400 && twice.body.contains("twice"), "\(twice.text)")
            let lines = try await self.write(world, #"{"value":1}"#, key: "k", type: "application/x-ndjson")
            #expect(lines.status == 400 && lines.code == "invalid_request" && lines.body.contains("stream"))
            let longest = String(repeating: "k", count: 255)
            #expect(try await self.write(world, #"{"value":1}"#, key: longest).status == 200)
            let all = try await world.ask("GET", "\(Self.path)?limit=100").fields()
            #expect(try #require(all["records"]).elements(max: 99).count == 2)
        }
    }

    @Test("two who send the same at once are told the same place")
    func atOnce() async throws {
        try await Self.run { world in
            let places = try await withThrowingTaskGroup(of: String.self) { group in
                for _ in 0..<20 {
                    group.addTask { try await self.write(world, #"{"value":1}"#, key: "k").body }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            let offsets = places.map { $0.contains(#""offset":0"#) }
            #expect(offsets.allSatisfy { $0 } && places.filter { !$0.contains("replayed") }.count == 1, "\(places)")
        }
    }

    @Test("a name is another's for another principal or key, and content is what is written, part by part")
    func digests() {
        let keys = CursorKeys(current: Array(repeating: 7, count: 32))
        func record(_ value: String, key: String? = nil, headers: [(String, String?)] = []) -> WrittenRecord {
            WrittenRecord(
                key: key.map { ByteBuffer(string: $0) }, value: ByteBuffer(string: value),
                headers: headers.map { .init(name: $0.0, value: $0.1.map { ByteBuffer(string: $0) }) })
        }
        let variants: [[WrittenRecord]] = [
            [record("ab")], [record("a"), record("b")], [record("b", key: "a")], [record("", key: "ab")],
            [record("ab", key: "")], [record("ab", headers: [("", nil)])], [record("ab", headers: [("", "")])],
            [record("", headers: [("a", "b")])], [record("", headers: [("ab", "")])],
            [WrittenRecord(key: nil, value: nil)],
        ]
        var seen: Set<WriteKey> = []
        for records in variants {
            #expect(seen.insert(keys.writeKey("k", of: .anonymous, for: records, partition: nil)).inserted)
        }
        let partition = PartitionIndex(rawValue: 0)
        #expect(seen.insert(keys.writeKey("k", of: .anonymous, for: variants[0], partition: partition)).inserted)
        #expect(seen.insert(keys.writeKey("l", of: .anonymous, for: variants[0], partition: nil)).inserted)
        #expect(seen.insert(keys.writeKey("k", of: .embedded, for: variants[0], partition: nil)).inserted)
        let other = CursorKeys(current: Array(repeating: 8, count: 32))
        #expect(seen.insert(other.writeKey("k", of: .anonymous, for: variants[0], partition: nil)).inserted)
    }
}
