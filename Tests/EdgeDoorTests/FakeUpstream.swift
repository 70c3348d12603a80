import ApusAccess
import ApusBroker
import ApusCore
import KafkaWire
import NIOCore
import NIOEmbedded

@testable import EdgeDoor

/// Records in memory behind the endpoint server, answered when the test says so: what a broker elsewhere is, with its
/// delays and its absences. One thread; every answer comes on the loop that asked.
///
/// Unchecked because: a test and its embedded loops are one thread.
final class FakeUpstream: EdgeUpstream, @unchecked Sendable {
    struct Log {
        var topic: EdgeTopic
        var partitions: [[(key: ByteBuffer?, value: ByteBuffer?)]]
    }

    /// Unchecked because: as its owner.
    final class Ticket: EdgeTicket, @unchecked Sendable {
        var isCancelled = false
        func cancel() { self.isCancelled = true }
    }

    private struct Waiting {
        let entries: [FetchEntry]
        let ticket: Ticket
        let then: @Sendable ([FetchResult]) -> Void
    }

    private var logs: [String: Log] = [:]
    private var waiting: [Waiting] = []
    private var held: [() -> Void] = []
    private var lastID: UInt64 = 0
    private(set) var topicsVersion: Int64 = 0
    /// Answers wait for ``answerAll()``.
    var isSlow = false
    /// What everything is answered with.
    var failure: BrokerError?
    private(set) var topicQuestions = 0
    private(set) var fetches = 0

    var parkedCount: Int { self.waiting.filter { !$0.ticket.isCancelled }.count }

    // MARK: The world

    func make(_ name: String, partitions: Int = 1) {
        self.lastID += 1
        let topic = EdgeTopic(id: TopicID(high: 0, low: self.lastID), name: name, partitionCount: partitions)
        self.logs[name] = Log(topic: topic, partitions: Array(repeating: [], count: partitions))
        self.topicsVersion += 1
    }

    func grow(_ name: String, to partitions: Int) {
        self.logs[name]?.topic.partitionCount = partitions
        while let count = self.logs[name]?.partitions.count, count < partitions {
            self.logs[name]?.partitions.append([])
        }
        self.topicsVersion += 1
    }

    func remove(_ name: String) {
        self.logs[name] = nil
        self.topicsVersion += 1
        self.wake()
    }

    func append(_ name: String, _ values: [String], partition: Int = 0) {
        self.logs[name]?.partitions[partition] += values.map { (nil, ByteBuffer(string: $0)) }
        self.wake()
    }

    func answerAll() {
        let held = self.held
        self.held = []
        for answer in held { answer() }
    }

    /// What waits is answered with what there is, or with the failure.
    func wake() {
        let waiting = self.waiting
        self.waiting = []
        for one in waiting where !one.ticket.isCancelled {
            let results = one.entries.map { self.result(of: $0) }
            if self.failure == nil, results.allSatisfy({ $0.error == nil && $0.batches.isEmpty }) {
                self.waiting.append(one)
            } else {
                one.then(results)
            }
        }
    }

    private func answer(_ work: @escaping () -> Void) { if self.isSlow { self.held.append(work) } else { work() } }

    private func log(_ reference: TopicReference) -> Log? {
        switch reference {
        case .name(let name): self.logs[name]
        case .id(let id): self.logs.values.first { $0.topic.id == id }
        }
    }

    private func result(of entry: FetchEntry) -> FetchResult {
        if let failure = self.failure { return FetchResult(error: failure) }
        guard let log = self.log(entry.topic), log.topic.contains(entry.partition) else {
            return FetchResult(error: .unknownTopicID)
        }
        let records = log.partitions[Int(entry.partition.rawValue)]
        let start = Int(entry.offset.rawValue)
        guard start <= records.count else {
            return FetchResult(
                error: .offsetOutOfRange(logStart: .zero, logEnd: Offset(rawValue: Int64(records.count))))
        }
        guard start < records.count else { return FetchResult() }
        var builder = RecordBatchBuilder(baseOffset: entry.offset.rawValue, byteCountHint: 256)
        for record in records[start...] {
            builder.append(key: record.key, value: record.value, headers: [], timestamp: 1)
        }
        return FetchResult(batches: [builder.finish()])
    }

