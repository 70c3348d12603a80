import ApusCore
import ApusGroups
import ApusLog
import Logging
import NIOCore

extension ShardCoordinator {
    /// Reads the partition from its start to its end, piece by piece, and lets the groups come alive then. Meanwhile
    /// everybody is told that it loads.
    func load() {
        self.coordinator = self.world.newCoordinator()
        self.phase = .loading
        self.unreadable = (0, "")
        self.read(from: .zero, wait: .zero)
    }

    private func read(from offset: Offset, wait: Duration) {
        guard case .loading = self.phase else { return }
        guard let topic = self.world.topic(self.topicID) else { return self.failed("the topic is gone") }
        let wish = FetchEntry(
            topic: .id(topic.id), partition: self.partition, offset: offset, bytesMax: Limits.groupLoadBytes
        )
        let limits = FetchLimits(bytesMin: .bytes(1), bytesMax: Limits.groupLoadBytes, waitMax: wait)
        let part = FetchPart(
            shard: self.shard, reader: .broker, limits: limits,
            entries: [FetchPart.Entry(topic: topic, wish: wish, position: 0)]
        )
        let operation = FetchOperation(
            home: self.shard.mailbox, memory: nil, limits: limits, rights: nil, now: self.world.ports.clock.now,
            parts: [part], results: [FetchResult()]
        ) { [unowned self] results in
            // In another turn of the loop, for what waits there, and so that the stack does not grow with the log.
            self.shard.loop.execute { self.take(results[0], from: offset) }
        }
        operation.start()
    }

    private func take(_ result: FetchResult, from offset: Offset) {
        guard case .loading = self.phase else { return }
        if case .offsetOutOfRange(let start, _)? = result.error, start > offset {
            return self.read(from: start, wait: .zero)
        }
        if let error = result.error { return self.failed("\(error)") }
        guard !result.batches.isEmpty else { return self.finishIfAtEnd(offset) }
        do {
            let (records, next) = try GroupBatch.records(in: result.batches, from: offset)
            for record in records { self.load(record) }
            self.read(from: max(next, Offset(rawValue: offset.rawValue + 1)), wait: .zero)
        } catch {
            self.failed("\(error)")
        }
    }

    private func load(_ record: GroupRecord) {
        do throws(GroupRecordError) {
            try self.coordinator.load(record)
        } catch {
            // A record of a later version, or of a kind that there is not here: the others count all the same.
            self.unreadable = (self.unreadable.count + 1, "\(error)")
        }
    }

    /// Nothing more is visible. What recovery found and did not sync yet is: it must not be missed.
    private func finishIfAtEnd(_ offset: Offset) {
        guard let topic = self.world.topic(self.topicID) else { return self.failed("the topic is gone") }
        self.shard.withSlot(of: topic, self.partition) { [unowned self] slot in
            do throws(BrokerError) {
                guard let partition = try slot.get().partition else { throw .unknownTopicOrPartition }
                if let failure = partition.log.failure { throw .storage("\(failure)") }
                if offset < partition.highWatermark { return self.read(from: offset, wait: .zero) }
                if partition.highWatermark < partition.log.endOffset {
                    return self.read(from: offset, wait: .seconds(1))
                }
                self.finish()
            } catch {
                self.failed("\(error)")
            }
        }
    }

    private func finish() {
        self.phase = .live
        if self.unreadable.count > 0 {
            self.world.ports.logger.warning(
                "records of groups say nothing to us and are left alone",
                metadata: [
                    "partition": "\(self.label)", "count": "\(self.unreadable.count)",
                    "last": "\(self.unreadable.last)",
                ])
        }
        let topics = self.topics
        self.act { $0.loaded(topics: topics, at: $1, into: &$2) }
        self.tellAll()
        self.groups.loadNext()
    }

    private func failed(_ reason: String) {
        guard !self.groups.isClosed else { return }
        self.world.ports.logger.error(
            "groups can not be loaded; tried again", metadata: ["partition": "\(self.label)", "reason": "\(reason)"])
        self.coordinator = self.world.newCoordinator()
        self.rest()
        self.groups.loadNext()
    }
}
