import ApusCore
import ApusGroups
import KafkaWire
import NIOCore

extension ShardCoordinator {
    /// Appends what waits at the end of this tick; while a batch is under way, everything joins the next.
    func flushSoon() {
        guard !self.isFlushScheduled, self.writing.isEmpty, !self.queue.isEmpty else { return }
        self.isFlushScheduled = true
        self.shard.loop.execute { self.flush() }
    }

    private func flush() {
        self.isFlushScheduled = false
        guard self.writing.isEmpty, !self.queue.isEmpty else { return }
        let (writes, records) = GroupBatch.take(from: &self.queue, at: self.world.ports.clock.wallTime)
        self.writing = writes
        guard let topic = self.world.topic(self.topicID) else { return self.finished(.unknownTopicOrPartition) }
        guard let records else {
            let limit = Limits.offsetsTopicBatchBytesMax
            return self.finished(.batchTooLarge(ByteCount(rawValue: WireLimits.frameBytesWrittenMax), limit: limit))
        }
        let entry = ProduceOperation.Entry(topic: topic, partition: self.partition, records: records)
        // Without a time-out: only the log says what became of it.
        let operation = ProduceOperation(entries: [entry], acks: .all, timeout: .seconds(Int64(Int32.max))) {
            [unowned self] results in
            self.finished(results.first?.error)
        }
        self.shard.produce(operation)
    }

    /// The batch is as durable as its topic promises; or it was refused and will never appear; or nobody knows, and the
    /// log is at its end for this life of the broker.
    private func finished(_ error: BrokerError?) {
        let writes = self.writing
        self.writing = []
        if error == nil { self.reloadPause = Limits.groupReloadPause.lowerBound }
        self.act { coordinator, now, actions in
            for write in writes {
                if let error {
                    coordinator.failed(write.id, GroupError(unwritten: error), at: now, into: &actions)
                } else {
                    coordinator.written(write.id, at: now, into: &actions)
                }
            }
        }
        if error == nil { self.tell(writes) }
        self.flushSoon()
    }
}

extension GroupError {
    /// What somebody is told whose records could not be written.
    fileprivate init(unwritten error: BrokerError) {
        switch error {
        case .batchTooLarge, .batchLargerThanSegment: self = .commitTooLarge
        case .shuttingDown, .notLeader: self = .notCoordinator
        default: self = .unavailable
        }
    }
}
