import ApusBroker
import ApusClient
import ApusCore
import DequeModule
import KafkaWire
import NIOCore

/// What is read from one broker, over the one connection to it.
///
/// **All readers that wait for records wait in one request,** which the broker keeps until one of their partitions has
/// something (KIP-74). Answers leave in their requests' order, so it would hold up everything behind it; it yields: the
/// broker answers it as soon as something is asked behind it. What it did not bring is asked for again. A reader more,
/// or one that reads on, is such a question, too: the next request has all of them in it.
///
/// Owner: the client's loop; touched there only, which is why it is unchecked.
final class BrokerLane: @unchecked Sendable {
    private struct Waiting {
        let read: UpstreamRead
        let entry: FetchEntry
        let name: TopicPartition
    }

    private let broker: BrokerID
    private let desk: UpstreamDesk
    private var parked: [TopicPartition: Waiting] = [:]
    /// There are readers that no request under way is for.
    private var isDirty = false
    private var isPumping = false
    private var polls = 0
    private var once: Deque<(UpstreamRead, [Int])> = []
    private var onceInFlight = 0

    init(_ broker: BrokerID, _ desk: UpstreamDesk) {
        self.broker = broker
        self.desk = desk
    }

    var parkedCount: Int { self.parked.count }
    /// That readers wait for.
    var topics: Set<TopicID> { Set(self.parked.keys.map(\.topic)) }

    // MARK: Readers that wait

    func park(_ read: UpstreamRead, _ topic: TopicID) {
        let entry = read.entries[0]
        let name = TopicPartition(topic: topic, partition: entry.partition)
        // The reader of a partition that was begun again: the one before is not waited for.
        self.parked[name]?.read.fail(.timedOut)
        self.parked[name] = Waiting(read: read, entry: entry, name: name)
        read.onCancel = { [weak self, weak read] in
            guard let self, let read, self.parked[name]?.read === read else { return }
            self.parked[name] = nil
        }
        self.isDirty = true
        guard !self.isPumping else { return }
        self.isPumping = true
        // Those that come in the same tick go together.
        self.desk.loop.execute { [self] in
            self.isPumping = false
            self.poll()
        }
    }

    private func poll() {
        guard !self.parked.isEmpty, self.isDirty || self.polls == 0 else { return }
        self.isDirty = false
        self.polls += 1
        let waiting = Array(self.parked.values)
        var request = FetchRequest()
        request.maxWaitMs = Int32(clamping: UpstreamLimits.pollWait.wholeMilliseconds)
        request.minBytes = 1
        let bytes = waiting.reduce(0) { min($0 + $1.entry.bytesMax.rawValue, UpstreamLimits.pollBytesMax.rawValue) }
        request.maxBytes = Int32(clamping: bytes)
        request.yields = true
        request.topics = self.topics(of: waiting.map { ($0.name, $0.entry) })
        self.desk.call(request, to: self.broker, waiting: UpstreamLimits.pollWait) { [self] result in
            self.polls -= 1
            switch result {
            case .failure(let error): self.lost(waiting, error)
            case .success(let answer): self.polled(answer, waiting)
            }
            self.endLate()
            if self.polls == 0 { self.poll() }
        }
    }

    private func lost(_ waiting: [Waiting], _ error: BrokerError) {
        for one in waiting where self.parked[one.name]?.read === one.read {
            self.parked[one.name] = nil
            self.desk.doubt(one.name.topic)
            one.read.fail(error.passes ? error : .overloaded("\(error)"))
        }
    }

    private func polled(_ answer: FetchResponse, _ waiting: [Waiting]) {
        if let error = BrokerError(answer.errorCode, nil) { return self.lost(waiting, error) }
        let asked = Dictionary(waiting.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        for topic in answer.responses {
            let id = TopicID(high: topic.topicID.high, low: topic.topicID.low)
            for partition in topic.partitions {
                let name = TopicPartition(
                    topic: id, partition: PartitionIndex(rawValue: partition.partitionIndex))
                guard let one = asked[name], self.parked[name]?.read === one.read else { continue }
                let result = self.desk.result(of: partition, name)
                guard result.error != nil || !result.batches.isEmpty else { continue }
                self.parked[name] = nil
                one.read.put(result, at: 0)
            }
        }
    }

    /// Who waited as long as he wanted is told that there was nothing.
    private func endLate() {
        let now = self.desk.now
        for (name, one) in self.parked where now >= one.read.deadline {
            self.parked[name] = nil
            one.read.put(FetchResult(), at: 0)
        }
    }

    // MARK: Reads by place

    /// - Parameter indices: of the read's entries that this broker has.
    func readOnce(_ read: UpstreamRead, _ indices: [Int]) {
        guard self.once.count < UpstreamLimits.readsWaitingMax else {
            return read.fail(.overloaded("too many reads wait for broker \(self.broker)"))
        }
        self.once.append((read, indices))
        self.nextOnce()
    }

    private func nextOnce() {
        while self.onceInFlight < UpstreamLimits.readsInFlightMax, let (read, indices) = self.once.popFirst() {
            guard read.isWanted else { continue }
            self.onceInFlight += 1
            self.send(read, indices)
        }
    }

    private func send(_ read: UpstreamRead, _ indices: [Int]) {
        let wanted = indices.compactMap { index -> (Int, TopicPartition, FetchEntry)? in
            let entry = read.entries[index]
            guard case .id(let topic) = entry.topic else { return nil }
            return (index, TopicPartition(topic: topic, partition: entry.partition), entry)
        }
        var request = FetchRequest()
        request.maxWaitMs = 0
        request.minBytes = 0
        request.maxBytes = Int32(clamping: read.limits.bytesMax.rawValue)
        request.topics = self.topics(of: wanted.map { ($0.1, $0.2) })
        self.desk.call(request, to: self.broker, waiting: .zero) { [self] result in
            self.onceInFlight -= 1
            defer { self.nextOnce() }
            let answer: FetchResponse
            switch result {
            case .failure(let error): return read.fail(error)
            case .success(let response): answer = response
            }
            if let error = BrokerError(answer.errorCode, nil) { return read.fail(error) }
            var found: [TopicPartition: FetchResult] = [:]
            for topic in answer.responses {
                let id = TopicID(high: topic.topicID.high, low: topic.topicID.low)
                for partition in topic.partitions {
                    let name = TopicPartition(
                        topic: id, partition: PartitionIndex(rawValue: partition.partitionIndex))
                    found[name] = self.desk.result(of: partition, name)
                }
            }
            for (index, name, _) in wanted {
                read.put(found[name] ?? FetchResult(error: .unknownTopicOrPartition), at: index)
            }
        }
    }

    private func topics(of entries: [(TopicPartition, FetchEntry)]) -> [FetchRequest.Topic] {
        Dictionary(grouping: entries, by: \.0.topic).map { id, entries in
            var topic = FetchRequest.Topic()
            topic.topicID = WireUUID(high: id.high, low: id.low)
            topic.partitions = entries.map { name, entry in
                var partition = FetchRequest.Partition()
                partition.partition = name.partition.rawValue
                partition.fetchOffset = entry.offset.rawValue
                partition.partitionMaxBytes = Int32(clamping: entry.bytesMax.rawValue)
                return partition
            }
            return topic
        }
    }
}
