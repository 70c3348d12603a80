import ApusCore
import ApusLog
import NIOCore

extension Shard {
    typealias Answer<Value> = @Sendable (Result<Value, BrokerError>) -> Void

    func offset(
        _ topic: Topic, _ query: OffsetQuery, isolation: IsolationLevel, reader: WindowReader,
        then: @escaping Answer<OffsetAnswer>
    ) {
        self.withSlot(of: topic, query.partition) { [unowned self] result in
            switch result {
            case .success(let slot):
                self.withWindow(of: reader, slot) { start in
                    switch start {
                    case .success(let start):
                        self.offset(slot, query, isolation: isolation, window: start, then: then)
                    case .failure(let error): then(.failure(error))
                    }
                }
            case .failure(let error): then(.failure(error))
            }
        }
    }

    private func offset(
        _ slot: PartitionSlot, _ query: OffsetQuery, isolation: IsolationLevel, window: Offset,
        isSecondTry: Bool = false, then: @escaping Answer<OffsetAnswer>
    ) {
        do throws(BrokerError) {
            guard let partition = slot.partition else { throw .unknownTopicOrPartition }
            switch try partition.offset(query, isolation: isolation, window: window) {
            case .now(let answer): then(.success(answer))
            case .onDisk(let lookup):
                let box = SlotBox(slot)
                self.look(lookup.from(window), slot, then) { [unowned self] in
                    guard !isSecondTry else { return false }
                    self.offset(box.slot, query, isolation: isolation, window: window, isSecondTry: true, then: then)
                    return true
                }
            }
        } catch {
            then(.failure(error))
        }
    }

    /// - Parameter again: retention or compaction was faster than the disk: plans again, from what is there now. False
    ///   when that was done before.
    private func look(
        _ lookup: LogLookup, _ slot: PartitionSlot, _ then: @escaping Answer<OffsetAnswer>,
        again: @escaping @Sendable () -> Bool
    ) {
        let id = slot.id
        self.world.ports.disk.run(in: slot.readLane, on: self.loop) { disk -> Result<LogLookup.Answer?, LogError> in
            do throws(LogError) { return .success(try lookup.run(on: disk)) } catch { return .failure(error) }
        } then: { outcome in
            switch outcome {
            case .success(let found):
                let answer = found.map {
                    OffsetAnswer(offset: $0.offset, timestamp: $0.timestamp, leaderEpoch: $0.epoch)
                }
                then(.success(answer ?? .nothing))
            case .failure(let error):
                switch error {
                // Damage may be a hole, if the log's start moved meanwhile.
                case .gone, .damaged: if again() { return }
                default: break
                }
                then(.failure(.storage("\(id): \(error)")))
            }
        }
    }

    func epochEnd(_ topic: Topic, _ query: EpochQuery, then: @escaping Answer<EpochEnd>) {
        self.withPartition(of: topic, query.partition, then) { partition throws(BrokerError) in
            try partition.epochEnd(query)
        }
    }

    func producers(_ topic: Topic, _ partition: PartitionIndex, then: @escaping Answer<[ProducerDescription]>) {
        self.withPartition(of: topic, partition, then) { partition in partition.producers() }
    }

    func deleteRecords(
        _ topic: Topic, _ deletion: RecordDeletion, timeout: Duration, then: @escaping Answer<Offset>
    ) {
        let parked = ParkedDeletion(then)
        let deadline = self.world.ports.clock.now.advanced(by: timeout)
        let timer = self.wheel.insert(.deletion(parked), at: deadline)
        self.keepTicking()
        parked.whenAnswered = { [unowned self] in self.wheel.cancel(timer) }
        self.withSlot(of: topic, deletion.partition) { [unowned self] result in
            do throws(BrokerError) {
                let slot = try result.get()
                try slot.partition?.deleteRecords(before: deletion.before, parked)
                self.releaseDeletions(slot)
                self.markDirty(slot)
            } catch {
                parked.answer(.failure(error))
            }
        }
    }

    func releaseDeletions(_ slot: PartitionSlot) {
        while let deletion = slot.partition?.nextDeleted() { deletion.answer(.success(deletion.start)) }
    }

    /// The bytes of those partitions of a topic that are open here, by index.
    func openByteCounts() -> [TopicPartition: ByteCount] {
        var counts: [TopicPartition: ByteCount] = [:]
        for slot in self.sweep { counts[slot.id] = slot.partition?.log.byteCount }
        return counts
    }

    private func withPartition<Value: Sendable>(
        of topic: Topic, _ partition: PartitionIndex, _ then: @escaping Answer<Value>,
        _ body: @escaping (borrowing Partition) throws(BrokerError) -> Value
    ) {
        self.withSlot(of: topic, partition) { result in
            do throws(BrokerError) {
                guard let partition = try result.get().partition else { throw .unknownTopicOrPartition }
                then(.success(try body(partition)))
            } catch {
                then(.failure(error))
            }
        }
    }
}
