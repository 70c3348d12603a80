import ApusCore
import KafkaWire
import NIOCore
import Synchronization
import Testing

@testable import ApusClient

@Suite("A producer against a broker that fails")
struct ProducerEngineTests {
    /// A producer of topic `t` that has learned its partitions.
    private func producer(_ cluster: FakeCluster, _ options: ProducerOptions = ProducerOptions(topic: "t")) throws
        -> ProducerEngine
    {
        let engine = ProducerEngine(core: cluster.client(), options: options)
        engine.start()
        var learned = false
        engine.learn("t", by: engine.now.advanced(by: .seconds(60))) { result in
            if case .success = result { learned = true }
        }
        try cluster.run(times: 10)
        #expect(learned)
        return engine
    }

    @discardableResult
    private func send(_ engine: ProducerEngine, _ text: String, partition: Int32? = nil) throws
        -> Reply<DeliveryReceipt>?
    {
        let record = ProducerRecord(
            ByteBuffer(string: text), partition: partition.map(PartitionIndex.init(rawValue:)))
        let answer = try engine.state.withLock { state throws(ApusError) in
            try state.append(record, at: engine.now, wall: Timestamp(rawValue: 5))
        }
        guard case .taken(let wakes) = answer else {
            Issue.record("not taken: \(answer)")
            return nil
        }
        if wakes { engine.pump() }
        return nil
    }

    private func statistics(_ engine: ProducerEngine) -> ProducerStatistics {
        engine.state.withLock { $0.statistics }
    }

    @Test("records reach the log in order, in batches, and every byte of the buffer comes back")
    func delivers() throws {
        let cluster = FakeCluster()
        let engine = try self.producer(cluster)
        for number in 0..<500 { try self.send(engine, "\(number)") }
        try cluster.run()
        #expect(cluster.logs[0].values == (0..<500).map { "\($0)" })
        #expect((cluster.requests[.produce] ?? 0) < 20)
        #expect(self.statistics(engine).recordsDelivered == 500)
        #expect(engine.state.withLock { $0.accumulator.bufferedBytes } == 0)
        #expect(cluster.versions[.produce] == 13)
    }

    @Test("a batch that was written before the connection broke is not written again")
    func breaksAfter() throws {
        let cluster = FakeCluster()
        let engine = try self.producer(cluster)
        let breaks = Mutex(0)
        cluster.onProduce = { _ in
            breaks.withLock { count in
                count += 1
                return count % 2 == 1 ? .breakAfter : .serve
            }
        }
        for number in 0..<10 {
            try self.send(engine, "\(number)")
            try cluster.run(times: 20)
        }
        #expect(cluster.logs[0].values == (0..<10).map { "\($0)" })
        #expect(self.statistics(engine).retries >= 5)
        #expect(cluster.connects > 5)
    }

    @Test("a broker that can not be reached for a while costs time only")
    func unreachable() throws {
        let cluster = FakeCluster()
        let engine = try self.producer(cluster)
        cluster.isReachable = false
        cluster.breakAll()
        for number in 0..<3 { try self.send(engine, "\(number)") }
        try cluster.run(for: .seconds(1), times: 20)
        #expect(cluster.logs[0].values.isEmpty)
        cluster.isReachable = true
        try cluster.run(for: .milliseconds(200), times: 50)
        #expect(cluster.logs[0].values == ["0", "1", "2"])
    }

    @Test("what can not be delivered in time fails, and gives its bytes back")
    func givesUp() throws {
        let cluster = FakeCluster()
        var options = ProducerOptions(topic: "t")
        options.deliveryTimeout = .seconds(10)
        let outcomes = Mutex<[String]>([])
        options.onDelivery = { delivery in
            if case .failure(let error) = delivery.outcome { outcomes.withLock { $0.append("\(error.code)") } }
        }
        let engine = try self.producer(cluster, options)
        cluster.isReachable = false
        cluster.breakAll()
        try self.send(engine, "a")
        try cluster.run(for: .seconds(1), times: 15)
        #expect(outcomes.withLock { $0 } == ["timed out"])
        #expect(engine.state.withLock { $0.accumulator.bufferedBytes } == 0)
        #expect(engine.state.withLock { $0.takeFailure() }?.code == .timedOut)
    }

