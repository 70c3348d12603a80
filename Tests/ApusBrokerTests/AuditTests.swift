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

    @Test("what there was no room for is counted by the next record, and nobody waits")
    func lost() throws {
        let store = FakeCoordinatorStore()
        let bench = try Self.bench(store)
        let root = bench.broker.access.client(Self.root, address: "10.0.0.1")
        // The topic can not be made, so nothing can be written.
        store.failure = .unavailable("gone")
        for number in 0..<Limits.auditRecordsWaitingMax + 100 { bench.broker.audit.note(.login, "\(number)", by: root) }
        bench.settle()
        store.failure = nil
        bench.passSeconds(3)
        bench.broker.audit.note(.login, "after", by: root)
        bench.settle()
        let end = try bench.offset(InternalTopic.audit, .latest).offset
        #expect(end.rawValue >= Int64(Limits.auditRecordsWaitingMax) + 1)
        let last = try #require(try bench.values(InternalTopic.audit, from: end.rawValue - 1).last)
        #expect(last.contains(#""resource":"after","outcome":"ok","lost":"#))
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
