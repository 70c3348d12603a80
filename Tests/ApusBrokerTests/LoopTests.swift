import ApusCore
import ApusFakes
import Logging
import NIOCore
import NIOEmbedded
import Testing

@testable import ApusBroker

@Suite("Several loops")
struct LoopTests {
    private struct World {
        let loops: [NIOAsyncTestingEventLoop]
        let caller = NIOAsyncTestingEventLoop()
        let broker: Broker

        init(loops count: Int) async throws {
            let loops = (0..<count).map { _ in NIOAsyncTestingEventLoop() }
            let settings = BrokerSettings(
                identity: BrokerIdentity(clusterID: "test", brokerID: BrokerID(rawValue: 0)),
                incarnation: Epoch(rawValue: 1), wasCleanShutdown: true, dataDirectory: "/data"
            )
            let ports = BrokerPorts(
                disk: InlineDiskQueue(SimulatedDisk()), store: FakeCoordinatorStore(), clock: SimulatedClock(),
                randomness: SeededRandomness(seed: 1), logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
            )
            let opened = Once<Result<Broker, BrokerError>>()
            Broker.open(settings, ports: ports, shards: loops, on: loops[0]) { opened.put($0) }
            while opened.value == nil { for loop in loops { await loop.run() } }
            self.loops = loops
            self.broker = try #require(opened.value).get()
        }

        /// Runs every loop until the answer is there; each round lets each loop hand on what it has.
        func wait<Value: Sendable>(for answer: Once<Value>) async throws -> Value {
            for _ in 0..<1000 {
                if let value = answer.value { return value }
                for loop in self.loops { await loop.run() }
                await self.caller.run()
            }
            return try #require(answer.value)
        }

        func end() async {
            for loop in self.loops { await loop.shutdownGracefully() }
            await self.caller.shutdownGracefully()
        }
    }

    @Test("a request over partitions of three loops is answered once, in order, on the caller's loop")
    func gathers() async throws {
        let world = try await World(loops: 3)
        let created = Once<[Result<Topic, BrokerError>]>()
        world.broker.create([TopicSpecification(name: "t", partitions: 9)], client: .embedded, on: world.caller) {
            created.put($0)
        }
        _ = try await world.wait(for: created)[0].get()
        let produced = Once<[ProduceResult]>()
        let entries = (0..<9).map {
            ProduceEntry(
                topic: .name("t"), partition: PartitionIndex(rawValue: $0), records: Batch.of(["v\($0)"])
            )
        }
        world.broker.produce(entries, acks: .all, timeout: .seconds(5), client: .embedded, on: world.caller) {
            world.caller.preconditionInEventLoop()
            produced.put($0)
        }
        #expect(try await world.wait(for: produced).allSatisfy { $0.error == nil })
        let fetched = Once<[FetchResult]>()
        let wishes = (0..<9).map {
            FetchEntry(
                topic: .name("t"), partition: PartitionIndex(rawValue: $0), offset: .zero, bytesMax: .mebibytes(1)
            )
        }
        let limits = FetchLimits(bytesMin: .bytes(1), bytesMax: .mebibytes(1), waitMax: .seconds(5))
        world.broker.fetch(wishes, limits: limits, client: .embedded, on: world.caller) { fetched.put($0) }
        let results = try await world.wait(for: fetched)
        #expect(try results.flatMap { try $0.batches.flatMap { try Batch.values(in: $0) } } == (0..<9).map { "v\($0)" })
        await world.end()
    }

    @Test("a fetch parked on three loops is woken by one of them")
    func parks() async throws {
        let world = try await World(loops: 3)
        let created = Once<[Result<Topic, BrokerError>]>()
        world.broker.create([TopicSpecification(name: "t", partitions: 3)], client: .embedded, on: world.caller) {
            created.put($0)
        }
        _ = try await world.wait(for: created)[0].get()
        let wishes = (0..<3).map {
            FetchEntry(
                topic: .name("t"), partition: PartitionIndex(rawValue: $0), offset: .zero, bytesMax: .mebibytes(1)
            )
        }
        let limits = FetchLimits(bytesMin: .bytes(1), bytesMax: .mebibytes(1), waitMax: .seconds(50))
        let fetched = Once<[FetchResult]>()
        world.broker.fetch(wishes, limits: limits, client: .embedded, on: world.caller) { fetched.put($0) }
        for _ in 0..<20 {
            for loop in world.loops { await loop.run() }
            await world.caller.run()
        }
        #expect(fetched.value == nil)
        let produced = Once<[ProduceResult]>()
        let entry = ProduceEntry(topic: .name("t"), partition: PartitionIndex(rawValue: 1), records: Batch.of(["new"]))
        world.broker.produce([entry], acks: .all, timeout: .seconds(5), client: .embedded, on: world.caller) {
            produced.put($0)
        }
        _ = try await world.wait(for: produced)
        #expect(try await world.wait(for: fetched).map(\.batches.count) == [0, 1, 0])
        await world.end()
    }
}

