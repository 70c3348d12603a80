import ApusCore
import ApusLog
import ApusPresence
import KafkaWire
import Logging
import NIOCore

/// Reading and writing `__presence`.
extension ShardPresence {
    // MARK: Reading

    func load() {
        self.coordinator = PresenceCoordinator(start: self.world.settings.incarnation)
        self.phase = .loading
        self.unreadable = 0
        self.read(from: .zero, wait: .zero)
    }

    private var topic: Topic? { self.topicID.flatMap { self.world.topic($0) } }

    private func read(from offset: Offset, wait: Duration) {
        guard case .loading = self.phase else { return }
        guard let topic = self.topic else { return self.failed("the topic is gone") }
        let wish = FetchEntry(
            topic: .id(topic.id), partition: PresenceTopic.partition, offset: offset, bytesMax: Limits.presenceLoadBytes
        )
        let limits = FetchLimits(bytesMin: .bytes(1), bytesMax: Limits.presenceLoadBytes, waitMax: wait)
        let part = FetchPart(
            shard: self.shard, reader: .broker, limits: limits,
            entries: [FetchPart.Entry(topic: topic, wish: wish, position: 0)])
        let operation = FetchOperation(
            home: self.shard.mailbox, memory: nil, limits: limits, rights: nil, now: self.now, parts: [part],
            results: [FetchResult()]
        ) { [unowned self] results in
            // In another turn of the loop, so that the stack does not grow with the log.
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
        var next = offset
        do throws(WireError) {
            for var bytes in result.batches {
                while let batch = try RecordBatch.read(from: &bytes) {
                    next = max(next, Offset(rawValue: batch.header.nextOffset))
                    self.take(batch, from: offset)
                }
            }
        } catch {
            return self.failed("\(error)")
        }
        self.read(from: max(next, offset.next), wait: .zero)
    }

    private func take(_ batch: RecordBatch, from offset: Offset) {
        guard !batch.header.attributes.isControl else { return }
        do throws(WireError) {
            var records = try batch.records()
            while let record = try records.next() {
                guard record.offset >= offset.rawValue else { continue }
                if let key = record.key, let known = PresenceRecord(key: key, value: record.value) {
                    self.coordinator.load(known)
                } else {
                    self.unreadable += 1
                }
            }
        } catch {
            self.unreadable += 1
        }
    }

    /// A piece could not be read: goes on behind it if it is damage, and comes again if it may be read another time.
    private func meet(_ error: BrokerError, at offset: Offset) {
        guard let topic = self.topic else { return self.failed("the topic is gone") }
        self.shard.withSlot(of: topic, PresenceTopic.partition) { [unowned self] slot in
            guard case .loading = self.phase else { return }
            guard let log = (try? slot.get())?.partition?.log, log.failure == nil,
                let damage = log.damage.first(where: { $0.offsets.contains(offset) })
            else { return self.failed("\(error)") }
            self.world.ports.logger.error(
                "presence goes on without damaged records: whoever came in them counts as not there",
                metadata: ["partition": "\(self.label)", "damage": "\(damage)"])
            self.read(from: damage.offsets.upperBound, wait: .zero)
        }
    }

    /// Nothing more is visible. What recovery found and did not sync yet is: it must not be missed.
    private func finishIfAtEnd(_ offset: Offset) {
        guard let topic = self.topic else { return self.failed("the topic is gone") }
        self.shard.withSlot(of: topic, PresenceTopic.partition) { [unowned self] slot in
            guard case .loading = self.phase else { return }
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

    // MARK: Writing

    /// Appends what waits at the end of this tick; while a batch is under way, everything joins the next.
    func flushSoon() {
        guard !self.isFlushScheduled, self.writing.isEmpty, !self.queue.isEmpty else { return }
        self.isFlushScheduled = true
        self.shard.loop.execute { self.flush() }
    }

    private func flush() {
        self.isFlushScheduled = false
        guard self.writing.isEmpty, !self.queue.isEmpty else { return }
        let wall = self.world.ports.clock.wallTime
        var builder = RecordBatchBuilder(byteCountHint: 512 * min(self.queue.count, 4096))
        // Each write whole. The first goes however long it is: the coordinator made it to fit.
        while let write = self.queue.first,
            self.writing.isEmpty || builder.byteCount < Limits.presenceWriteBytesMax.rawValue
        {
            self.queue.removeFirst()
            self.writing.append(write)
            for record in write.records {
                builder.append(key: record.key, value: record.value, timestamp: wall.rawValue)
            }
        }
        guard let topic = self.topic else { return self.finished(.unknownTopicOrPartition) }
        let entry = ProduceOperation.Entry(
            topic: topic, partition: PresenceTopic.partition, records: builder.finish())
        // Without a time-out: only the log says what became of it.
        let operation = ProduceOperation(entries: [entry], acks: .all, timeout: .seconds(Int64(Int32.max))) {
            [unowned self] results in
            self.finished(results.first?.error)
        }
        self.shard.produce(operation)
    }

    private func finished(_ error: BrokerError?) {
        let writes = self.writing
        self.writing = []
        if let error {
            self.world.ports.logger.error(
                "presence can not be written; read anew", metadata: ["reason": "\(error)"])
        }
        self.act { coordinator, _, actions in
            for write in writes {
                if error == nil {
                    coordinator.written(write.id, into: &actions)
                } else {
                    coordinator.failed(write.id, into: &actions)
                }
            }
        }
        self.flushSoon()
    }
}
