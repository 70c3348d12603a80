import ApusCore
import ApusFakes
import NIOCore
import Testing

@testable import ApusBroker

@Suite("Single messages")
struct MessageTests {
    private func write(
        _ messages: [AddressedMessage], to topic: String = "t", spread: UInt32 = 0, in world: TestBroker
    ) throws -> [Result<WrittenPlace, BrokerError>] {
        let answer = Once<[Result<WrittenPlace, BrokerError>]>()
        world.broker.write(
            messages, to: .name(topic), timeout: .seconds(5), spread: spread, client: .embedded, on: world.loop
        ) { answer.put($0) }
        world.settle()
        return try #require(answer.value)
    }

    private func message(_ value: String, key: String? = nil, partition: Int32? = nil) -> AddressedMessage {
        AddressedMessage(
            Message(key: key.map { ByteBuffer(string: $0) }, value: ByteBuffer(string: value)),
            partition: partition.map { PartitionIndex(rawValue: $0) })
    }

    @Test("each goes to the partition of its key, the others to one, and all are told their places")
    func places() throws {
        let world = try TestBroker()
        try world.create("t", partitions: 1000)
        let places = try self.write(
            [
                self.message("a", key: "abc"), self.message("b", partition: 3), self.message("c"),
                self.message("d", key: "abc"), self.message("e"),
            ], spread: 2008, in: world
        ).map { try $0.get() }
        #expect(places.map(\.partition.rawValue) == [107, 3, 8, 107, 8])
        #expect(places.map(\.offset.rawValue) == [0, 0, 0, 1, 1])
        #expect(try world.values("t", partition: 107) == ["a", "d"])
        #expect(try world.values("t", partition: 8) == ["c", "e"])
    }

    @Test("one that can not be written leaves the others alone")
    func refused() throws {
        let world = try TestBroker()
        try world.create("t", partitions: 2, ["max.message.bytes": "1000"])
        let large = String(repeating: "x", count: 2000)
        let results = try self.write(
            [
                self.message(large), self.message("a"), self.message("b", partition: 2),
                self.message("c", partition: -1),
            ],
            in: world)
        guard case .failure(.batchTooLarge(_, let limit)) = results[0] else {
            Issue.record("\(results[0])")
            return
        }
        #expect(limit == .bytes(1000))
        #expect(try results[1].get().offset == .zero)
        #expect(results[2] == .failure(.unknownTopicOrPartition) && results[3] == .failure(.unknownTopicOrPartition))
        #expect(try self.write([self.message("a")], to: "u", in: world) == [.failure(.unknownTopicOrPartition)])
        #expect(try self.write([], in: world) == [])
    }

    @Test("what is more than a batch may hold goes in several, in order", arguments: 0..<20 as Range<UInt64>)
    func batches(seed: UInt64) throws {
        let world = try TestBroker()
        try world.create("t", partitions: 2, ["max.message.bytes": "1000"])
        var generator = SplitMix64(seed: seed)
        let messages = (0..<60).map { index in
            self.message(
                "\(index)" + String(repeating: "x", count: generator.below(600)),
                partition: Int32(generator.below(2)))
        }
        let places = try self.write(messages, in: world).map { try $0.get() }
        for partition in Int32(0)..<2 {
            let mine = zip(messages, places).filter { $0.1.partition.rawValue == partition }
            #expect(mine.map(\.1.offset.rawValue) == (0..<Int64(mine.count)).map { $0 })
            let values = mine.compactMap { $0.0.message.value.map { String(buffer: $0) } }
            #expect(try world.values("t", partition: partition) == values)
        }
    }
}
