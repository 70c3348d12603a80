import ApusCore
import KafkaWire
import NIOCore
import Testing

@testable import ApusClient

/// Batches as a broker stores them.
private enum Stored {
    static func batch(
        at offset: Int64, _ values: [String], producer: Int64 = -1, isTransactional: Bool = false,
        isControl: Bool = false
    ) -> ByteBuffer {
        var builder = RecordBatchBuilder(
            baseOffset: offset, leaderEpoch: 0, producerID: producer, producerEpoch: producer < 0 ? -1 : 0,
            baseSequence: producer < 0 ? -1 : 0, isTransactional: isTransactional, isControl: isControl)
        for value in values { builder.append(key: nil, value: ByteBuffer(string: value), timestamp: 1) }
        return builder.finish()
    }

    static func join(_ batches: [ByteBuffer]) -> ByteBuffer {
        var all = ByteBuffer()
        for batch in batches { all.writeImmutableBuffer(batch) }
        return all
    }
}

@Suite("Where a reader is in a partition")
struct ReaderPositionTests {
    private let partition = PartitionIndex(rawValue: 0)

    private func values(_ taken: [ReaderPosition.Taken]) throws -> [String] {
        try taken.flatMap { one in
            let batch = ReaderBatch(
                topic: "t", partition: self.partition, highWatermark: .zero, from: one.from, below: one.below,
                batch: one.batch, verifiesChecksum: true, decompressedBytesMax: 1 << 20)
            return try batch.records().map { String(buffer: $0.value ?? ByteBuffer()) }
        }
    }

    @Test("records before the asked offset, in the batch that holds it, are not the reader's")
    func middle() throws {
        var position = ReaderPosition(self.partition, from: Offset(rawValue: 11), until: nil)
        let bytes = Stored.join([
            Stored.batch(at: 5, ["old"]), Stored.batch(at: 10, ["a", "b", "c"]), Stored.batch(at: 13, ["d"]),
        ])
        let taken = try position.received(bytes, highWatermark: Offset(rawValue: 20))
        #expect(try self.values(taken) == ["b", "c", "d"])
        #expect(position.next == Offset(rawValue: 14))
        #expect(position.highWatermark == Offset(rawValue: 20))
    }

    @Test("reading stops before the asked end, also in the middle of a batch")
    func end() throws {
        var position = ReaderPosition(self.partition, from: .zero, until: Offset(rawValue: 2))
        let bytes = Stored.join([Stored.batch(at: 0, ["a", "b", "c"]), Stored.batch(at: 3, ["d"])])
        let taken = try position.received(bytes, highWatermark: .zero)
        #expect(try self.values(taken) == ["a", "b"])
        #expect(position.isDone)
    }

    @Test("an end that lies in a gap is an end")
    func endInGap() throws {
        var position = ReaderPosition(self.partition, from: .zero, until: Offset(rawValue: 5))
        let bytes = Stored.join([Stored.batch(at: 0, ["a"]), Stored.batch(at: 9, ["b"])])
        #expect(try self.values(position.received(bytes, highWatermark: .zero)) == ["a"])
        #expect(position.isDone)
    }

    @Test("the part of a batch at the end of an answer is fetched again")
    func partial() throws {
        var position = ReaderPosition(self.partition, from: .zero, until: nil)
        var bytes = Stored.join([Stored.batch(at: 0, ["a"]), Stored.batch(at: 1, ["b"])])
        bytes.moveWriterIndex(to: bytes.writerIndex - 3)
        #expect(try self.values(position.received(bytes, highWatermark: .zero)) == ["a"])
        #expect(position.next == Offset(rawValue: 1))
    }