    // MARK: EdgeUpstream

    func topic(named name: String, on loop: any EventLoop, then: @escaping (Result<EdgeTopic?, BrokerError>) -> Void) {
        self.topicQuestions += 1
        self.answer { [self] in then(self.failure.map { .failure($0) } ?? .success(self.logs[name]?.topic)) }
    }

    func topic(_ id: TopicID) -> EdgeTopic? { self.log(.id(id))?.topic }

    func create(
        _ topic: TopicSpecification, client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable (Result<EdgeTopic, BrokerError>) -> Void
    ) {
        self.answer { [self] in
            guard self.logs[topic.name] == nil else { return then(.failure(.topicExists("it is there"))) }
            self.make(topic.name, partitions: max(1, Int(topic.partitions)))
            then(self.logs[topic.name].map { .success($0.topic) } ?? .failure(.timedOut))
        }
    }

    func deleteTopic(
        _ name: String, client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable (Result<Void, BrokerError>) -> Void
    ) {
        self.answer { [self] in
            self.remove(name)
            then(.success(()))
        }
    }

    func listOffsets(
        _ queries: [OffsetQuery], client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable ([Result<OffsetAnswer, BrokerError>]) -> Void
    ) {
        self.answer { [self] in
            then(
                queries.map { query in
                    if let failure = self.failure { return .failure(failure) }
                    guard let log = self.log(query.topic), log.topic.contains(query.partition) else {
                        return .failure(.unknownTopicOrPartition)
                    }
                    let end = Int64(log.partitions[Int(query.partition.rawValue)].count)
                    let offset = query.position == .latest ? Offset(rawValue: end) : .zero
                    return .success(OffsetAnswer(offset: offset, timestamp: .none, leaderEpoch: .none))
                })
        }
    }

    func fetch(
        _ entries: [FetchEntry], limits: FetchLimits, client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable ([FetchResult]) -> Void
    ) -> any EdgeTicket {
        self.fetches += 1
        let ticket = Ticket()
        self.answer { [self] in
            guard !ticket.isCancelled else { return }
            let results = entries.map { self.result(of: $0) }
            if limits.waitMax > .zero, results.allSatisfy({ $0.error == nil && $0.batches.isEmpty }) {
                self.waiting.append(Waiting(entries: entries, ticket: ticket, then: then))
            } else {
                then(results)
            }
        }
        return ticket
    }

    func write(
        _ message: AddressedMessage, to topic: String, timeout: Duration, spread: UInt32, client: ClientContext,
        on loop: any EventLoop, then: @escaping @Sendable (Result<WrittenPlace, BrokerError>) -> Void
    ) {
        self.answer { [self] in
            if let failure = self.failure { return then(.failure(failure)) }
            guard let log = self.logs[topic] else { return then(.failure(.unknownTopicOrPartition)) }
            let partition = Int(message.partition?.rawValue ?? 0)
            guard log.partitions.indices.contains(partition) else { return then(.failure(.unknownTopicOrPartition)) }
            let offset = Offset(rawValue: Int64(log.partitions[partition].count))
            self.logs[topic]?.partitions[partition].append((message.message.key, message.message.value))
            then(
                .success(
                    WrittenPlace(
                        partition: PartitionIndex(rawValue: Int32(partition)), offset: offset,
                        timestamp: Timestamp(rawValue: 1))))
            self.wake()
        }
    }

    func holds(key id: String) -> Bool { true }

    func client(_ principal: Principal, address: String, channels: ChannelGrants?) -> ClientContext {
        ClientContext(principal: principal, address: address)
    }

    private(set) var rightsVersion: Int64 = 0

    /// From now on nobody may do anything.
    func forbidEverything() { self.rightsVersion += 1 }

    func renew(_ client: inout ClientContext) {
        guard self.rightsVersion > 0 else { return }
        let version = StoreRevision(rawValue: self.rightsVersion)
        client.access = AclSet(version: version, acls: [], superUsers: []).view(of: client.principal, from: nil)
    }

    func meter(of client: ClientContext) -> QuotaMeter? { nil }
}
