import ApusCore
import KafkaWire
import NIOCore
import Testing

@testable import ApusClient

@Suite("Records become batches")
struct AccumulatorTests {
    private func accumulator(
        batch: Int = 200, buffer: Int = 100_000, linger: Duration = .milliseconds(5),
        partitioner: Partitioner = .standard, seed: UInt64 = 1, partitions: Int = 1
    ) -> Accumulator {
        var accumulator = Accumulator(
            bounds: .init(
                batchBytesMax: batch, recordBytesMax: 10_000, bufferedBytesMax: buffer, linger: linger, codec: .none),
            topicDefault: "t", partitioner: partitioner, seed: seed
        )
        accumulator.learned("t", partitions: partitions)
        return accumulator
    }

    private func record(_ text: String, key: String? = nil, topic: String? = nil, partition: Int32? = nil)
        -> ProducerRecord
    {
        ProducerRecord(
            ByteBuffer(string: text), key: key.map { ByteBuffer(string: $0) }, topic: topic,
            partition: partition.map(PartitionIndex.init(rawValue:)))
    }

    private func at(_ milliseconds: Int) -> Instant {
        Instant(nanoseconds: 0).advanced(by: .milliseconds(milliseconds))
    }

    private func collect(_ accumulator: inout Accumulator, at moment: Int) -> [OpenBatch] {
        accumulator.collect(at: self.at(moment), bytesMax: .max, isFirst: true) { _ in true }.batches
    }

    @Test("a batch lingers, and the loop is told once when it has to look")
    func lingers() throws {
        var accumulator = self.accumulator()
        #expect(try accumulator.append(self.record("a"), at: self.at(0), wall: .none) == .taken(wakes: true))
        #expect(try accumulator.append(self.record("b"), at: self.at(1), wall: .none) == .taken(wakes: false))
        let early = accumulator.collect(at: self.at(1), bytesMax: .max, isFirst: true) { _ in true }
        #expect(early.batches.isEmpty && early.lingersUntil == self.at(5))
        let batches = self.collect(&accumulator, at: 5)
        #expect(batches.map(\.recordCount) == [2])
        #expect(accumulator.isEmpty)
    }

    @Test("a full batch leaves at once, and what does not fit opens the next")
    func full() throws {
        var accumulator = self.accumulator(batch: 300)
        for _ in 0..<3 {
            _ = try accumulator.append(self.record(String(repeating: "x", count: 100)), at: self.at(0), wall: .none)
        }
        let batches = self.collect(&accumulator, at: 0)
        #expect(batches.map(\.recordCount) == [1])
        #expect(self.collect(&accumulator, at: 0).map(\.recordCount) == [1])
        #expect(self.collect(&accumulator, at: 0).isEmpty)
        #expect(self.collect(&accumulator, at: 5).map(\.recordCount) == [1])
    }

    @Test("who waits for a record does not wait for the linger")
    func urgent() throws {
        var accumulator = self.accumulator()
        _ = try accumulator.append(self.record("a"), at: self.at(0), wall: .none)
        _ = self.collect(&accumulator, at: 0)
        let answer = try accumulator.append(self.record("b"), at: self.at(0), wall: .none, reply: Reply())
        #expect(answer == .taken(wakes: true))
        #expect(self.collect(&accumulator, at: 0).map(\.recordCount) == [2])
    }

    @Test("what is open leaves when hurried, and later batches linger again")
    func hurried() throws {
        var accumulator = self.accumulator()
        _ = try accumulator.append(self.record("a"), at: self.at(0), wall: .none)
        _ = self.collect(&accumulator, at: 0)
        let wakes = accumulator.hurry()
        #expect(wakes)
        #expect(self.collect(&accumulator, at: 0).count == 1)
        _ = try accumulator.append(self.record("b"), at: self.at(1), wall: .none)
        #expect(self.collect(&accumulator, at: 1).isEmpty)
    }

    @Test("a full buffer refuses until batches are done with")
    func backPressure() throws {
        var accumulator = self.accumulator(buffer: 150)
        _ = try accumulator.append(
            self.record(String(repeating: "x", count: 100)), at: self.at(0), wall: .none)
        #expect(try accumulator.append(self.record("y"), at: self.at(0), wall: .none) == .full)
        let batch = try #require(self.collect(&accumulator, at: 5).first)
        #expect(try accumulator.append(self.record("y"), at: self.at(5), wall: .none) == .full)
        accumulator.release(byteCount: batch.byteCount)
        #expect(accumulator.bufferedBytes == 0)
        #expect(try accumulator.append(self.record("y"), at: self.at(5), wall: .none) == .taken(wakes: true))
    }

    @Test("a topic that is not known, a partition that is not there and a record too large are told apart")
    func refusals() throws {
        var accumulator = self.accumulator()
        let other = try accumulator.append(self.record("a", topic: "u"), at: self.at(0), wall: .none)
        #expect(other == .unknownTopic("u"))
        var codes: [ApusError.Code] = []
        for record in [self.record("a", partition: 1), self.record(String(repeating: "x", count: 20_000))] {
            do throws(ApusError) {
                _ = try accumulator.append(record, at: self.at(0), wall: .none)
            } catch {
                codes.append(error.code)
            }
        }
        #expect(codes == [.unknownTopic, .recordTooLarge])
        #expect(accumulator.bufferedBytes == 0)
    }

    @Test("records without a key stay in one partition until its batch is closed")
    func sticky() throws {
        var accumulator = self.accumulator(batch: 400, partitions: 8)
        for _ in 0..<40 {
            _ = try accumulator.append(self.record(String(repeating: "x", count: 50)), at: self.at(0), wall: .none)
        }
        let batches = self.collect(&accumulator, at: 5)
        #expect(batches.map(\.recordCount).reduce(0, +) < 40 || batches.count > 2)
        #expect(batches.allSatisfy { $0.recordCount >= 2 })
        #expect(Set(batches.map(\.lane)).count > 2)
    }

