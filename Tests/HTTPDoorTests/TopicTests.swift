import ApusAccess
import ApusBroker
import ApusCore
import NIOCore
import Testing
import WebFormats

@testable import HTTPDoor

@Suite("Topics and records over HTTP", .timeLimit(.minutes(10)))
struct TopicTests {
    @Test("a topic is created once, listed, described, deleted, and then gone")
    func life() async throws {
        try await WebWorld.run { world in
            let id = "6ba7b810-9dad-41d1-80b4-00c04fd430c8"
            let wish = #"{"name":"chat","id":"\#(id)","partitions":3,"config":{"retention.ms":1000}}"#
            let created = try await world.ask("POST", "/v1/topics", wish)
            #expect(created.status == 201 && created.header("location") == "/v1/topics/chat")
            let again = try await world.ask("POST", "/v1/topics", wish)
            #expect(again.status == 409 && again.code == "topic_exists")
            let list = try await world.ask("GET", "/v1/topics")
            #expect(list.body == #"{"items":[{"name":"chat","id":"\#(id)","partitions":3}]}"#)
            for path in ["/v1/topics/chat", "/v1/topics/id:\(id)", "/v1/topics/ch%61t?offsets=true"] {
                let fields = try await world.ask("GET", path).fields()
                #expect(fields["name"]?.text == "chat" && fields["partitions"]?.integer == 3)
                #expect(try fields["config"]?.object()["retention.ms"]?.text == "1000")
                #expect(try fields["set"]?.elements(max: 9).map(\.text) == ["retention.ms"])
            }
            #expect(try await world.ask("DELETE", "/v1/topics/chat").status == 204)
            for method in ["DELETE", "GET"] {
                let gone = try await world.ask(method, "/v1/topics/chat")
                #expect(gone.status == 404 && gone.code == "topic_not_found")
            }
        }
    }

