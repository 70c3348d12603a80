import ApusCore
import ApusFakes
import Testing

@testable import ApusBroker

@Suite("Idempotent producers")
struct ProducerTests {
    @Test("a batch sent twice is stored once and answered the same, before and after it is durable")
    func duplicate() throws {
        let world = try TestBroker()
        try world.create("t")
        let first = world.beginProduce([("t", 0, Batch.of(["a", "b"], producer: (5, 0, 0)))])
        let again = world.beginProduce([("t", 0, Batch.of(["a", "b"], producer: (5, 0, 0)))])
        #expect(again.value == nil)
        world.settle()
        #expect(first.value?.first?.baseOffset == .zero)
        #expect(again.value?.first?.baseOffset == .zero)
        #expect(try world.produce("t", Batch.of(["c"], producer: (5, 0, 2))).baseOffset == Offset(rawValue: 2))
        #expect(try world.produce("t", Batch.of(["a", "b"], producer: (5, 0, 0))).baseOffset == .zero)
        #expect(try world.values("t") == ["a", "b", "c"])
    }

    @Test("a gap in the sequence and an old epoch are refused")
    func refused() throws {
        let world = try TestBroker()
        try world.create("t")
        #expect(try world.produce("t", Batch.of(["a"], producer: (5, 1, 0))).error == nil)
        guard case .outOfOrderSequence = try world.produce("t", Batch.of(["c"], producer: (5, 1, 2))).error else {
            return #expect(Bool(false))
        }
        guard case .invalidProducerEpoch = try world.produce("t", Batch.of(["b"], producer: (5, 0, 1))).error else {
            return #expect(Bool(false))
        }
        #expect(try world.produce("t", Batch.of(["b"], producer: (5, 2, 0))).error == nil)
        #expect(try world.values("t") == ["a", "b"])
    }

    @Test("a crash does not forget the producers")
    func crash() throws {
        let disk = SimulatedDisk()
        let store = FakeCoordinatorStore()
        let world = try TestBroker(disk: disk, store: store)
        try world.create("t")
        _ = try world.produce("t", Batch.of(["a"], producer: (5, 0, 0)))
        disk.crash(seed: 1)
        let after = try TestBroker(disk: disk, store: store, incarnation: 2, wasClean: false)
        #expect(try after.produce("t", Batch.of(["a"], producer: (5, 0, 0))).baseOffset == .zero)
        #expect(try after.produce("t", Batch.of(["b"], producer: (5, 0, 1))).baseOffset == Offset(rawValue: 1))
        #expect(try after.values("t") == ["a", "b"])
    }

    @Test("producer ids are never given twice, also over restarts")
    func ids() throws {
        let disk = SimulatedDisk()
        let store = FakeCoordinatorStore()
        var seen: Set<Int64> = []
        for incarnation in 1...3 as ClosedRange<Int32> {
            let world = try TestBroker(disk: disk, store: store, incarnation: incarnation)
            for _ in 0..<1500 {
                let answer = Once<Result<ProducerIdentity, BrokerError>>()
                world.broker.initProducerID(client: .embedded, on: world.loop) { answer.put($0) }
                world.settle()
                let identity = try #require(answer.value).get()
                #expect(identity.epoch == 0)
                #expect(seen.insert(identity.id).inserted)
            }
        }
    }

    @Test("describes the producers of a partition")
    func described() throws {
        let world = try TestBroker()
        try world.create("t")
        _ = try world.produce("t", Batch.of(["a", "b"], producer: (5, 3, 0)))
        let answer = Once<[Result<[ProducerDescription], BrokerError>]>()
        let place = PartitionReference(topic: .name("t"), partition: PartitionIndex(rawValue: 0))
        world.broker.describeProducers([place], client: .embedded, on: world.loop) { answer.put($0) }
        world.settle()
        let producers = try #require(answer.value?.first).get()
        #expect(producers.map(\.producerID) == [5])
        #expect(producers.map(\.producerEpoch) == [3])
        #expect(producers.map(\.lastSequence) == [1])
    }
}
