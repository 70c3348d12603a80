import ApusAccess
import ApusCore
import ApusFakes
import NIOCore
import Testing

@testable import ApusBroker

@Suite("The audit log")
struct AuditTests {
    private static func bench(_ store: FakeCoordinatorStore = FakeCoordinatorStore()) throws -> TestBroker {
        try TestBroker(store: store) {
            $0.isAuthorizing = true
            $0.isAuditing = true
            $0.superUsers = [Self.root]
        }
    }

    private static let root = Principal(user: "root") ?? .anonymous
    private static let alice = Principal(user: "alice") ?? .anonymous

    private static func lines(_ bench: TestBroker) throws -> [String] {
        bench.settle()
        return try bench.values(InternalTopic.audit)
    }

    @Test("a change says who made it, from where and what; a denial what was wanted")
    func lines() throws {
        let bench = try Self.bench()
        let root = bench.broker.access.client(Self.root, clientID: "cli", address: "10.0.0.1")
        let alice = bench.broker.access.client(Self.alice, clientID: "app \"1\"\n", address: "10.0.0.2")
        bench.broker.create([TopicSpecification(name: "t")], client: root, on: bench.loop) { _ in }
        bench.settle()
        bench.broker.deleteTopics([.name("t")], client: alice, on: bench.loop) { _ in }
        let lines = try Self.lines(bench)
        try #require(lines.count == 2)
        #expect(lines[0].contains(#""principal":"User:root","address":"10.0.0.1","client":"cli","#))
        #expect(lines[0].contains(#""action":"topic.create","resource":"t","outcome":"ok"}"#))
        #expect(lines[1].contains(#""client":"app \"1\"\u000a","action":"access","resource":"delete topic t""#))
        #expect(lines[1].hasSuffix(#""outcome":"denied"}"#))
        #expect(try bench.values("t").isEmpty)
    }

    @Test("of many denials of one principal a few are written, and then how many were not")
    func denials() throws {
        let bench = try Self.bench()
        let alice = bench.broker.access.client(Self.alice, address: "10.0.0.2")
        for _ in 0..<1000 { _ = alice.allows(.read, onTopic: "secret") }
        #expect(try Self.lines(bench).count == Limits.auditedDenialsPerSecondMax)
        bench.passSeconds(2)
        _ = alice.allows(.read, onTopic: "secret")
        let last = try #require(try Self.lines(bench).last)
        #expect(last.contains(#""omitted":\#(1000 - Limits.auditedDenialsPerSecondMax)}"#))
    }

    @Test("of all that one principal does so much a second is written, of each kind, and then how much was not")
    func rates() throws {
        let bench = try Self.bench()
        let root = bench.broker.access.client(Self.root, address: "10.0.0.1")
        let alice = bench.broker.access.client(Self.alice, address: "10.0.0.2")
        for number in 0..<500 { bench.broker.audit.note(.login, "\(number)", by: root) }
        for number in 0..<2000 { bench.broker.audit.note(.createTopic, "\(number)", by: root) }
        for _ in 0..<100 { bench.broker.audit.note(.login, "x", by: root, .failed("no")) }
        bench.broker.audit.note(.login, "alice's", by: alice)
        _ = alice.allows(.read, onTopic: "secret")
        bench.settle()
        let written = Limits.auditedLoginsPerSecondMax + Limits.auditedChangesPerSecondMax
        let end = try bench.offset(InternalTopic.audit, .latest).offset
        #expect(end.rawValue == Int64(written + Limits.auditedDenialsPerSecondMax + 2))
        bench.passSeconds(1)
        bench.broker.audit.note(.login, "after", by: root)
        bench.broker.audit.note(.deleteTopic, "after", by: root)
        bench.settle()
        let last = try bench.values(InternalTopic.audit, from: end.rawValue)
        #expect(last.count == 2)
        #expect(last.first?.hasSuffix(#""omitted":\#(500 - Limits.auditedLoginsPerSecondMax)}"#) == true)
        #expect(last.last?.hasSuffix(#""omitted":\#(2000 - Limits.auditedChangesPerSecondMax)}"#) == true)
    }

