import ApusCore
import KafkaWire
import Testing

@testable import KafkaDoor

@Suite("Presence on the wire")
struct PresenceApiTests {
    private static func report(_ life: Int64 = 0, number: Int64 = 0) -> ReportPresenceRequest {
        var request = ReportPresenceRequest()
        request.node = "edge-1"
        request.life = life
        request.number = number
        return request
    }

    private static func change(_ kind: Int8, reason: String = "") -> ReportPresenceRequest.Change {
        var change = ReportPresenceRequest.Change()
        change.kind = kind
        change.channel = "news"
        change.connection = "c1"
        change.user = "User:ada"
        change.client = "app"
        change.reason = reason
        change.atMs = 5
        return change
    }

    /// A life of an endpoint server; while the records are read, it asks again.
    private static func attend(_ bench: DoorBench) throws -> Int64 {
        for _ in 0..<20 {
            let answer = try bench.ask(Self.report(), version: 0)
            if answer.errorCode == .none { return answer.life }
            #expect(answer.errorCode == .coordinatorLoadInProgress)
            bench.advance(seconds: 1)
        }
        return 0
    }

    private static func describe(_ bench: DoorBench) throws -> DescribePresenceResponse {
        var request = DescribePresenceRequest()
        request.channel = "news"
        request.limit = 10
        return try bench.ask(request, version: 0)
    }

    @Test("an endpoint server attends, reports, and is told when its life is over")
    func life() throws {
        let bench = try DoorBench()
        try bench.create("news", configuration: ["apus.presence": "true", "apus.receipts": "true"])
        let life = try Self.attend(bench)
        #expect(life > 0)
        var joined = Self.report(life, number: 1)
        joined.changes = [Self.change(0)]
        let answer = try bench.ask(joined, version: 0)
        #expect((answer.errorCode, answer.refused) == (.none, []))
        #expect(answer.leaseMs == Limits.presenceLease.wholeMilliseconds)
        let page = try Self.describe(bench)
        #expect(page.errorCode == .none && page.isComplete && page.count == 1 && page.next == -1)
        let member = try #require(page.members.first)
        #expect((member.node, member.connection, member.user, member.sinceMs) == ("edge-1", "c1", "User:ada", 5))
        var left = Self.report(life, number: 2)
        left.changes = [Self.change(1, reason: "closed")]
        #expect(try bench.ask(left, version: 0).errorCode == .none)
        #expect(try Self.describe(bench).members.isEmpty)
        #expect(try bench.ask(Self.report(life + 5, number: 1), version: 0).errorCode == .fencedMemberEpoch)
    }

    @Test("what no endpoint server says is refused")
    func unsound() throws {
        let bench = try DoorBench()
        try bench.create("news", configuration: ["apus.presence": "true"])
        let life = try Self.attend(bench)
        var bad = [Self.change(3), Self.change(-1), Self.change(1, reason: "bored"), Self.change(2)]
        var seen = ReportPresenceRequest.Seen()
        seen.partitionIndex = -1
        seen.nextOffset = 1
        bad[3].seen = [seen]
        for change in bad {
            var request = Self.report(life, number: 1)
            request.changes = [change]
            #expect(try bench.ask(request, version: 0).errorCode == .invalidRequest)
        }
        var many = Self.report(life, number: 1)
        many.changes = Array(repeating: Self.change(0), count: Limits.presenceChangesPerReportMax + 1)
        #expect(try bench.ask(many, version: 0).errorCode == .invalidRequest)
    }

    @Test("who is in a channel that keeps no presence is not to be had")
    func off() throws {
        let bench = try DoorBench()
        try bench.create("news")
        #expect(try Self.describe(bench).errorCode == .invalidRequest)
    }
}
