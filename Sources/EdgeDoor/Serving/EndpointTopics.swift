import ApusBroker
import ApusCore
import Logging
import NIOCore
import WebFormats

/// The topics whose home is one event loop: there each of their partitions is read once for the whole node.
///
/// A reader waits upstream for its partition's high watermark to move, as a consumer's fetch does, and asks again
/// when it was answered; nothing is polled. What it finds is made into pushes once, by the topic's hub, and goes to the
/// loops that have clients for them. Owner: its event loop.
final class EndpointTopics {
    private let eventLoop: any EventLoop
    private var topics: [TopicID: EndpointTopic] = [:]
    /// The topics as they were when it was looked last.
    private var version: Int64 = -1

    init(_ eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
    }

    var isEmpty: Bool { self.topics.isEmpty }
    var readerCount: Int { self.topics.values.reduce(0) { $0 + $1.readerCount } }

    func join(_ id: SubscriberID, _ channel: EdgeChannel, of topic: EdgeTopic, _ door: EndpointDoor) {
        let home: EndpointTopic
        if let known = self.topics[topic.id] {
            home = known
        } else {
            home = EndpointTopic(topic, door, self.eventLoop)
            self.topics[topic.id] = home
        }
        // Found out before this loop has heard of it: the clients ask once more, with the topic as it is.
        guard home.partitionCount == topic.partitionCount else {
            return door.tell(id) { $0.rejoin(id, of: $1) }
        }
        home.join(id, channel)
        if home.isEmpty { self.topics[topic.id] = nil }
    }

    func leave(_ id: SubscriberID, _ channel: EdgeChannel, of topic: TopicID, _ door: EndpointDoor) {
        guard let home = self.topics[topic] else { return }
        home.leave(id, channel)
        if home.isEmpty { self.topics[topic] = nil }
    }

    /// Once a second: whether topics got more partitions. (That one is gone, its readers are told.)
    func sweep(_ upstream: any EdgeUpstream) {
        let version = upstream.topicsVersion
        guard version != self.version else { return }
        self.version = version
        for (id, home) in self.topics {
            guard let topic = upstream.topic(id), topic.partitionCount != home.partitionCount else { continue }
            self.topics[id] = nil
            home.rejoin()
        }
    }
}

/// One topic on its home loop: its hub, and the readers of the partitions that somebody needs.
final class EndpointTopic {
    /// A partition that is being read, or asked where it ends.
    private struct Reader {
        /// Tells one beginning from another of the same partition.
        let round: UInt64
        var position: Offset?
        var ticket: (any EdgeTicket)?
        /// It is being asked, and was not answered yet.
        var isAsking = false
        /// Answers in a row that came at once.
        var streak = 0
    }

    let id: TopicID
    let partitionCount: Int
    private let name: String
    private let door: EndpointDoor
    private let eventLoop: any EventLoop
    private var hub: TopicHub
    private var readers: [PartitionIndex: Reader] = [:]
    private var rounds: UInt64 = 0

    init(_ topic: EdgeTopic, _ door: EndpointDoor, _ eventLoop: any EventLoop) {
        self.id = topic.id
        self.name = topic.name
        self.partitionCount = topic.partitionCount
        self.door = door
        self.eventLoop = eventLoop
        self.hub = TopicHub(
            topic: topic.name, id: topic.id, partitions: self.partitionCount,
            placement: door.configuration.placement, keys: door.configuration.cursorKeys)
    }

    var isEmpty: Bool { self.hub.isEmpty }
    var readerCount: Int { self.readers.count }

    func join(_ id: SubscriberID, _ channel: EdgeChannel) {
        let actions: [HubAction]
        do throws(ChannelTableError) {
            actions = try self.hub.subscribe(id, to: channel)
        } catch {
            let detail = "prefixes of this topic have \(Limits.channelPrefixLengthsMax) lengths already"
            return self.door.tell(id) { $0.ended(id, Problem(.tooMany, detail), of: $1) }
        }
        self.run(actions)
    }

    func leave(_ id: SubscriberID, _ channel: EdgeChannel) {
        guard self.hub.holds(id, in: channel) else { return }
        self.run(self.hub.unsubscribe(id, from: channel))
    }

    /// It has more partitions: whoever is here begins again with all of them, from where he is.
    func rejoin() {
        for reader in self.readers.values { reader.ticket?.cancel() }
        self.readers = [:]
        for id in self.hub.everybody { self.door.tell(id) { $0.rejoin(id, of: $1) } }
    }

    private func run(_ actions: [HubAction]) {
        for action in actions {
            switch action {
            case .startReading(let partition): self.begin(partition)
            case .stopReading(let partition): self.readers.removeValue(forKey: partition)?.ticket?.cancel()
            case .joined(let id, _, let place): self.door.tell(id) { $0.joined(id, at: place, of: $1) }
            }
        }
    }

    // MARK: Reading

    private func begin(_ partition: PartitionIndex) {
        self.rounds += 1
        let round = self.rounds
        self.readers[partition] = Reader(round: round)
        let query = OffsetQuery(topic: .id(self.id), partition: partition, position: .latest)
        let bound = NIOLoopBound(self, eventLoop: self.eventLoop)
        self.door.upstream.listOffsets([query], client: .embedded, on: self.eventLoop) {
            let topic = bound.value
            guard topic.readers[partition]?.round == round else { return }
            switch $0[0] {
            case .success(let answer):
                topic.readers[partition]?.position = answer.offset
                topic.run(topic.hub.began(partition, at: answer.offset))
                topic.read(partition, round)
            case .failure(let error): topic.failed(partition, round, error)
            }
        }
    }