    @Test("a topic that takes smaller batches gets smaller ones: nothing is lost, and soon nothing is refused")
    func splits() throws {
        let cluster = FakeCluster()
        cluster.batchBytesMax = 400
        let failure = Mutex<ApusError?>(nil)
        var options = ProducerOptions(topic: "t")
        options.onDelivery = { delivery in
            if case .failure(let error) = delivery.outcome { failure.withLock { $0 = error } }
        }
        let engine = try self.producer(cluster, options)
        for number in 0..<200 { try self.send(engine, "\(number)") }
        try cluster.run()
        #expect(cluster.logs[0].values == (0..<200).map { "\($0)" })
        #expect(self.statistics(engine).recordsDelivered == 200)
        #expect(engine.state.withLock { $0.accumulator.bufferedBytes } == 0)
        #expect(engine.state.withLock { !$0.waitForFlush(Waiter()) }, "a flush would wait for ever")
        let requests = cluster.requests[.produce] ?? 0
        for number in 200..<205 { try self.send(engine, "\(number)") }
        try cluster.run()
        #expect(cluster.requests[.produce] == requests + 1)

        try self.send(engine, String(repeating: "x", count: 500))
        try cluster.run()
        let error = try #require(failure.withLock { $0 })
        #expect(error.code == .recordTooLarge && error.kafkaCode == .messageTooLarge && error.topic == "t")
        #expect(error.message.contains("a record of 500 bytes"))
        #expect(error.message.contains("max.message.bytes is 400"))
        #expect(error.description.contains("MESSAGE_TOO_LARGE, code 10, from broker 1 at broker:9092"))
        try self.send(engine, "after")
        try cluster.run()
        #expect(cluster.logs[0].values.last == "after")
    }

    @Test("without acknowledgment a record is delivered when it is written to the socket")
    func unacknowledged() throws {
        let cluster = FakeCluster()
        let engine = try self.producer(cluster, ProducerOptions(topic: "t", acknowledgment: .none))
        try self.send(engine, "a")
        try cluster.run(times: 5)
        #expect(cluster.logs[0].values == ["a"])
        #expect(self.statistics(engine).recordsDelivered == 1)
        #expect(cluster.requests[.initProducerId] == nil)
    }

    @Test("an old broker is spoken to in its own versions")
    func oldBroker() throws {
        let cluster = FakeCluster()
        cluster.apis = [
            .apiVersions: 0...0, .metadata: 0...1, .produce: 3...3, .initProducerId: 0...0,
        ]
        let engine = try self.producer(cluster)
        try self.send(engine, "a")
        try cluster.run(times: 10)
        #expect(cluster.logs[0].values == ["a"])
        #expect(cluster.versions[.apiVersions] == 0 && cluster.versions[.produce] == 3)
    }

    @Test("closing the client fails what is not delivered")
    func closes() throws {
        let cluster = FakeCluster()
        let engine = try self.producer(cluster)
        cluster.isReachable = false
        cluster.breakAll()
        try self.send(engine, "a")
        engine.core.close()
        #expect(self.statistics(engine).recordsFailed == 1)
        #expect(throws: ApusError.self) {
            try engine.state.withLock { state throws(ApusError) in
                try state.append(ProducerRecord(ByteBuffer()), at: engine.now, wall: .none)
            }
        }
    }

    @Test(
        "refusals and broken connections in any order lose nothing, repeat nothing and keep the order",
        arguments: 0..<100 as Range<UInt64>)
    func storms(seed: UInt64) throws {
        let cluster = FakeCluster(partitions: 3)
        var options = ProducerOptions(topic: "t", linger: .milliseconds(1))
        options.batchBytesMax = .bytes(300)
        options.deliveryTimeout = .seconds(100_000)
        cluster.batchBytesMax = seed % 2 == 0 ? 200 : .max
        let engine = try self.producer(cluster, options)
        let chance = SeededRandomness(seed: seed)
        let isCalm = Mutex(false)
        cluster.onProduce = { _ in
            guard !isCalm.withLock({ $0 }) else { return .serve }
            switch chance.next() % 8 {
            case 0: return .breakBefore
            case 1: return .breakAfter
            case 2: return .refuse(.notLeaderOrFollower)
            case 3: return .refuse(.notEnoughReplicas)
            default: return .serve
            }
        }
        var sent: [[String]] = [[], [], []]
        for number in 0..<300 {
            let partition = Int(chance.next() % 3)
            sent[partition].append("\(number)")
            try self.send(engine, "\(number)", partition: Int32(partition))
            if chance.next() % 8 == 0 { try cluster.run(for: .milliseconds(5), times: 3) }
        }
        isCalm.withLock { $0 = true }
        try cluster.run(for: .milliseconds(300), times: 60)
        #expect(cluster.logs.map(\.values) == sent)
        #expect(self.statistics(engine).recordsDelivered == 300)
        #expect(engine.state.withLock { $0.accumulator.bufferedBytes } == 0)
    }
}
