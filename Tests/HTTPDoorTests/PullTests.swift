import ApusBroker
import ApusCore
import NIOCore
import Testing
import WebFormats

@testable import HTTPDoor

@Suite("Reading a subscription over HTTP", .timeLimit(.minutes(10)))
struct PullTests {
    /// Two topics, ten records in each, and a subscription to both from their beginning.
    private func run(
        _ subscription: String = #"{"name":"billing","topics":["a","b"],"start":"earliest"}"#,
        _ body: (WebWorld) async throws -> Void
    ) async throws {
        try await WebWorld.run { world in
            for topic in ["a", "b"] {
                _ = try await world.ask("POST", "/v1/topics", #"{"name":"\#(topic)","partitions":2}"#)
                let records = (0..<10).map { #"{"value":\#($0),"partition":\#($0 % 2)}"# }.joined(separator: ",")
                _ = try await world.ask("POST", "/v1/topics/\(topic)/records", "{\"records\":[\(records)]}")
            }
            let made = try await world.ask("POST", "/v1/subscriptions", subscription)
            #expect(made.status == 201, "\(made.text)")
            try await body(world)
        }
    }

    /// The coordinators' topic is made by the first who needs it, and read back.
    private func ask(_ world: WebWorld, _ verb: String, _ body: String = "{}") async throws -> RawAnswer {
        var answer = try await world.ask("POST", "/v1/subscriptions/billing:\(verb)", body)
        for _ in 0..<1000 where answer.status == 503 {
            answer = try await world.ask("POST", "/v1/subscriptions/billing:\(verb)", body)
        }
        return answer
    }

    /// The values of a pull, `topic:partition:offset`, and what to acknowledge it with.
    private func pull(_ world: WebWorld, max: Int) async throws -> (records: [String], positions: String) {
        let answer = try await self.ask(world, "pull", #"{"max":\#(max)}"#)
        #expect(answer.status == 200, "\(answer.text)")
        let fields = try answer.fields()
        var records: [String] = []
        for entry in try fields["topics"]?.elements(max: 9) ?? [] {
            let topic = try entry.object()
            for record in try topic["records"]?.elements(max: 100) ?? [] {
                let record = try record.object()
                let place = "\(record["partition"]?.integer ?? -1):\(record["offset"]?.integer ?? -1)"
                records.append("\(topic["topic"]?.text ?? ""):\(place)")
            }
        }
        return (records, fields["positions"].map { String(buffer: $0.bytes) } ?? "")
    }

    @Test("everything is given until it is acknowledged, and then never again")
    func atLeastOnce() async throws {
        try await self.run { world in
            var seen: [String] = []
            let first = try await self.pull(world, max: 7)
            #expect(first.records.count == 7)
            let again = try await self.pull(world, max: 7)
            #expect(again.records == first.records, "what nobody acknowledged comes again")
            var batch = again
            while !batch.records.isEmpty {
                seen += batch.records
                let acked = try await self.ask(world, "ack", "{\"positions\":\(batch.positions)}")
                #expect(acked.status == 200, "\(acked.text)")
                batch = try await self.pull(world, max: 7)
            }
            #expect(seen.count == 20 && Set(seen).count == 20, "\(seen)")
            // Late and repeated: positions stay where they are.
            let late = try await self.ask(world, "ack", "{\"positions\":\(first.positions)}")
            #expect(late.status == 200)
            #expect(try await self.pull(world, max: 7).records.isEmpty)
            #expect(try await world.ask("GET", "/v1/groups/billing/lag").fields()["total_lag"]?.integer == 0)
        }
    }

    @Test("a subscription from the end begins where its first pull was, not where its second is")
    func latest() async throws {
        try await self.run(#"{"name":"billing","topics":["a"],"start":"latest"}"#) { world in
            #expect(try await self.pull(world, max: 10).records.isEmpty)
            _ = try await world.ask("POST", "/v1/topics/a/records", #"{"value":"new","partition":0}"#)
            #expect(try await self.pull(world, max: 10).records == ["a:0:5"])
        }
    }

    @Test("a subscription is moved, and what retention took is passed over")
    func seek() async throws {
        try await self.run(#"{"name":"billing","pattern":"a*","start":"earliest"}"#) { world in
            #expect(try await self.pull(world, max: 100).records.count == 10)
            let moved = try await self.ask(world, "seek", #"{"to":3,"topic":"a"}"#)
            #expect(moved.status == 200, "\(moved.text)")
            #expect(try await self.pull(world, max: 100).records == ["a:0:3", "a:0:4", "a:1:3", "a:1:4"])
            #expect(try await world.ask("POST", "/v1/topics/a:trim", #"{"before":4}"#).status == 200)
            #expect(try await self.pull(world, max: 100).records == ["a:0:4", "a:1:4"])
        }
    }

    @Test(
        "an ack that makes no sense is refused, and moves nothing",
        arguments: [
            "{}", #"{"positions":[]}"#, #"{"positions":[{"topic":"a","partition":0}]}"#,
            #"{"positions":[{"topic":"x","partition":0,"offset":1}]}"#,
            #"{"positions":[{"topic":"a","partition":9,"offset":1}]}"#,
            #"{"positions":[{"topic":"a","partition":0,"offset":99}]}"#,
            #"{"positions":[{"topic":"a","partition":0,"offset":-1}]}"#,
            #"{"positions":[{"topic":"a","partition":0,"offset":1},{"topic":"a","partition":0,"offset":2}]}"#,
            #"{"positions":[{"topic":"a","partition":0,"offset":1},{"topic":"b","partition":0,"offset":99}]}"#,
        ]
    )
    func badAcks(body: String) async throws {
        try await self.run { world in
            let before = try await self.pull(world, max: 100).records
            let answer = try await self.ask(world, "ack", body)
            #expect([400, 404].contains(answer.status) && answer.code != nil, "\(answer.text)")
            #expect(try await self.pull(world, max: 100).records == before)
        }
    }

    @Test("what is no stream subscription is not pulled")
    func others() async throws {
        try await self.run(#"{"name":"billing","topics":["a"],"delivery":"queue"}"#) { world in
            #expect(try await self.ask(world, "pull").status == 400)
            let missing = try await world.ask("POST", "/v1/subscriptions/none:pull", "{}")
            #expect(missing.status == 404 && missing.code == "subscription_not_found")
            for body in [#"{"max":0}"#, #"{"wait":"1h"}"#, #"{"wait":[]}"#, #"{"mx":1}"#] {
                #expect(try await self.ask(world, "pull", body).status == 400, "\(body)")
            }
        }
    }
}