    @Test("an answer with bytes and not one batch is an error, not an endless loop")
    func noProgress() {
        var position = ReaderPosition(self.partition, from: .zero, until: nil)
        #expect(throws: WireError.self) {
            try position.received(ByteBuffer(repeating: 0, count: 20), highWatermark: .zero)
        }
    }

    @Test("markers are passed over, and so are the records of aborted transactions")
    func aborted() throws {
        var position = ReaderPosition(self.partition, from: .zero, until: nil)
        let bytes = Stored.join([
            Stored.batch(at: 0, ["gone"], producer: 7, isTransactional: true),
            Stored.batch(at: 1, ["kept"], producer: 8, isTransactional: true),
            Stored.batch(at: 2, ["abort"], producer: 7, isTransactional: true, isControl: true),
            Stored.batch(at: 3, ["next"], producer: 7, isTransactional: true),
            Stored.batch(at: 4, ["commit"], producer: 7, isTransactional: true, isControl: true),
        ])
        var transaction = FetchResponse.AbortedTransaction()
        transaction.producerID = 7
        let taken = try position.received(bytes, highWatermark: .zero, aborted: [transaction])
        #expect(try self.values(taken) == ["kept", "next"])
        #expect(position.next == Offset(rawValue: 5))
    }

    @Test("a flipped bit is found when the records are decoded, and the error says where")
    func corrupt() throws {
        var position = ReaderPosition(self.partition, from: .zero, until: nil)
        var bytes = Stored.batch(at: 3, ["abc"])
        let index = bytes.writerIndex - 3
        bytes.setInteger((bytes.getInteger(at: index, as: UInt8.self) ?? 0) ^ 1, at: index)
        let taken = try position.received(bytes, highWatermark: .zero)
        do {
            _ = try self.values(taken)
            Issue.record("it was served")
        } catch let error as ApusError {
            #expect(error.code == .corrupt && error.message.contains("t/0, batch at 3"))
        }
    }
}

@Suite("A reader against a broker that fails")
struct ReaderEngineTests {
    private struct Reading {
        let cluster: FakeCluster
        let engine: ReaderEngine
        var values: [String] = []
        var end: Result<Void, ApusError>?

        mutating func take() throws {
            while self.end == nil {
                switch self.engine.mailbox.take() {
                case .batch(let batch, let resumes):
                    self.values += try batch.records().map { String(buffer: $0.value ?? ByteBuffer()) }
                    if resumes { self.engine.pump() }
                case .ended(let result): self.end = result
                case .wait: return
                }
            }
        }
    }

    private func reading(
        _ cluster: FakeCluster, from start: Int64 = 0, until end: Int64? = nil,
        _ configure: (inout ReaderOptions) -> Void = { _ in }
    ) throws -> Reading {
        let core = cluster.client()
        var isKnown = false
        core.learn(["t"], by: core.now.advanced(by: .seconds(10))) { _ in isKnown = true }
        try cluster.run(times: 5)
        #expect(isKnown)
        var options = ReaderOptions()
        configure(&options)
        let topic = try #require(core.metadata.topics["t"])
        let positions = topic.partitions.map {
            ReaderPosition($0.index, from: Offset(rawValue: start), until: end.map(Offset.init(rawValue:)))
        }
        let engine = ReaderEngine(
            core: core, topic: topic, options: options, number: 1, positions: positions,
            mailbox: ReaderMailbox(bytesMax: options.bufferedBytesMax.rawValue))
        engine.start()
        return Reading(cluster: cluster, engine: engine)
    }

    private func cluster(_ batches: Int) throws -> FakeCluster {
        let cluster = FakeCluster()
        for number in 0..<batches { _ = try cluster.logs[0].append(Stored.batch(at: 0, ["\(number)"])) }
        return cluster
    }

    @Test("it reads all there is and ends at the asked end")
    func reads() throws {
        var reading = try self.reading(try self.cluster(50), from: 3, until: 40)
        try reading.cluster.run(times: 5)
        try reading.take()
        #expect(reading.values == (3..<40).map { "\($0)" })
        #expect(throws: Never.self) { try reading.end?.get() }
        #expect(reading.end != nil)
    }