    @Test("in turn means every partition gets one of each round")
    func roundRobin() throws {
        var accumulator = self.accumulator(partitioner: .roundRobin, partitions: 3)
        for _ in 0..<9 { _ = try accumulator.append(self.record("a", key: "k"), at: self.at(0), wall: .none) }
        #expect(self.collect(&accumulator, at: 5).map(\.recordCount) == [3, 3, 3])
    }

    @Test("batches that had to shrink grow again, a step each period, up to what the options say")
    func growsAgain() throws {
        var accumulator = self.accumulator(batch: 8000)
        accumulator.shrink(LaneID(index: 0), batchBytesMax: 2000, at: self.at(0))
        let period = Int(ClientLimits.batchGrowthPeriod.components.seconds) * 1000
        /// The largest batch that is closed for its size.
        func largest(at moment: Int) throws -> Int {
            for _ in 0..<200 {
                _ = try accumulator.append(
                    self.record(String(repeating: "x", count: 100)), at: self.at(moment),
                    wall: Timestamp(rawValue: 1))
            }
            var sizes: [Int] = []
            while case let batches = self.collect(&accumulator, at: moment), !batches.isEmpty {
                for batch in batches {
                    sizes.append(batch.byteCount)
                    accumulator.release(byteCount: batch.byteCount)
                }
            }
            return try #require(sizes.max())
        }
        #expect((1500...2000).contains(try largest(at: 1)))
        #expect((1500...2000).contains(try largest(at: period - 1)))
        #expect((3500...4000).contains(try largest(at: period)))
        #expect((3500...4000).contains(try largest(at: 2 * period - 1)))
        #expect((7500...8000).contains(try largest(at: 2 * period)))
        #expect((7500...8000).contains(try largest(at: 9 * period)))
    }

    @Test("a budget of bytes serves all lanes in turn")
    func fairness() throws {
        var accumulator = self.accumulator(partitions: 4)
        var served: [Int] = []
        for round in 0..<8 {
            for partition in 0..<4 {
                let record = self.record(String(repeating: "x", count: 90), partition: Int32(partition))
                _ = try accumulator.append(record, at: self.at(round * 10), wall: .none)
            }
            let collected = accumulator.collect(at: self.at(round * 10 + 5), bytesMax: 1, isFirst: true) { _ in true }
            #expect(collected.batches.count == 1)
            served += collected.batches.map(\.lane.index)
        }
        #expect(Set(served).count == 4)
    }

    @Test("what is too old and was never sent comes out by itself")
    func expires() throws {
        var accumulator = self.accumulator()
        _ = try accumulator.append(self.record("a"), at: self.at(0), wall: .none)
        #expect(accumulator.expire(openedBefore: self.at(0)).isEmpty)
        #expect(accumulator.expire(openedBefore: self.at(1)).map(\.recordCount) == [1])
        #expect(self.collect(&accumulator, at: 100).isEmpty)
    }

    @Test("every record comes out once, in order within its partition", arguments: 0..<50 as Range<UInt64>)
    func conserves(seed: UInt64) throws {
        var chance = SplitMix(seed: seed)
        let partitions = 1 + chance.next(below: 5)
        var accumulator = self.accumulator(batch: 200 + chance.next(below: 400), seed: seed, partitions: partitions)
        var sent: [Int: [String]] = [:]
        var received: [Int: [String]] = [:]
        func take(_ batches: [OpenBatch]) throws {
            for batch in batches {
                let bytes = ProduceBatch(batch).bytes
                var records = try RecordBatch(from: bytes).records()
                while let record = try records.next() {
                    received[batch.lane.index, default: []].append(String(buffer: record.value ?? ByteBuffer()))
                }
                accumulator.release(byteCount: batch.byteCount)
            }
        }
        for step in 0..<300 {
            if chance.next(below: 4) > 0 {
                let partition = chance.next(below: partitions)
                let text = "\(step)" + String(repeating: ".", count: chance.next(below: 60))
                let record = self.record(text, partition: Int32(partition))
                let answer = try accumulator.append(record, at: self.at(step), wall: Timestamp(rawValue: Int64(step)))
                guard case .taken = answer else { continue }
                sent[partition, default: []].append(text)
            } else {
                let open = chance.next(below: partitions)
                let collected = accumulator.collect(
                    at: self.at(step), bytesMax: 1 + chance.next(below: 1000), isFirst: true
                ) { $0.index != open }
                try take(collected.batches)
            }
        }
        while !accumulator.isEmpty { try take(self.collect(&accumulator, at: 1000)) }
        #expect(received == sent)
        #expect(accumulator.bufferedBytes == 0)
    }
}

@Suite("A flush knows when all before it is done")
struct BatchLedgerTests {
    @Test("batches done out of order count once the first is done")
    func outOfOrder() {
        var ledger = BatchLedger()
        #expect(ledger.isComplete(below: BatchNumber(rawValue: 0)))
        let moved = [2, 1].map { ledger.completed(BatchNumber(rawValue: $0)) }
        #expect(moved == [false, false])
        #expect(!ledger.isComplete(below: BatchNumber(rawValue: 1)))
        let isFirst = ledger.completed(BatchNumber(rawValue: 0))
        #expect(isFirst)
        #expect(ledger.isComplete(below: BatchNumber(rawValue: 3)))
        #expect(!ledger.isComplete(below: BatchNumber(rawValue: 4)))
    }
}
