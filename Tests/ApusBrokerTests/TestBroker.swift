import ApusCore
import ApusFakes
import KafkaWire
import Logging
import NIOCore
import NIOEmbedded
import Synchronization
import Testing

@testable import ApusBroker

/// A broker on one embedded loop over a simulated disk: nothing moves unless the test says so.
final class TestBroker {
    let loop = EmbeddedEventLoop()
    let disk: SimulatedDisk
    let queue: SimulatedDiskQueue
    let store: FakeCoordinatorStore
    let catalogue: FakeCatalogue
    let clock: SimulatedClock
    let broker: Broker

    init(
        disk: SimulatedDisk = SimulatedDisk(), store: FakeCoordinatorStore = FakeCoordinatorStore(),
        catalogue: FakeCatalogue = FakeCatalogue(), clock: SimulatedClock = SimulatedClock(), seed: UInt64 = 1,
        incarnation: Int32 = 1, wasClean: Bool = true,
        tailCache: ByteCount = .mebibytes(4), configuration: [String: String] = [:],
        logger: Logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
        change: (inout BrokerSettings) -> Void = { _ in }
    ) throws {
        self.disk = disk
        self.store = store
        self.catalogue = catalogue
        self.clock = clock
        self.queue = SimulatedDiskQueue(disk, seed: seed)
        var settings = BrokerSettings(
            identity: BrokerIdentity(clusterID: "test", brokerID: BrokerID(rawValue: 7)),
            incarnation: Epoch(rawValue: incarnation), wasCleanShutdown: wasClean, dataDirectory: "/data"
        )
        settings.tailCache = tailCache
        settings.freeBytesFloor = .kibibytes(64)
        settings.configuration = configuration
        change(&settings)
        let ports = BrokerPorts(
            disk: self.queue, store: store, catalogue: catalogue, clock: clock,
            randomness: SeededRandomness(seed: seed), logger: logger
        )
        let opened = Once<Result<Broker, BrokerError>>()
        Broker.open(settings, ports: ports, shards: [self.loop], on: self.loop) { opened.put($0) }
        self.loop.run()
        self.broker = try #require(opened.value).get()
    }

    // MARK: Time and disk

    /// Lets everything happen that can without time passing.
    func settle() {
        repeat { self.loop.run() } while self.queue.step()
        self.loop.run()
    }

    /// Lets the loop work and the disk not.
    func tick() { self.loop.run() }

    func pass(_ duration: Duration, settling: Bool = true) {
        let step = Duration.milliseconds(10)
        var left = duration
        while left > .zero {
            self.clock.advance(by: min(step, left))
            self.loop.advanceTime(by: .nanoseconds(min(step, left).wholeNanoseconds))
            if settling { self.settle() }
            left -= step
        }
    }

    /// Many seconds at once: each second's housekeeping runs, the wheel's ticks are not all looked at.
    func passSeconds(_ count: Int) {
        for _ in 0..<count {
            self.clock.advance(by: .seconds(1))
            self.loop.advanceTime(by: .seconds(1))
            self.settle()
        }
    }

    // MARK: Verbs

    @discardableResult
    func create(
        _ name: String, partitions: Int32 = 1, _ configuration: [String: String?] = [:], id: TopicID? = nil
    ) throws -> Topic {
        let answers = self.createAll([
            TopicSpecification(id: id, name: name, partitions: partitions, configuration: configuration)
        ])
        return try #require(answers.first).get()
    }

    func createAll(_ wishes: [TopicSpecification], validateOnly: Bool = false) -> [Result<Topic, BrokerError>] {
        let answer = Once<[Result<Topic, BrokerError>]>()
        self.broker.create(wishes, validateOnly: validateOnly, client: .embedded, on: self.loop) { answer.put($0) }
        self.settle()
        return answer.value ?? []
    }

    func delete(_ names: [String]) -> [Result<Topic, BrokerError>] {
        let answer = Once<[Result<Topic, BrokerError>]>()
        self.broker.deleteTopics(names.map { .name($0) }, client: .embedded, on: self.loop) { answer.put($0) }
        self.settle()
        return answer.value ?? []
    }

    /// Begins a produce; the test decides when the disk answers.
    func beginProduce(
        _ entries: [(String, Int32, ByteBuffer)], acks: Acks = .all, timeout: Duration = .seconds(30)
    ) -> Once<[ProduceResult]> {
        let answer = Once<[ProduceResult]>()
        let entries = entries.map {
            ProduceEntry(topic: .name($0.0), partition: PartitionIndex(rawValue: $0.1), records: $0.2)
        }
        self.broker.produce(entries, acks: acks, timeout: timeout, client: .embedded, on: self.loop) { answer.put($0) }
        self.tick()
        return answer
    }