    @Test("an ended connection, a moved leader and an overloaded broker only cost time")
    func retries() throws {
        var reading = try self.reading(try self.cluster(5), until: 5)
        reading.cluster.fetchErrors = [.kafkaStorageError, .notLeaderOrFollower, .unknownLeaderEpoch]
        try reading.cluster.run(times: 3)
        reading.cluster.breakAll()
        try reading.cluster.run(for: .milliseconds(200), times: 50)
        try reading.take()
        #expect(reading.values == ["0", "1", "2", "3", "4"])
    }

    @Test("a slow task stops the fetching, and its first steps set it off again")
    func backPressure() throws {
        var reading = try self.reading(try self.cluster(100), until: 100) { options in
            options.partitionBytesMax = .bytes(100)
            options.bufferedBytesMax = .bytes(300)
        }
        try reading.cluster.run(times: 20)
        let fetches = reading.cluster.requests[.fetch] ?? 0
        #expect(fetches < 10)
        while reading.end == nil {
            try reading.take()
            try reading.cluster.run(times: 2)
        }
        #expect(reading.values == (0..<100).map { "\($0)" })
    }

    @Test("a fetch of many partitions names, after the first, only those that moved, and survives a lost session")
    func session() throws {
        let cluster = FakeCluster(partitions: 6)
        cluster.givesSessions = true
        _ = try cluster.logs[2].append(Stored.batch(at: 0, ["a"]))
        var reading = try self.reading(cluster)
        try cluster.run(times: 1)
        #expect(cluster.fetched.first == [0, 1, 2, 3, 4, 5])
        #expect(cluster.fetched.dropFirst().first == [2])
        #expect(cluster.fetched.count > 2 && cluster.fetched.dropFirst(2).allSatisfy(\.isEmpty))
        _ = try cluster.logs[4].append(Stored.batch(at: 0, ["b"]))
        try cluster.run(times: 2)
        cluster.dropSession()
        _ = try cluster.logs[5].append(Stored.batch(at: 0, ["c"]))
        try cluster.run(times: 2)
        cluster.breakAll()
        _ = try cluster.logs[0].append(Stored.batch(at: 0, ["d"]))
        try cluster.run(for: .milliseconds(200), times: 10)
        cluster.fetchErrors = [.kafkaStorageError]
        try cluster.run(for: .milliseconds(200), times: 10)
        _ = try cluster.logs[1].append(Stored.batch(at: 0, ["e"]))
        try cluster.run(for: .milliseconds(200), times: 10)
        try reading.take()
        #expect(reading.values == ["a", "b", "c", "d", "e"])
        #expect(reading.end == nil)
    }

    @Test("an offset that is not in the log fails, or goes on where it was told to")
    func outOfRange() throws {
        var failing = try self.reading(try self.cluster(5), from: 2, until: 5)
        failing.cluster.fetchErrors = [.offsetOutOfRange]
        try failing.cluster.run(times: 10)
        try failing.take()
        #expect(throws: ApusError.self) { try failing.end?.get() }

        var again = try self.reading(try self.cluster(5), from: 2, until: 5) { $0.whenOutOfRange = .start }
        again.cluster.fetchErrors = [.offsetOutOfRange]
        try again.cluster.run(times: 10)
        try again.take()
        #expect(again.values == ["0", "1", "2", "3", "4"])
    }

    @Test("a topic that goes away ends the reading with its name")
    func deleted() throws {
        var reading = try self.reading(try self.cluster(1))
        try reading.cluster.run(times: 2)
        reading.cluster.knowsTopic = false
        reading.cluster.fetchErrors = Array(repeating: .unknownTopicID, count: 1000)
        try reading.cluster.run(for: .milliseconds(500), times: 30)
        try reading.take()
        do {
            try reading.end?.get()
            Issue.record("it goes on")
        } catch {
            #expect(error.code == .unknownTopic && error.message.contains("t is gone"))
        }
    }
}