    private func read(_ partition: PartitionIndex, _ round: UInt64) {
        guard let reader = self.readers[partition], reader.round == round, let position = reader.position else {
            return
        }
        let entry = FetchEntry(
            topic: .id(self.id), partition: partition, offset: position, bytesMax: Limits.edgeLiveReadBytesMax)
        let limits = FetchLimits(
            bytesMin: .bytes(1), bytesMax: Limits.edgeLiveReadBytesMax, waitMax: Limits.fetchWaitMax)
        let bound = NIOLoopBound(self, eventLoop: self.eventLoop)
        self.readers[partition]?.isAsking = true
        let ticket = self.door.upstream.fetch([entry], limits: limits, client: .embedded, on: self.eventLoop) {
            results in
            let topic = bound.value
            guard topic.readers[partition]?.round == round else { return }
            topic.found(results[0], partition, round)
        }
        guard self.readers[partition]?.round == round, self.readers[partition]?.isAsking == true else { return }
        self.readers[partition]?.isAsking = false
        self.readers[partition]?.streak = 0
        self.readers[partition]?.ticket = ticket
    }

    private func found(_ result: FetchResult, _ partition: PartitionIndex, _ round: UInt64) {
        guard let position = self.readers[partition]?.position else { return }
        self.readers[partition]?.ticket = nil
        if self.readers[partition]?.isAsking == true { self.readers[partition]?.streak += 1 }
        self.readers[partition]?.isAsking = false
        if let error = result.error {
            if case .offsetOutOfRange(let start, _) = error, position < start {
                self.readers[partition]?.position = start
                self.lost(self.hub.lost(partition, upTo: start))
                return self.readSoon(partition, round)
            }
            return self.failed(partition, round, error)
        }
        do {
            let found = try ChannelRecords.read(result.batches, of: partition, from: position)
            if let next = found.next, next > position {
                self.readers[partition]?.position = next
                self.deliver(self.pushes(of: found.records, partition, next: next))
            }
        } catch {
            return self.failed(partition, round, .corruptBatch("\(self.name)-\(partition) at \(position): \(error)"))
        }
        self.readSoon(partition, round)
    }

    /// Not at once: what the last read found is written first. A reader that is far behind is answered each time
    /// without waiting, and would never let the loop look at its sockets.
    private func readSoon(_ partition: PartitionIndex, _ round: UInt64) {
        guard let reader = self.readers[partition], reader.streak >= Limits.edgeReadsPerTurnMax else {
            return self.eventLoop.assumeIsolated().execute { self.read(partition, round) }
        }
        self.readers[partition]?.streak = 0
        EndpointTurns(eventLoop: self.eventLoop).inTurn { self.read(partition, round) }
    }

    private func failed(_ partition: PartitionIndex, _ round: UInt64, _ error: BrokerError) {
        let problem: Problem
        switch error {
        case .shuttingDown: return
        case .overloaded, .timedOut, .notLeader, .fencedLeaderEpoch, .unknownLeaderEpoch:
            let isBegun = self.readers[partition]?.position != nil
            self.eventLoop.assumeIsolated().scheduleTask(
                in: .nanoseconds(Limits.connectionSweepPeriod.wholeNanoseconds)
            ) {
                guard self.readers[partition]?.round == round else { return }
                if isBegun { self.read(partition, round) } else { self.begin(partition) }
            }
            return
        case .unknownTopicID, .unknownTopicOrPartition:
            problem = Problem(.topicNotFound, "the topic '\(self.name)' was deleted")
        default:
            problem = Problem(error)
            self.door.logger.error(
                "a partition can not be read for the clients of the edge",
                metadata: ["topic": "\(self.name)", "partition": "\(partition)", "error": "\(error)"])
        }
        for id in self.hub.audience(of: partition) { self.door.tell(id) { $0.ended(id, problem, of: $1) } }
    }

    /// What a read found in pushes of a size that sockets take: much may come out of one compressed batch.
    private func pushes(of records: [EdgeRecord], _ partition: PartitionIndex, next: Offset) -> [HubDelivery] {
        var deliveries: [HubDelivery] = []
        var (start, bytes) = (0, 0)
        for (index, record) in records.enumerated() {
            bytes += record.contentBytes
            guard bytes > Limits.edgePushBytesMax.rawValue, index + 1 < records.count else { continue }
            let part = Array(records[start...index])
            deliveries += self.hub.read(part, of: partition, next: record.offset.next)
            (start, bytes) = (index + 1, 0)
        }
        return deliveries + self.hub.read(Array(records[start...]), of: partition, next: next)
    }

    // MARK: Telling

    /// All that one read found goes to a loop in one letter.
    private func deliver(_ deliveries: [HubDelivery]) {
        var letters: [Int: [(HubDelivery, SubscriberID)]] = [:]
        for delivery in deliveries {
            for id in delivery.subscribers { letters[self.door.loop(of: id), default: []].append((delivery, id)) }
        }
        for (loop, letter) in letters {
            let loops = self.door.loopCount
            self.door.run(on: loop) { loop in
                for (delivery, id) in letter { loop.deliver(delivery, to: id, of: loops) }
            }
        }
    }

    private func lost(_ losses: [HubLoss]) {
        for loss in losses {
            for id in loss.subscribers { self.door.tell(id) { $0.lost(loss.range, of: id, of: $1) } }
        }
    }
}
