import ApusAccess
import ApusCore
import ApusFakes
import ApusPresence
import Testing

@testable import ApusBroker

@Suite("Presence, served by a broker")
struct PresenceServingTests {
    /// A broker that may be killed, and what an endpoint server tells it.
    private final class World {
        let disk = SimulatedDisk()
        let store = FakeCoordinatorStore()
        let clock = SimulatedClock()
        private var incarnation: Int32 = 1
        private(set) var bench: TestBroker

        init() throws {
            self.bench = try TestBroker(disk: self.disk, store: self.store, clock: self.clock)
            _ = try self.bench.create("news", ["apus.presence": "true", "apus.receipts": "true"])
        }

        /// The broker dies where it stands, and another begins on what the disk has.
        func crash() throws {
            self.bench.queue.dropAll()
            self.disk.crash(seed: 5)
            self.incarnation += 1
            self.bench = try TestBroker(
                disk: self.disk, store: self.store, clock: self.clock, incarnation: self.incarnation, wasClean: false)
            self.bench.settle()
        }

        func report(
            _ report: PresenceReport, _ client: ClientContext = .embedded
        ) -> Result<PresenceAnswer, PresenceError>? {
            let answer = Once<Result<PresenceAnswer, PresenceError>>()
            self.bench.broker.report(report, client: client, on: self.bench.loop) { answer.put($0) }
            self.bench.settle()
            return answer.value
        }

        /// A life with these in `news`.
        func attend(_ connections: [String], node: String = "edge-1") throws -> PresenceAnswer {
            // While it reads its records it says so.
            _ = self.report(PresenceReport(node: node))
            let life = try #require(self.report(PresenceReport(node: node))).get().life
            let changes = connections.map { Self.join($0) }
            return try #require(self.report(PresenceReport(node: node, life: life, number: 1, changes: changes))).get()
        }

        static func join(_ connection: String) -> PresenceChange {
            .join(
                PresencePlace(channel: "news", connection: connection), PresenceGuest(user: "User:ada", client: "app"),
                at: Timestamp(rawValue: 1))
        }

        func page(
            _ channel: String = "news", _ client: ClientContext = .embedded
        ) -> Result<PresencePage, BrokerError>? {
            let answer = Once<Result<PresencePage, BrokerError>>()
            self.bench.broker.presence(of: channel, client: client, on: self.bench.loop) { answer.put($0) }
            self.bench.settle()
            return answer.value
        }

        func receipts() -> Result<ReceiptPage, BrokerError>? {
            let answer = Once<Result<ReceiptPage, BrokerError>>()
            self.bench.broker.receipts(of: "news", client: .embedded, on: self.bench.loop) { answer.put($0) }
            self.bench.settle()
            return answer.value
        }

        func connections() throws -> [String] {
            try #require(self.page()).get().members.map(\.connection)
        }

        /// `join c1`, `leave c1`, …, as any client reads them.
        func events() throws -> [String] {
            try self.bench.values("__presence").compactMap { value in
                guard let event = value.split(separator: "\"").dropFirst(3).first else { return nil }
                let connection = value.split(separator: "\"conn\":\"").last?.prefix { $0 != "\"" } ?? ""
                return "\(event) \(connection)"
            }
        }
    }

    @Test("a report is answered when it is written, and any client can read who came")
    func written() throws {
        let world = try World()
        let answer = try world.attend(["c1", "c2"])
        #expect(answer.refused.isEmpty && answer.lease == Limits.presenceLease)
        #expect(try world.events() == ["join c1", "join c2"])
        #expect(try world.connections() == ["c1", "c2"])
        #expect(try world.page("news/key")?.get() == PresencePage(members: [], count: 0))
    }

    @Test("after a kill of the broker those who do not come back leave once, within the lease, and others stay")
    func kill() throws {
        let world = try World()
        _ = try world.attend(["c1", "c2"])
        let stays = try world.attend(["d1"], node: "edge-2")
        for round in 1...3 as ClosedRange<Int64> {
            try world.crash()
            for beat in 1...3 as ClosedRange<Int64> {
                world.bench.pass(.seconds(4))
                let report = PresenceReport(node: "edge-2", life: stays.life, number: 10 * round + beat)
                #expect(try world.report(report)?.get().life == stays.life)
            }
        }
        #expect(try world.connections() == ["d1"])
        let events = try world.events()
        #expect(events.sorted() == ["join c1", "join c2", "join d1", "leave c1", "leave c2"])
        // It had been cut off, and is told so.
        let late = PresenceReport(node: "edge-1", life: stays.life - 1, number: 2)
        #expect(world.report(late) == .failure(.fenced))
    }

