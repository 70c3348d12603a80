import ApusCore
import NIOCore

extension Shard {
    /// Appends every entry to its partition's log in memory; answers when the promise of `acks` holds for all of them.
    func produce(_ operation: ProduceOperation) {
        self.loop.assertInEventLoop()
        let wall = self.world.ports.clock.wallTime
        for index in operation.entries.indices {
            let topic = operation.entries[index].topic
            let partition = operation.entries[index].partition
            let id = TopicPartition(topic: topic.id, partition: partition)
            if let slot = self.openSlot(id, topic) {
                self.append(operation, index, to: slot, wall: wall)
            } else {
                self.withSlot(of: topic, partition) { [unowned self] result in
                    switch result {
                    case .success(let slot):
                        self.append(operation, index, to: slot, wall: self.world.ports.clock.wallTime)
                    case .failure(let error):
                        self.resolve(operation, index, ProduceResult(error: error))
                    }
                }
            }
        }
        guard !operation.isAnswered else { return }
        let deadline = self.world.ports.clock.now.advanced(by: operation.timeout)
        operation.timer = self.wheel.insert(.produce(operation), at: deadline)
        self.keepTicking()
    }

    private func append(_ operation: ProduceOperation, _ index: Int, to slot: PartitionSlot, wall: Timestamp) {
        // What was not begun in time is not begun at all.
        guard !operation.isAnswered else { return }
        guard !self.isClosing else { return self.resolve(operation, index, ProduceResult(error: .shuttingDown)) }
        // The reserve is there for groups among others: they commit, and so set records free that wait for them.
        guard !self.world.space.isLow || slot.topic.isInternal else {
            return self.resolve(operation, index, ProduceResult(error: .storageFull))
        }
        let isKeyed = operation.entries[index].isKeyed
        guard !isKeyed || self.keys.takesMore() else {
            return self.resolve(operation, index, ProduceResult(error: .keysFull(.seconds(1))))
        }
        let records = operation.entries[index].records
        operation.entries[index].records = ByteBuffer()
        do throws(BatchRefusal) {
            guard
                let taken = try slot.partition?.append(
                    records, acks: operation.acks, wall: wall, isKeyed: isKeyed)
            else { return }
            if let batch = taken.batch {
                self.tail.append(batch, base: taken.result.baseOffset, end: taken.through, to: slot.tail)
                self.markDirty(slot)
            } else if let highWatermark = slot.partition?.highWatermark, taken.through <= highWatermark {
                return self.resolve(operation, index, taken.result)
            }
            operation.expect(index, taken.result)
            slot.partition?.park(ParkedAck(through: taken.through, operation: operation, index: index))
        } catch {
            self.resolve(operation, index, ProduceResult(error: error.error, recordErrors: error.records))
        }
    }

    /// Tells the produces that wait for what the high watermark has reached.
    func releaseAcks(_ slot: PartitionSlot) {
        while let ack = slot.partition?.nextAcked() {
            ack.operation.promiseKept(ack.index)
            self.stopTimer(of: ack.operation)
        }
    }

    func refuseAcks(_ slot: PartitionSlot, above end: Offset, _ error: BrokerError) {
        for ack in slot.partition?.dropAcks(above: end) ?? [] {
            self.resolve(ack.operation, ack.index, ProduceResult(error: error))
        }
    }

    private func resolve(_ operation: ProduceOperation, _ index: Int, _ result: ProduceResult) {
        operation.resolve(index, result)
        self.stopTimer(of: operation)
    }

    private func stopTimer(of operation: ProduceOperation) {
        guard operation.isAnswered, let timer = operation.timer else { return }
        self.wheel.cancel(timer)
        operation.timer = nil
    }
}