    @Test("what there was no room for is counted by the next record, and denials have room of their own")
    func lost() throws {
        let store = FakeCoordinatorStore()
        let bench = try Self.bench(store)
        // The topic can not be made, so nothing can be written.
        store.failure = .unavailable("gone")
        for number in 0..<Limits.auditRecordsWaitingMax {
            let user = try #require(Principal(user: "user-\(number / 500)"))
            let client = bench.broker.access.client(user, address: "10.0.0.1")
            bench.broker.audit.note(.createTopic, "\(number)", by: client)
        }
        let alice = bench.broker.access.client(Self.alice, address: "10.0.0.2")
        _ = alice.allows(.read, onTopic: "secret")
        bench.settle()
        store.failure = nil
        bench.passSeconds(3)
        let end = try bench.offset(InternalTopic.audit, .latest).offset
        let room = Limits.auditRecordsWaitingMax - Limits.auditRecordsForDenials
        #expect(end.rawValue == Int64(room + 1))
        let last = try #require(try bench.values(InternalTopic.audit, from: end.rawValue - 1).last)
        #expect(last.contains(#""resource":"read topic secret","outcome":"denied","lost":"#))
        #expect(last.hasSuffix(#""lost":\#(Limits.auditRecordsForDenials)}"#))
    }

    /// A text that is six times as long in the log.
    private static let wide = String(repeating: "\u{1}", count: 1024)

    @Test("however long the texts of records are, the batches that they go in are taken")
    func wideTexts() throws {
        let bench = try Self.bench()
        let root = bench.broker.access.client(Self.root, clientID: Self.wide, address: "10.0.0.1")
        for _ in 0..<400 { bench.broker.audit.note(.createTopic, Self.wide, by: root) }
        bench.settle()
        #expect(try bench.offset(InternalTopic.audit, .latest).offset == Offset(rawValue: 400))
    }

    @Test("a record that the topic does not take is left out and counted; those around it are written")
    func refused() throws {
        let bench = try Self.bench()
        // As one that an older version let somebody make narrow.
        try bench.create(InternalTopic.audit, [TopicOption.batchBytesMax.name: "4000"])
        let root = bench.broker.access.client(Self.root, address: "10.0.0.1")
        for number in 0..<100 {
            bench.broker.audit.note(.createTopic, number == 40 ? Self.wide : "t\(number)", by: root)
        }
        bench.settle()
        bench.broker.audit.note(.createTopic, "after", by: root)
        let lines = try Self.lines(bench)
        #expect(lines.count == 100)
        let names = (0..<100).filter { $0 != 40 }.map { "t\($0)" } + ["after"]
        for (line, name) in zip(lines, names) { #expect(line.contains("\"resource\":\"\(name)\"")) }
        #expect(lines.last?.hasSuffix(#""lost":1}"#) == true)
    }

    @Test("texts are cut before they wait")
    func cut() {
        let long = String(repeating: "ä", count: 1 << 20)
        let record = AuditRecord(
            time: Timestamp(rawValue: 0), principal: Self.alice, address: long, clientID: long, action: .login,
            resource: long, outcome: .failed(long))
        let cut = String(repeating: "ä", count: Limits.auditTextScalarsMax)
        #expect(record.address == cut && record.clientID == cut && record.resource == cut)
        #expect(record.outcome == .failed(cut))
        #expect("short".auditCut == "short")
    }

    @Test("records that are deleted from many partitions are one line for each topic")
    func trims() throws {
        let bench = try Self.bench()
        try bench.create("t", partitions: 100)
        try bench.create("u", partitions: 2)
        let root = bench.broker.access.client(Self.root, address: "10.0.0.1")
        let answer = Once<[Result<Offset, BrokerError>]>()
        let places = (0..<100).map { ("t", Int32($0)) } + [("u", 1), ("u", 7)]
        bench.broker.deleteRecords(
            places.map {
                RecordDeletion(topic: .name($0.0), partition: PartitionIndex(rawValue: $0.1), before: nil)
            }, timeout: .seconds(10), client: root, on: bench.loop
        ) { answer.put($0) }
        let lines = try Self.lines(bench)
        #expect(answer.value?.count == 102)
        try #require(lines.count == 2)
        #expect(lines[0].contains(#""resource":"t: 0 before 0, 1 before 0, "#))
        #expect(lines[0].contains(#" and \#(100 - Limits.auditedPartitionsMax) more","outcome":"ok"}"#))
        #expect(lines[1].contains(#""resource":"u: 1 before 0","outcome":"ok"}"#))
    }

    @Test("closing writes what waited, and is not held up when it can not be")
    func closing() throws {
        for isAway in [false, true] {
            let store = FakeCoordinatorStore()
            let bench = try Self.bench(store)
            if isAway { store.failure = .unavailable("gone") }
            bench.broker.audit.note(.login, "x", by: bench.broker.access.client(Self.root, address: ""))
            #expect(try bench.close())
            #expect((bench.broker.topics.topic(named: InternalTopic.audit) != nil) == !isAway)
        }
    }
}