@Suite("Answers of several shards")
struct GatherTests {
    @Test("are one answer, whichever of them comes last, and when nothing at all comes behind it", arguments: 0..<3)
    func once(place: Int) {
        let answer = Once<[Int]>()
        let gather = BrokerGather([0, 0, 0], missing: 2) { answer.put($0) }
        // What was refused, which may be nothing, is put by the caller: on another thread than the shards' answers.
        for index in 0..<3 { index == place ? gather.put([]) : gather.put(index + 1, at: index) }
        #expect(answer.value == (0..<3).map { $0 == place ? 0 : $0 + 1 })
    }
}

@Suite("The memory budget")
struct MemoryBudgetTests {
    @Test("who does not fit waits, first come first served, and is called when there is room")
    func waits() {
        let loop = EmbeddedEventLoop()
        let budget = MemoryBudget(limit: .bytes(100))
        let order = Once<String>()
        #expect(budget.reserve(.bytes(60), on: loop) { order.put("never") } == nil)
        let second = Once<Bool>()
        let third = Once<Bool>()
        #expect(budget.reserve(.bytes(50), on: loop) { second.put(true) } != nil)
        // It would fit, but somebody waits already.
        #expect(budget.reserve(.bytes(10), on: loop) { third.put(true) } != nil)
        budget.release(.bytes(60))
        loop.run()
        #expect(second.value == true)
        #expect(third.value == true)
        #expect(budget.used == .bytes(60))
        #expect(order.value == nil)
    }

    @Test("who leaves lets those behind go on; after the grant it is too late")
    func leaves() throws {
        let loop = EmbeddedEventLoop()
        let budget = MemoryBudget(limit: .bytes(100))
        #expect(budget.reserve(.bytes(60), on: loop) {} == nil)
        let (first, second) = (Once<Bool>(), Once<Bool>())
        let ticket = try #require(budget.reserve(.bytes(50), on: loop) { first.put(true) })
        let granted = try #require(budget.reserve(.bytes(40), on: loop) { second.put(true) })
        #expect(budget.leave(ticket))
        #expect(!budget.leave(granted))
        loop.run()
        #expect(first.value == nil && second.value == true)
        #expect(budget.used == .bytes(100) && budget.waitingCount == 0)
    }

    @Test("more than the whole budget is granted when nothing else is")
    func huge() {
        let loop = EmbeddedEventLoop()
        let budget = MemoryBudget(limit: .bytes(100))
        #expect(budget.reserve(.bytes(500), on: loop) {} == nil)
        let waited = Once<Bool>()
        #expect(budget.reserve(.bytes(1), on: loop) { waited.put(true) } != nil)
        budget.release(.bytes(500))
        loop.run()
        #expect(waited.value == true)
    }
}

@Suite("The verbs in Swift form")
struct VerbTests {
    @Test("create, write, read and delete, by id and by name")
    func verbs() async throws {
        let loop = NIOAsyncTestingEventLoop()
        let settings = BrokerSettings(
            identity: BrokerIdentity(clusterID: "test", brokerID: BrokerID(rawValue: 0)),
            incarnation: Epoch(rawValue: 1), wasCleanShutdown: true, dataDirectory: "/data"
        )
        let ports = BrokerPorts(
            disk: InlineDiskQueue(SimulatedDisk()), store: FakeCoordinatorStore(), clock: SimulatedClock(),
            randomness: SeededRandomness(seed: 1), logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        )
        let opened = Once<Result<Broker, BrokerError>>()
        Broker.open(settings, ports: ports, shards: [loop], on: loop) { opened.put($0) }
        while opened.value == nil { await loop.run() }
        let broker = try #require(opened.value).get()
        let isOver = Once<Bool>()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                defer { isOver.put(true) }
                let id = TopicID(high: 4, low: 2)
                try await broker.create(topicID: id, name: "orders")
                let message = Message(
                    key: ByteBuffer(string: "k"), value: ByteBuffer(string: "v"),
                    headers: [Message.Header(name: "h", value: nil)]
                )
                #expect(try await broker.write(topic: .id(id), message: message) == .zero)
                #expect(try await broker.write(topic: .name("orders"), message: message) == Offset(rawValue: 1))
                let read = try await broker.read(topic: .id(id), from: Offset(rawValue: 1))
                #expect(read.map(\.offset) == [Offset(rawValue: 1)])
                #expect(read.first?.message.value == ByteBuffer(string: "v"))
                #expect(read.first?.message.headers.map(\.name) == ["h"])
                try await broker.deleteTopic(.id(id))
                await #expect(throws: BrokerError.unknownTopicID) { try await broker.read(topic: .id(id), from: .zero) }
            }
            while isOver.value == nil { await loop.run() }
            try await group.waitForAll()
        }
        // Not where it was read: the answer leaves before the loop gives back what it had set aside for the read.
        await loop.run()
        #expect(broker.readMemory.used == .zero)
        await loop.shutdownGracefully()
    }
}
