import ApusCore
import ApusGroups
import ApusLog
import Logging
import NIOCore

extension ShardCoordinator {
    /// Reads the partition from its start to its end, piece by piece, and lets the groups come alive then. Meanwhile
    /// everybody is told that it loads.
    ///
    /// - Parameter salvage: set when it is read over damage.
    func load(_ salvage: GroupSalvage? = nil) {
        self.coordinator = self.world.newCoordinator()
        self.phase = .loading
        self.unreadable = (0, "")
        self.salvage = salvage
        self.read(from: .zero, wait: .zero)
    }

    func read(from offset: Offset, wait: Duration) {
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
        if let error = result.error { return self.meet(error, at: offset) }
        guard !result.batches.isEmpty else { return self.finishIfAtEnd(offset) }
        do {
            let piece = try GroupBatch.records(in: result.batches, from: offset)
            if let loss = piece.losses.first, self.salvage == nil { return self.meet(loss) }
            for loss in piece.losses { self.salvage?.lose(loss) }
            for record in piece.records { self.load(record) }
            self.read(from: max(piece.next, offset.next), wait: .zero)
        } catch {
            self.failed("\(error)")
        }
    }

    private func load(_ record: GroupRecord) {
        self.salvage?.keep(record)
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
                if let salvage = self.salvage { return self.putInOrder(salvage, end: offset) }
                self.dropAcceptance()
                self.finish()
            } catch {
                self.failed("\(error)")
            }
        }
    }

    func finish() {
        self.phase = .live
        self.salvage = nil
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

    /// - Parameter next: what an operator can do about it.
    func failed(_ reason: String, next: String? = nil) {
        guard !self.groups.isClosed else { return }
        var metadata: Logger.Metadata = ["partition": "\(self.label)", "reason": "\(reason)"]
        if let next { metadata["next"] = "\(next)" }
        self.world.ports.logger.error("groups can not be loaded; tried again", metadata: metadata)
        self.coordinator = self.world.newCoordinator()
        self.salvage = nil
        self.rest()
        self.groups.loadNext()
    }
}