    @Test("what a lost answer was about is not written twice, also after a kill")
    func again() throws {
        let world = try World()
        let answer = try world.attend(["c1"])
        let report = PresenceReport(node: "edge-1", life: answer.life, number: 2, changes: [World.join("c2")])
        #expect(try world.report(report)?.get().life == answer.life)
        #expect(try world.report(report)?.get().life == answer.life)
        try world.crash()
        #expect(try world.report(report)?.get().life == answer.life)
        #expect(try world.events() == ["join c1", "join c2"])
    }

    @Test("receipts say how far each is behind, and survive a kill")
    func receipts() throws {
        let world = try World()
        let answer = try world.attend(["c1"])
        for value in ["a", "b", "c"] { _ = try world.bench.produce("news", Batch.of([value])) }
        let seen = PresenceSeen(
            partition: PartitionIndex(rawValue: 0), next: Offset(rawValue: 2), at: Timestamp(rawValue: 5))
        let place = PresencePlace(channel: "news", connection: "c1")
        let change = PresenceChange.seen(place, PresenceGuest(user: "User:ada", client: "app"), [seen])
        let report = PresenceReport(node: "edge-1", life: answer.life, number: 2, changes: [change])
        #expect(try world.report(report)?.get().refused == [])
        try world.crash()
        let page = try #require(world.receipts()).get()
        #expect(page.page.members.map(\.seen) == [[seen]])
        #expect(page.ends == [PartitionIndex(rawValue: 0): Offset(rawValue: 3)])
    }

    @Test("nobody but the system writes it, cuts it, removes it or makes it forget")
    func guarded() throws {
        let world = try World()
        _ = try world.attend(["c1"])
        let refused = Once<[Result<Topic, BrokerError>]>()
        let client = ClientContext()
        world.bench.broker.deleteTopics([.name("__presence")], client: client, on: world.bench.loop) { refused.put($0) }
        world.bench.settle()
        #expect(throws: BrokerError.internalTopic("__presence")) { try refused.value?.first?.get() }
        for (name, value) in [
            ("cleanup.policy", "delete"), ("cleanup.policy", "compact,delete"), ("max.message.bytes", "1000"),
            ("segment.bytes", "65536"), ("message.timestamp.before.max.ms", "1"), ("min.insync.replicas", "2"),
        ] {
            let answer = Once<[BrokerError?]>()
            world.bench.broker.alterConfigurations(
                [(.topic("__presence"), .change([.set(name: name, value: value)]))], client: client,
                on: world.bench.loop
            ) { answer.put($0) }
            world.bench.settle()
            guard case .invalidConfiguration(let why)?? = answer.value?.first else {
                Issue.record("\(name)=\(value) was taken")
                continue
            }
            #expect(why.contains(name))
        }
    }

    @Test("who may not read the topic is not told who is there; who may not act for the cluster reports nothing")
    func rights() throws {
        let world = try World()
        _ = try world.attend(["c1"])
        let nobody = AclSet(version: .none, acls: [], superUsers: []).view(of: .anonymous, from: nil)
        let stranger = ClientContext(principal: .anonymous, access: nobody)
        #expect(world.page("news", stranger) == .failure(.topicAuthorizationFailed))
        #expect(world.report(PresenceReport(node: "n"), stranger) == .failure(.forbidden))
    }

    @Test("presence that is not kept is said to be so")
    func off() throws {
        let world = try World()
        let topic = try world.bench.create("quiet")
        #expect(!topic.configuration.keepsPresence && !topic.configuration.keepsReceipts)
        guard case .failure(.invalidRequest(let why))? = world.page("quiet") else {
            Issue.record("it was told")
            return
        }
        #expect(why.contains("apus.presence"))
        #expect(throws: BrokerError.self) { try world.bench.create("odd", ["apus.presence": "perhaps"]) }
    }
}
