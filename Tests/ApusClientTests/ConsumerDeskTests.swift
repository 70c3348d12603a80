import ApusCore
import KafkaWire
import NIOCore
import Testing

@testable import ApusClient

@Suite("What a member has in hand, and what it has processed") struct ConsumerDeskTests {
    private let desk = ConsumerDesk()
    private let place = NamedPartition("t", PartitionIndex(rawValue: 0))

    private func session() -> ConsumerSession {
        ConsumerSession(FakeCluster().client(), mailbox: ReaderMailbox(bytesMax: 1000), engines: [])
    }

    private func batch(at offset: Int64) throws -> ReaderBatch {
        var builder = RecordBatchBuilder(baseOffset: offset, leaderEpoch: 3)
        builder.append(key: nil, value: ByteBuffer(string: "x"), timestamp: 1)
        var bytes = builder.finish()
        let batch = try #require(try RecordBatch.read(from: &bytes))
        return ReaderBatch(
            topic: "t", partition: self.place.partition, highWatermark: .zero, from: .zero, below: nil, batch: batch,
            verifiesChecksum: true, decompressedBytesMax: 1000)
    }

    private func isSession(_ next: ConsumerDesk.Next) -> Bool {
        if case .session = next { return true }
        return false
    }

    @Test("a batch is processed when the next is asked for, not when it is handed out")
    func processed() throws {
        let session = self.session()
        self.desk.opened(session)
        #expect(self.isSession(self.desk.next()))
        #expect(self.desk.takes(try self.batch(at: 7), of: session))
        #expect(self.desk.takeProcessed().isEmpty && self.desk.busy() != nil)
        _ = self.desk.next()
        #expect(self.desk.busy() == nil)
        let position = GroupPosition(Offset(rawValue: 8), leaderEpoch: Epoch(rawValue: 3))
        #expect(self.desk.takeProcessed() == [self.place: position])
        #expect(self.desk.takeProcessed().isEmpty)
    }

    @Test("whoever says so has processed the batch in hand, too")
    func all() throws {
        let session = self.session()
        self.desk.opened(session)
        #expect(self.desk.takes(try self.batch(at: 7), of: session))
        #expect(self.desk.takeAll()[self.place]?.offset == Offset(rawValue: 8))
    }

    @Test("a batch of partitions that have gone is not handed out")
    func gone() throws {
        let session = self.session()
        self.desk.opened(session)
        #expect(self.desk.close() === session)
        #expect(!self.desk.takes(try self.batch(at: 7), of: session))
        #expect(!self.isSession(self.desk.next()) && self.desk.close() == nil)
    }

    @Test("what could not be committed comes again, unless more was processed since")
    func putBack() throws {
        let session = self.session()
        self.desk.opened(session)
        #expect(self.desk.takes(try self.batch(at: 7), of: session))
        let other = NamedPartition("t", PartitionIndex(rawValue: 1))
        _ = self.desk.next()
        self.desk.putBack([self.place: GroupPosition(.zero), other: GroupPosition(.zero)])
        let processed = self.desk.takeProcessed()
        #expect(processed[self.place]?.offset == Offset(rawValue: 8) && processed[other]?.offset == .zero)
    }

    @Test("of what could not be committed only what is still ours, and beyond where the group is, comes again")
    func sharedOutAnew() {
        func place(_ index: Int32) -> NamedPartition { NamedPartition("t", PartitionIndex(rawValue: index)) }
        func position(_ offset: Int64) -> GroupPosition { GroupPosition(Offset(rawValue: offset)) }
        // 0 has gone to somebody else, who may be anywhere; 1 was elsewhere meanwhile and is back, further on.
        let processed = [8, 8, 8, 8, 8].enumerated().map { (place(Int32($0)), position($1)) }
        self.desk.putBack(Dictionary(uniqueKeysWithValues: processed))
        let kept = self.desk.keepProcessed(
            in: [place(1), place(2), place(3), place(4), place(5)],
            beyond: [place(0): position(3), place(1): position(50), place(2): position(8), place(3): position(7)])
        #expect(kept == [place(3): position(8), place(4): position(8)])
        #expect(self.desk.takeProcessed() == kept)
    }

    @Test("the end is told to whoever waits, and stays")
    func end() async throws {
        guard case .wait(let waiter) = self.desk.next() else {
            Issue.record("there is nothing to read yet")
            return
        }
        self.desk.end(.failure(ApusError(.refused, "gone")))
        self.desk.end(.success(()))
        try await waiter.value()
        guard case .ended(.failure) = self.desk.next() else {
            Issue.record("the first end counts")
            return
        }
    }
}
