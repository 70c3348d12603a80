import ApusCore
import ApusFakes
import KafkaWire
import NIOCore
import Testing

@testable import ApusBroker

@Suite("Writes with an idempotency key")
struct KeyedWriteTests {
    private typealias Outcome = Result<WrittenPlace, BrokerError>

    /// - Parameter spread: spreads other writes; it must not matter.
    private func begin(
        _ messages: [AddressedMessage], _ key: WriteKey, spread: UInt32 = 0, in world: TestBroker
    ) -> Once<[Outcome]> {
        let answer = Once<[Outcome]>()
        world.broker.write(
            messages, to: .name("t"), timeout: .seconds(5), spread: spread, key: key, client: .embedded, on: world.loop
        ) { answer.put($0) }
        world.tick()
        return answer
    }

    private func write(_ messages: [AddressedMessage], _ key: WriteKey, in world: TestBroker) throws -> [Outcome] {
        let answer = self.begin(messages, key, in: world)
        world.settle()
        return try #require(answer.value)
    }

    private func message(
        _ value: String, key: String? = nil, partition: Int32? = nil, at time: Int64? = nil
    ) -> AddressedMessage {
        AddressedMessage(
            Message(
                key: key.map { ByteBuffer(string: $0) }, value: ByteBuffer(string: value),
                timestamp: time.map { Timestamp(rawValue: $0) }),
            partition: partition.map { PartitionIndex(rawValue: $0) })
    }

    private func name(_ name: UInt64, content: UInt64 = 1) -> WriteKey { WriteKey(name: name, content: content) }

    @Test("one sent twice is written once and answered the same, also while the first is on its way")
    func twice() throws {
        let world = try TestBroker()
        try world.create("t", partitions: 8)
        let messages = [self.message("a"), self.message("b")]
        let first = self.begin(messages, self.name(77), in: world)
        let again = self.begin(messages, self.name(77), spread: 3, in: world)
        #expect(first.value == nil && again.value == nil)
        world.settle()
        let places = try #require(first.value).map { try $0.get() }
        let repeated = try #require(again.value).map { try $0.get() }
        #expect(places.map(\.isReplayed) == [false, false] && repeated.map(\.isReplayed) == [true, true])
        #expect(places.map(\.partition.rawValue) == [5, 5] && repeated.map(\.partition.rawValue) == [5, 5])
        #expect(places.map(\.offset.rawValue) == [0, 1] && repeated.map(\.offset.rawValue) == [0, 1])
        #expect(places.map(\.timestamp) == repeated.map(\.timestamp))
        world.passSeconds(3600)
        let late = try self.write(messages, self.name(77), in: world).map { try $0.get() }
        #expect(late.map(\.isReplayed) == [true, true] && late.map(\.timestamp) == places.map(\.timestamp))
        #expect(try world.values("t", partition: 5) == ["a", "b"])
    }

