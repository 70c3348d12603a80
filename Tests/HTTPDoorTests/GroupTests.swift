import ApusBroker
import ApusCore
import NIOCore
import Testing
import WebFormats

@testable import HTTPDoor

@Suite("Groups over HTTP", .timeLimit(.minutes(10)))
struct GroupTests {
    @Test("a group is placed, listed, described, found behind, moved and removed")
    func life() async throws {
        try await WebWorld.run { world in
            _ = try await world.ask("POST", "/v1/topics", #"{"name":"t","partitions":2}"#)
            let records = (0..<10).map { #"{"value":\#($0),"partition":\#($0 % 2)}"# }.joined(separator: ",")
            _ = try await world.ask("POST", "/v1/topics/t/records", "{\"records\":[\(records)]}")
            let missing = try await world.ask("GET", "/v1/groups/billing")
            #expect(missing.status == 404 && missing.code == "group_not_found")
            #expect(try await world.ask("GET", "/v1/groups/billing/lag").code == "group_not_found")

            let seek = #"{"to":"-2","topic":"t"}"#
            var moved = try await world.ask("POST", "/v1/groups/billing:seek", seek)
            // The coordinators' topic is made by the first who needs it, and read back.
            for _ in 0..<1000 where moved.status == 503 {
                moved = try await world.ask("POST", "/v1/groups/billing:seek", seek)
            }
            #expect(
                moved.body == #"{"moved":true,"partitions":[{"topic":"t","partition":0,"position":3},"#
                    + #"{"topic":"t","partition":1,"position":3}]}"#)
            let lag = try await world.ask("GET", "/v1/groups/billing/lag").fields()
            #expect(lag["total_lag"]?.integer == 4)
            let list = try await world.ask("GET", "/v1/groups").fields()
            #expect(try list["items"]?.elements(max: 9).map { try $0.object()["name"]?.text } == ["billing"])
            #expect(try await world.ask("GET", "/v1/groups/billing").status == 200)

            let tried = try await world.ask("POST", "/v1/groups/billing:seek", #"{"to":0,"dry_run":true}"#)
            #expect(tried.body.contains(#""moved":false"#) && tried.body.contains(#""position":0"#))
            #expect(try await world.ask("GET", "/v1/groups/billing/lag").fields()["total_lag"]?.integer == 4)
            _ = try await world.ask("POST", "/v1/groups/billing:seek", #"{"to":"latest"}"#)
            #expect(try await world.ask("GET", "/v1/groups/billing/lag").fields()["total_lag"]?.integer == 0)

            #expect(try await world.ask("DELETE", "/v1/groups/billing").status == 204)
            #expect(try await world.ask("DELETE", "/v1/groups/billing").code == "group_not_found")
        }
    }

    @Test(
        "what makes no sense is refused",
        arguments: [
            #"{}"#, #"{"to":"x"}"#, #"{"to":5,"partition":0}"#, #"{"to":5,"topic":"none"}"#, #"{"to":5,"tpic":"t"}"#,
        ]
    )
    func refused(body: String) async throws {
        try await WebWorld.run { world in
            let answer = try await world.ask("POST", "/v1/groups/g:seek", body)
            #expect((400...404).contains(answer.status) && answer.code != nil, "\(answer.text)")
        }
    }
}