    func produce(_ topic: String, _ batch: ByteBuffer, partition: Int32 = 0, acks: Acks = .all) throws -> ProduceResult
    {
        let answer = self.beginProduce([(topic, partition, batch)], acks: acks)
        self.settle()
        return try #require(answer.value?.first)
    }

    func beginFetch(
        _ places: [(String, Int32, Int64)], bytesMin: Int = 1, bytesMax: Int = 1 << 20, wait: Duration = .zero,
        change: (inout FetchEntry) -> Void = { _ in }
    ) -> (answer: Once<[FetchResult]>, ticket: FetchTicket) {
        let answer = Once<[FetchResult]>()
        let entries = places.map { place in
            var entry = FetchEntry(
                topic: .name(place.0), partition: PartitionIndex(rawValue: place.1), offset: Offset(rawValue: place.2),
                bytesMax: .mebibytes(1)
            )
            change(&entry)
            return entry
        }
        let limits = FetchLimits(bytesMin: .bytes(bytesMin), bytesMax: .bytes(bytesMax), waitMax: wait)
        let ticket = self.broker.fetch(entries, limits: limits, client: .embedded, on: self.loop) { answer.put($0) }
        self.tick()
        return (answer, ticket)
    }

    func fetch(_ topic: String, from offset: Int64, partition: Int32 = 0, bytesMax: Int = 1 << 20) throws -> FetchResult
    {
        let (answer, _) = self.beginFetch([(topic, partition, offset)], bytesMax: bytesMax)
        self.settle()
        return try #require(answer.value?.first)
    }

    /// The values of all records from an offset on.
    func values(_ topic: String, from offset: Int64 = 0, partition: Int32 = 0) throws -> [String] {
        let result = try self.fetch(topic, from: offset, partition: partition)
        #expect(result.error == nil)
        return try result.batches.flatMap { try Batch.values(in: $0, from: offset) }
    }

    func offset(_ topic: String, _ position: OffsetQuery.Position, partition: Int32 = 0) throws -> OffsetAnswer {
        let answer = Once<[Result<OffsetAnswer, BrokerError>]>()
        let query = OffsetQuery(
            topic: .name(topic), partition: PartitionIndex(rawValue: partition), position: position
        )
        self.broker.listOffsets([query], isolation: .uncommitted, client: .embedded, on: self.loop) { answer.put($0) }
        self.settle()
        return try #require(answer.value?.first).get()
    }

    func close() throws -> Bool {
        try self.closeForEnds().isClean
    }

    /// Where the logs ended.
    func closeForEnds() throws -> LogEnds {
        let answer = Once<LogEnds>()
        self.broker.close(on: self.loop) { answer.put($0) }
        self.settle()
        return try #require(answer.value)
    }
}

/// An answer that comes exactly once.
final class Once<Value: Sendable>: Sendable {
    private let state = Mutex<Value?>(nil)

    var value: Value? { self.state.withLock { $0 } }

    func put(_ value: Value) {
        self.state.withLock { state in
            if state != nil { Issue.record("answered twice") }
            state = value
        }
    }
}

/// Batches as producers make them.
enum Batch {
    static func of(
        _ values: [String], codec: CompressionCodec = .none,
        producer: (id: Int64, epoch: Int16, sequence: Int32)? = nil,
        timestamp: Int64 = 1_750_000_000_000, isTransactional: Bool = false, isControl: Bool = false
    ) -> ByteBuffer {
        var builder = RecordBatchBuilder(
            codec: codec, producerID: producer?.id ?? -1, producerEpoch: producer?.epoch ?? -1,
            baseSequence: producer?.sequence ?? -1, isTransactional: isTransactional, isControl: isControl
        )
        for value in values { builder.append(key: nil, value: ByteBuffer(string: value), timestamp: timestamp) }
        return builder.finish()
    }

    /// A batch with its header changed and its CRC made right again.
    static func forged(_ values: [String], _ change: (inout RecordBatchHeader) -> Void) throws -> ByteBuffer {
        var bytes = self.of(values)
        var header = try RecordBatchHeader(from: bytes)
        change(&header)
        header.write(to: &bytes, at: 0)
        var copy = try RecordBatchHeader(from: bytes)
        copy.crc = try RecordBatch(from: bytes).computedCRC
        copy.write(to: &bytes, at: 0)
        return bytes
    }

    static func values(in buffer: ByteBuffer, from offset: Int64 = 0) throws -> [String] {
        var buffer = buffer
        var values: [String] = []
        while let batch = try RecordBatch.read(from: &buffer) {
            try batch.verifyCRC()
            var records = try batch.records()
            while let record = try records.next() {
                guard record.offset >= offset, let value = record.value else { continue }
                values.append(String(buffer: value))
            }
        }
        return values
    }
}