    @Test("another write with the same key is refused, and writes nothing")
    func reused() throws {
        let world = try TestBroker()
        try world.create("t")
        #expect(try self.write([self.message("a")], self.name(1, content: 1), in: world)[0].get().offset == .zero)
        for content in [0, 2, 1 << 31, 1 << 45, 1 | 1 << 40] as [UInt64] {
            #expect(
                try self.write([self.message("b")], self.name(1, content: content), in: world)
                    == [.failure(.keyReused)])
        }
        #expect(try self.write([self.message("b")], self.name(2), in: world)[0].get().offset.rawValue == 1)
        #expect(try world.values("t") == ["a", "b"])
    }

    @Test("a crash between the two does not make it two, nor does a clean stop", arguments: [false, true])
    func restart(isClean: Bool) throws {
        let (disk, store) = (SimulatedDisk(), FakeCoordinatorStore())
        let before = try TestBroker(disk: disk, store: store)
        try before.create("t", partitions: 4)
        let messages = [self.message("a", at: 5), self.message("b")]
        let first = try self.write(messages, self.name(9), in: before).map { try $0.get() }
        if isClean { #expect(try before.close()) } else { disk.crash(seed: 1) }
        let after = try TestBroker(disk: disk, store: store, incarnation: 2, wasClean: isClean)
        let again = try self.write(messages, self.name(9), in: after).map { try $0.get() }
        #expect(again.map(\.isReplayed) == [true, true])
        #expect(again.map(\.offset) == first.map(\.offset) && again.map(\.partition) == first.map(\.partition))
        // The second record's time was the first write's, and its batch begins with another.
        #expect(again.map(\.timestamp) == [Timestamp(rawValue: 5), .none])
        #expect(try after.values("t", partition: first[0].partition.rawValue) == ["a", "b"])
    }

    @Test("of a write that can not be written whole nothing is written")
    func whole() throws {
        let world = try TestBroker()
        try world.create("t", partitions: 2, ["max.message.bytes": "1000"])
        let large = String(repeating: "x", count: 700)
        let unknown = try self.write(
            [self.message("a", partition: 0), self.message("b", partition: 2)], self.name(1), in: world)
        #expect(unknown == [.failure(.unknownTopicOrPartition), .failure(.unknownTopicOrPartition)])
        let two = [
            self.message(large, partition: 0), self.message(large, partition: 0), self.message("c", partition: 1),
        ]
        for outcome in try self.write(two, self.name(2), in: world) {
            guard case .failure(.batchTooLarge) = outcome else {
                Issue.record("\(outcome)")
                continue
            }
        }
        let apart = [self.message(large, partition: 0), self.message(large, partition: 1)]
        for isReplayed in [false, true] {
            let places = try self.write(apart, self.name(3), in: world).map { try $0.get() }
            #expect(places.map(\.offset.rawValue) == [0, 0] && places.allSatisfy { $0.isReplayed == isReplayed })
        }
    }

    @Test("a full partition refuses new keys, says for how long, and knows the old ones")
    func full() throws {
        let world = try TestBroker()
        try world.create("t")
        for number in 0..<UInt64(Limits.keyedWritesPerPartitionMax) {
            _ = self.begin([self.message("x")], self.name(number), in: world)
        }
        world.settle()
        #expect(
            try self.write([self.message("y")], self.name(1 << 40), in: world)
                == [.failure(.keysFull(Limits.keyedWriteWindowMin))])
        #expect(try self.write([self.message("x")], self.name(0), in: world)[0].get().isReplayed)
        // Who writes without is not touched, nor is an idempotent producer.
        #expect(try world.produce("t", Batch.of(["p"], producer: (5, 0, 0))).error == nil)
        world.passSeconds(61)
        #expect(try self.write([self.message("y")], self.name(1 << 40), in: world)[0].get().isReplayed == false)
    }

    @Test("nobody else's producer may have an id that is made of a key, and none is given away")
    func reserved() throws {
        let world = try TestBroker()
        try world.create("t")
        let key = self.name(4)
        #expect(try self.write([self.message("a")], key, in: world)[0].get().offset == .zero)
        for id in [key.producerID, Limits.keyedProducerIDFirst, .max] {
            for sequence in [key.baseSequence, key.baseSequence + 1, 0] {
                let batch = Batch.of(["z"], producer: (id, key.producerEpoch, sequence))
                guard case .invalidRecord = try world.produce("t", batch).error else {
                    Issue.record("a client's batch with \(id)")
                    continue
                }
            }
        }
        #expect(try world.produce("t", Batch.of(["b"], producer: (Limits.keyedProducerIDFirst - 1, 0, 0))).error == nil)
        let answer = Once<[Result<[ProducerDescription], BrokerError>]>()
        let place = PartitionReference(topic: .name("t"), partition: PartitionIndex(rawValue: 0))
        world.broker.describeProducers([place], client: .embedded, on: world.loop) { answer.put($0) }
        world.settle()
        #expect(try #require(answer.value?.first).get().map(\.producerID) == [Limits.keyedProducerIDFirst - 1])
    }
}
