import ApusCore
import ApusLog
import Logging
import NIOCore
import Synchronization

/// Compaction, beside everything else: one log of a shard at a time, in pieces, on disk threads that give way, no
/// faster than `Limits.compactionBytesPerSecond`. Which log: one that is overdue, else the dirtiest of those that the
/// sweep and the patrol have met.
extension Shard {
    /// Retention has just looked at the log.
    func considerCompaction(of slot: PartitionSlot, wall: Timestamp) {
        guard case .open = slot.state, !slot.isCompacting, self.seconds >= slot.compactionRestsUntil,
            let partition = slot.partition,
            let need = partition.log.compactionNeed(wall: wall, below: partition.highWatermark)
        else {
            self.compactionWaiting[slot.id] = nil
            return
        }
        self.compactionWaiting[slot.id] = need
        self.compactNext()
    }

    private func compactNext() {
        while self.compaction == nil, !self.isClosing,
            let next = self.compactionWaiting.max(by: { $0.value < $1.value })
        {
            self.compactionWaiting[next.key] = nil
            guard let slot = self.slots[next.key], case .open = slot.state else { continue }
            let limit = slot.partition?.highWatermark ?? .zero
            guard let run = slot.partition?.log.beginCompaction(wall: self.readRetentionClock(), below: limit) else {
                continue
            }
            slot.isCompacting = true
            self.compaction = ShardCompaction(slot, CompactionRun(run))
            self.goOnCompacting()
        }
    }

    /// The next piece of the pass, or its end.
    func goOnCompacting() {
        guard let compaction = self.compaction, !compaction.isWithDisk else { return }
        guard !self.isClosing, case .open = compaction.slot.state else { return self.abandon(compaction) }
        compaction.isWithDisk = true
        compaction.steppedAt = self.world.ports.clock.now
        let run = compaction.run
        self.world.ports.disk.run(in: self.compactionLane, on: self.loop) { disk in
            run.step(on: disk)
        } then: { outcome in
            self.stepped(outcome)
        }
    }

    /// Nobody waits for a pass that only waits for its turn: it ends at once.
    func hurryCompaction(of slot: PartitionSlot) {
        guard let compaction = self.compaction, compaction.slot === slot, !compaction.isWithDisk else { return }
        self.abandon(compaction)
    }

    private func stepped(_ outcome: CompactionRun.Outcome) {
        guard let compaction = self.compaction else { return }
        compaction.isWithDisk = false
        let slot = compaction.slot
        guard case .open = slot.state else { return self.abandon(compaction) }
        switch outcome.step {
        case .success(.more): self.pause(compaction, after: outcome.bytesRead)
        case .success(.swap(let swap)):
            guard slot.partition?.log.take(swap) ?? false else { return self.abandon(compaction) }
            self.tail.removeAll(of: slot.tail, below: swap.end)
            self.markDirty(slot)
            compaction.bytesBefore = compaction.bytesBefore + swap.bytesBefore
            compaction.bytesAfter = compaction.bytesAfter + swap.bytesAfter
            self.pause(compaction, after: outcome.bytesRead)
        case .success(.done(let end)):
            slot.partition?.log.compacted(through: end)
            self.markDirty(slot)
            self.report(compaction, outcome)
            if let damage = outcome.damage { self.report(damage, in: slot) }
            self.compactionEnded(slot)
        case .failure(let failure):
            if case .damaged(let damage) = failure {
                self.report(damage, in: slot)
            } else if failure != .gone {
                self.world.ports.logger.error(
                    "compaction gave up for now", metadata: ["partition": "\(slot.label)", "reason": "\(failure)"])
                let pause = UInt32(clamping: Limits.compactionRetryPause.components.seconds)
                slot.compactionRestsUntil = self.seconds &+ pause
            }
            self.abandon(compaction)
        }
    }

    /// Until so many bytes may be read again.
    private func pause(_ compaction: ShardCompaction, after bytesRead: Int) {
        let earned = Duration.microseconds(bytesRead / max(1, Limits.compactionBytesPerSecond / 1_000_000))
        let passed = self.world.ports.clock.now.since(compaction.steppedAt)
        guard earned > passed, !self.isClosing else { return self.goOnCompacting() }
        self.schedule(in: earned - passed, .compaction)
    }

    /// What is swapped stays, what is half made goes.
    private func abandon(_ compaction: ShardCompaction) {
        compaction.isWithDisk = true
        let box = SlotBox(compaction.slot)
        let run = compaction.run
        self.world.ports.disk.run(in: self.compactionLane, on: self.loop) { disk in
            run.abandon(on: disk)
        } then: {
            self.compactionEnded(box.slot)
        }
    }

    private func compactionEnded(_ slot: PartitionSlot) {
        self.compaction = nil
        slot.isCompacting = false
        if case .gone = slot.state {
            self.atRest(slot)
        } else if self.isClosing {
            self.closeIfQuiet(slot)
        }
        self.compactNext()
    }

    private func report(_ damage: LogDamage, in slot: PartitionSlot) {
        slot.partition?.log.learned(damage)
        self.world.ports.logger.error(
            "damaged records: nothing at or behind them is compacted",
            metadata: ["partition": "\(slot.label)", "damage": "\(damage)"])
    }

    private func report(_ compaction: ShardCompaction, _ outcome: CompactionRun.Outcome) {
        self.world.ports.logger.info(
            "compacted",
            metadata: [
                "partition": "\(compaction.slot.label)", "records": "\(outcome.recordsRemoved)",
                "before": "\(compaction.bytesBefore)", "after": "\(compaction.bytesAfter)",
            ])
        guard outcome.batchesUnreadable > 0 else { return }
        self.world.ports.logger.warning(
            "batches whose records can not be read were kept as they are",
            metadata: ["partition": "\(compaction.slot.label)", "batches": "\(outcome.batchesUnreadable)"])
    }
}

/// The pass that a shard has under way. Owner: the shard; touched on its loop only.
final class ShardCompaction {
    let slot: PartitionSlot
    let run: CompactionRun
    /// A piece of it is with the disk; else it waits for its turn.
    var isWithDisk = false
    var steppedAt = Instant(nanoseconds: 0)
    var bytesBefore = ByteCount.zero
    var bytesAfter = ByteCount.zero

    init(_ slot: PartitionSlot, _ run: CompactionRun) {
        self.slot = slot
        self.run = run
    }
}

/// The pass itself, where a disk thread can get at it. One piece runs at a time, so the lock is never waited for.
final class CompactionRun: Sendable {
    struct Outcome: Sendable {
        var step: Result<Compaction.Step, CompactionFailure>
        /// By this piece.
        var bytesRead: Int
        var recordsRemoved: Int
        var batchesUnreadable: Int
        var damage: LogDamage?
    }

    private let compaction: Mutex<Compaction>

    init(_ compaction: Compaction) {
        self.compaction = Mutex(compaction)
    }

    func step(on disk: any Disk) -> Outcome {
        self.compaction.withLock { compaction in
            let before = compaction.bytesRead
            let step: Result<Compaction.Step, CompactionFailure>
            do throws(CompactionFailure) {
                step = .success(try compaction.step(on: disk, upTo: Limits.compactionStepBytes))
            } catch {
                step = .failure(error)
            }
            return Outcome(
                step: step, bytesRead: compaction.bytesRead - before, recordsRemoved: compaction.recordsRemoved,
                batchesUnreadable: compaction.batchesUnreadable, damage: compaction.damage)
        }
    }

    func abandon(on disk: any Disk) {
        self.compaction.withLock { $0.abandon(on: disk) }
    }
}