    @Test("a change changes all that it names or nothing")
    func change() async throws {
        try await WebWorld.run { world in
            _ = try await world.ask("POST", "/v1/topics", #"{"name":"t"}"#)
            let patch = #"{"partitions":4,"config":{"retention.ms":"5000","durability":"page-cache"}}"#
            let changed = try await world.ask("PATCH", "/v1/topics/t", patch, type: "application/merge-patch+json")
                .fields()
            #expect(changed["partitions"]?.integer == 4)
            #expect(try changed["set"]?.elements(max: 9).map(\.text) == ["durability", "retention.ms"])
            let back = try await world.ask("PATCH", "/v1/topics/t", #"{"config":{"retention.ms":null}}"#).fields()
            #expect(try back["set"]?.elements(max: 9).map(\.text) == ["durability"])
            let refused = try await world.ask("PATCH", "/v1/topics/t", #"{"partitions":2,"config":{"retention.ms":1}}"#)
            #expect(refused.status == 400 && refused.code == "invalid_partitions")
            let wrong = try await world.ask("PATCH", "/v1/topics/t", #"{"partitions":9,"config":{"retention.ms":"x"}}"#)
            #expect(wrong.status == 400 && wrong.code == "invalid_config")
            let fields = try await world.ask("GET", "/v1/topics/t").fields()
            #expect(fields["partitions"]?.integer == 4)
            #expect(try fields["set"]?.elements(max: 9).map(\.text) == ["durability"])
        }
    }

    @Test("lists come in pages, in the order of their names, without gap")
    func pages() async throws {
        try await WebWorld.run { world in
            let names = (0..<25).map { "t-\($0)" }.sorted()
            for name in names.shuffled() { _ = try await world.ask("POST", "/v1/topics", #"{"name":"\#(name)"}"#) }
            _ = try await world.ask("POST", "/v1/topics", #"{"name":"u"}"#)
            var found: [String] = []
            var cursor = ""
            repeat {
                let page = try await world.ask("GET", "/v1/topics?prefix=t-&limit=10\(cursor)").fields()
                found += try page["items"]?.elements(max: 10).compactMap { try $0.object()["name"]?.text } ?? []
                cursor = try page["page"]?.object()["next"]?.text.map { "&cursor=\($0)" } ?? ""
            } while !cursor.isEmpty
            #expect(found == names)
        }
    }

    @Test("what is written comes back, in every form that it may be written in")
    func forms() async throws {
        try await WebWorld.run { world in
            _ = try await world.ask("POST", "/v1/topics", #"{"name":"t"}"#)
            let path = "/v1/topics/t/records"
            #expect(try await world.ask("POST", path, "hi", type: "application/x-www-form-urlencoded").status == 200)
            _ = try await world.ask(
                "POST", path, "a,b", type: "text/csv",
                headers: ["Apus-Key": "k", "Apus-Header-Trace": "x1", "Apus-Timestamp": "5"])
            _ = try await world.ask("POST", path, #"{"records":[{"value":{"a":1},"key":"j"},{"base64":"/w=="}]}"#)
            _ = try await world.ask(
                "POST", path, #"{"text":"l1"}"# + "\n\n" + #"{"deleted":true,"key":"d"}"#, type: "application/x-ndjson")
            let event = #"{"specversion":"1.0","id":"1","source":"/s","type":"t","partitionkey":"p"}"#
            _ = try await world.ask("POST", path, event, type: "application/cloudevents+json")
            _ = try await world.ask(
                "POST", path, "b", type: "text/plain",
                headers: ["ce-id": "2", "ce-source": "/s", "ce-specversion": "1.0", "ce-type": "t%20t"])
            let read = try await world.ask("GET", "\(path)?from=earliest").fields()
            let records = try #require(read["records"]).elements(max: 99).map { try $0.object() }
            #expect(records.map { $0["offset"]?.integer } == (0..<8).map { Int64($0) })
            #expect(records[0]["text"]?.text == "hi" && records[0]["type"] == nil)
            #expect(records[1]["text"]?.text == "a,b" && records[1]["key"]?.text == "k")
            #expect(records[1]["type"]?.text == "text/csv" && records[1]["timestamp"]?.integer == 5)
            #expect(records[1]["headers"].map { String(buffer: $0.bytes) } == #"[["trace","x1"]]"#)
            #expect(records[2]["value"].map { String(buffer: $0.bytes) } == #"{"a":1}"#)
            #expect(records[3]["base64"]?.text == "/w==")
            #expect(records[4]["text"]?.text == "l1" && records[5]["deleted"]?.boolean == true)
            #expect(records[6]["value"].map { String(buffer: $0.bytes) } == event && records[6]["key"]?.text == "p")
            #expect(records[7]["headers"].map { String(buffer: $0.bytes) }?.contains(#"["ce_type","t t"]"#) == true)
        }
    }

    @Test("reads begin where they are told, end where they say, and go on there without gap")
    func places() async throws {
        try await WebWorld.run { world in
            let wish = #"{"name":"t","partitions":3,"config":{"retention.ms":-1}}"#
            _ = try await world.ask("POST", "/v1/topics", wish)
            let lines = (0..<300).map { #"{"value":\#($0),"partition":\#($0 % 3),"timestamp":\#(1000 + $0)}"# }
            let path = "/v1/topics/t/records"
            let reports = try await world.ask("POST", path, lines.joined(separator: "\n"), type: "application/x-ndjson")
            #expect(reports.status == 200)
            func values(_ query: String) async throws -> [Int64] {
                let answer = try await world.ask("GET", "\(path)?\(query)")
                let records = try #require(try answer.fields()["records"], "\(query) \(answer.text)")
                return try records.elements(max: 999).compactMap {
                    try $0.object()["value"]?.integer
                }
            }
            #expect(try await values("partition=1&from=-2") == [295, 298])
            #expect(try await values("partition=1&from=98") == [295, 298])
            #expect(try await values("partition=1&from=@1295") == [295, 298])
            #expect(try await values("partition=1&from=latest") == [])
            #expect(try await values("partition=1&from=@99999") == [])
            #expect(try await values("limit=1000").count == 300)
            var (found, from) = ([Int64](), Int64(0))
            while found.count < 100 {
                let page = try await world.ask("GET", "\(path)?partition=2&from=\(from)&limit=7").fields()
                found += try #require(page["records"]).elements(max: 7).compactMap { try $0.object()["value"]?.integer }
                from = try #require(page["next"]).elements(max: 1)[0].object()["offset"]?.integer ?? -1
            }
            #expect(found == (0..<100).map { $0 * 3 + 2 })
            let beyond = try await world.ask("GET", "\(path)?partition=1&from=101")
            #expect(beyond.status == 400 && beyond.code == "offset_out_of_range")
        }
    }

    @Test("a cursor goes on in all partitions without gap or duplicate, says what is gone, and is of its topic alone")
    func cursors() async throws {
        try await WebWorld.run {
            $0.cursorKeys = CursorKeys(current: Array(repeating: 7, count: 32))
        } _: { world in
            for name in ["t", "u"] {
                _ = try await world.ask("POST", "/v1/topics", #"{"name":"\#(name)","partitions":3}"#)
            }
            let records = (0..<90).map { #"{"value":\#($0),"partition":\#($0 % 3)}"# }.joined(separator: ",")
            _ = try await world.ask("POST", "/v1/topics/t/records", "{\"records\":[\(records)]}")
            var found: [Int64] = []
            var cursor: String?
            for _ in 0..<20 where found.count < 90 {
                let from = cursor.map { "cursor=\($0)" } ?? "from=earliest"
                let page = try await world.ask("GET", "/v1/topics/t/records?limit=7&\(from)").fields()
                found += try #require(page["records"]).elements(max: 7).compactMap { try $0.object()["value"]?.integer }
                #expect(page["recovered"]?.boolean != false)
                cursor = try #require(page["cursor"]?.text)
            }
            #expect(found.sorted() == (0..<90).map { Int64($0) })
            let first = try await world.ask("GET", "/v1/topics/t/records?limit=1").fields()
            let early = try #require(first["cursor"]?.text)
            _ = try await world.ask("POST", "/v1/topics/t:trim", #"{"before":10,"partition":0}"#)
            let late = try await world.ask("GET", "/v1/topics/t/records?cursor=\(early)")
            #expect(
                late.body.contains(#""recovered":false,"missing":[{"partition":0,"from":1,"to":10}]"#),
                "\(late.body.suffix(200))")
            for path in ["u/records?cursor=\(early)", "t/records?cursor=forged", "t/records?cursor=\(early)x"] {
                let refused = try await world.ask("GET", "/v1/topics/\(path)")
                #expect(refused.status == 400 || refused.status == 410, "\(path)")
            }
            #expect(try await world.ask("GET", "/v1/topics/t/records?from=1&cursor=\(early)").status == 400)
        }
    }

    @Test("who is over a quota is told to come back, and others are not")
    func quotas() async throws {
        try await WebWorld.run { _ in
        } settings: {
            $0.quotaFallback = [.producedBytes: 1000]
        } _: { world in
            _ = try await world.ask("POST", "/v1/topics", #"{"name":"t"}"#)
            let body = String(repeating: "x", count: 100_000)
            #expect(try await world.ask("POST", "/v1/topics/t/records", body, type: nil).status == 200)
            let refused = try await world.ask("POST", "/v1/topics/t/records", "x", type: nil)
            #expect(refused.status == 429 && refused.code == "throttled" && refused.header("retry-after") != nil)
            #expect(try await world.ask("GET", "/v1/topics/t/records?limit=1").status == 200)
        }
    }

    @Test("a read that waits is answered by the record that comes")
    func longPoll() async throws {
        try await WebWorld.run { world in
            _ = try await world.ask("POST", "/v1/topics", #"{"name":"t"}"#)
            async let waiting = world.ask("GET", "/v1/topics/t/records?from=0&wait=60s")
            while await world.broker.parkedFetchCount() == 0 { await Task.yield() }
            _ = try await world.ask("POST", "/v1/topics/t/records", "hello", type: nil)
            #expect(try await waiting.body.contains(#""text":"hello""#))
        }
    }

    @Test("records in front of a place are trimmed")
    func trim() async throws {
        try await WebWorld.run { world in
            _ = try await world.ask("POST", "/v1/topics", #"{"name":"t"}"#)
            let records = (0..<10).map { #"{"value":\#($0)}"# }.joined(separator: ",")
            _ = try await world.ask("POST", "/v1/topics/t/records", "{\"records\":[\(records)]}")
            let trimmed = try await world.ask("POST", "/v1/topics/t:trim", #"{"before":7}"#)
            #expect(trimmed.body == #"{"partitions":[{"partition":0,"start":7}]}"#)
            #expect(try await world.ask("GET", "/v1/topics/t/records?from=3").code == "offset_out_of_range")
            let all = try await world.ask("POST", "/v1/topics/t:trim", #"{"before":"latest","partition":0}"#)
            #expect(all.body == #"{"partitions":[{"partition":0,"start":10}]}"#)
        }
    }

    @Test(
        "what makes no sense is refused with words",
        arguments: [
            ("POST", "/v1/topics", #"{"name":"a b"}"#, 400, "invalid_topic"),
            ("POST", "/v1/topics", #"{"name":5}"#, 400, "invalid_request"),
            ("POST", "/v1/topics", #"{"nam":"t"}"#, 400, "invalid_request"),
            ("POST", "/v1/topics", #"{"name":"t","partitions":0}"#, 400, "invalid_request"),
            ("POST", "/v1/topics", #"{"name":"t","id":"x"}"#, 400, "invalid_request"),
            ("POST", "/v1/topics", #"{"name":"u","config":{"x":1}}"#, 400, "invalid_config"),
            ("POST", "/v1/topics", "{", 400, "invalid_json"),
            ("POST", "/v1/topics", #"{"name":"__apus_audit"}"#, 403, "internal_topic"),
            ("POST", "/v1/topics/none/records", #"{"value":1}"#, 404, "topic_not_found"),
            ("POST", "/v1/topics/t/records", #"{"value":1,"text":"x"}"#, 422, "invalid_record"),
            ("POST", "/v1/topics/t/records?acks=none", #"{"value":1}"#, 400, "invalid_request"),
            ("POST", "/v1/topics/t/records?partition=7", #"{"value":1}"#, 404, "topic_not_found"),
            ("POST", "/v1/topics/t/records", #"{"records":[]}"#, 400, "invalid_request"),
            ("GET", "/v1/topics/none/records", "", 404, "topic_not_found"),
            ("GET", "/v1/topics/t/records?from=tomorrow", "", 400, "invalid_request"),
            ("GET", "/v1/topics/t/records?limit=0", "", 400, "invalid_request"),
            ("GET", "/v1/topics/t/records?wait=2h", "", 400, "invalid_request"),
            ("GET", "/v1/topics/t/records?form=1", "", 400, "invalid_request"),
            ("GET", "/v1/topics/%ff", "", 400, "invalid_request"), ("GET", "/v2/topics", "", 404, "not_found"),
            ("PUT", "/v1/topics", "{}", 405, "method_not_allowed"),
        ]
    )
    func refused(method: String, target: String, body: String, status: Int, code: String) async throws {
        try await WebWorld.run { world in
            _ = try await world.ask("POST", "/v1/topics", #"{"name":"t"}"#)
            let answer = try await world.ask(method, target, body)
            #expect(answer.status == status && answer.code == code, "\(answer.text)")
            #expect(answer.header("content-type") == "application/problem+json")
        }
    }

    @Test("some of many that can not be written leave the others alone")
    func someRefused() async throws {
        try await WebWorld.run { world in
            _ = try await world.ask("POST", "/v1/topics", #"{"name":"t"}"#)
            let answer = try await world.ask(
                "POST", "/v1/topics/t/records", #"{"records":[{"value":1},{"value":2,"partition":9},{"value":3}]}"#)
            #expect(answer.status == 207)
            let slots = try #require(try answer.fields()["records"]).elements(max: 3).map { try $0.object() }
            #expect(slots.map { $0["offset"]?.integer } == [0, nil, 1])
            #expect(slots[1]["code"]?.text == "topic_not_found")
        }
    }
}
