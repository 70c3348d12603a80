import ApusCore
import ApusLog
import Logging
import NIOCore

extension Shard {
    /// The log may have something for the disk. It is asked at the end of the tick, once for all that came in it.
    func markDirty(_ slot: PartitionSlot) {
        guard !slot.isDirty else { return }
        slot.isDirty = true
        self.dirty.append(slot)
        guard !self.isFlushScheduled else { return }
        self.isFlushScheduled = true
        self.loop.execute { self.flush() }
    }

    /// A few logs go to the disk each by itself. Many go as a group, and while that is under way everything that
    /// arrives joins the next one: a thread woken for each, and a sync for each, would cost more than the writes. Who
    /// has too much for the journal waits for nobody.
    private func flush() {
        self.isFlushScheduled = false
        if self.dirty.count < Limits.journalGroupMin {
            let dirty = self.dirty
            self.dirty.removeAll(keepingCapacity: true)
            for slot in dirty {
                slot.isDirty = false
                guard let job = self.takeJob(of: slot) else { continue }
                if let birth = ShardBirth(slot, job) {
                    self.births.append(birth)
                } else {
                    self.run(job, of: slot)
                }
            }
        } else if !self.isGroupInFlight {
            let dirty = self.dirty
            self.dirty.removeAll(keepingCapacity: true)
            self.submitGroup(dirty)
        } else {
            self.submitLarge()
        }
        self.submitBirths()
    }

    /// Those that would not join the next group anyway.
    private func submitLarge() {
        var small: [PartitionSlot] = []
        for slot in self.dirty {
            if !slot.isInFlight, let waiting = slot.partition?.unwrittenBytes,
                waiting > Limits.journalEntryBytesMax.rawValue
            {
                slot.isDirty = false
                self.submit(slot)
            } else {
                small.append(slot)
            }
        }
        self.dirty = small
    }

    /// Gives the disk what the log wants done, unless it is busy with this log already.
    func submit(_ slot: PartitionSlot) {
        guard let job = self.takeJob(of: slot) else { return }
        if let birth = ShardBirth(slot, job) {
            self.births.append(birth)
            return self.submitBirths()
        }
        self.run(job, of: slot)
    }

    private func takeJob(of slot: PartitionSlot) -> LogJob? {
        guard !slot.isInFlight, case .open = slot.state, let job = slot.partition?.nextJob() else {
            self.restIfDone(slot)
            return nil
        }
        slot.isInFlight = true
        return job
    }

    private func run(_ job: LogJob, of slot: PartitionSlot) {
        if job.isShort, let result = self.world.ports.disk.runShort({ job.run(on: $0) }) {
            return self.finished(slot, job, result)
        }
        let box = SlotBox(slot)
        self.world.ports.disk.run(in: slot.lane, on: self.loop) { disk in
            job.run(on: disk)
        } then: { result in
            self.finished(box.slot, job, result)
        }
    }

    private func submitGroup(_ slots: [PartitionSlot]) {
        var group: [(box: SlotBox, job: LogJob)] = []
        var lists: [DiskCommands] = []
        for slot in slots {
            slot.isDirty = false
            guard let job = self.takeJob(of: slot) else { continue }
            if let birth = ShardBirth(slot, job) {
                self.births.append(birth)
                continue
            }
            guard job.byteCount <= Limits.journalEntryBytesMax, let commands = job.commands else {
                self.run(job, of: slot)
                continue
            }
            group.append((SlotBox(slot), job))
            lists.append(commands)
        }
        guard !group.isEmpty else { return }
        self.isGroupInFlight = true
        self.world.ports.disk.run(in: self.groupLane, on: self.loop) { [lists] disk in
            disk.perform(group: lists)
        } then: { [group] failures in
            self.isGroupInFlight = false
            for (member, failure) in zip(group, failures) {
                self.finished(member.box.slot, member.job, member.job.outcome(failure))
            }
            if !self.dirty.isEmpty { self.flush() }
        }
    }

    /// New logs wait for one another and not for the rest: what they do takes the file system ten times as long as a
    /// write does, and a thousand of them together little longer than one.
    private func submitBirths() {
        while !self.births.isEmpty, self.birthGroupsInFlight < Limits.birthGroupsInFlightMax {
            let group = Array(self.births.prefix(Limits.birthsPerGroupMax))
            self.births.removeFirst(group.count)
            self.birthGroupsInFlight += 1
            self.world.ports.disk.run(in: self.newLane(), on: self.loop) { disk in
                disk.perform(births: group.map(\.commands))
            } then: { failures in
                self.birthGroupsInFlight -= 1
                for (birth, failure) in zip(group, failures) {
                    self.finished(birth.box.slot, birth.job, birth.job.outcome(failure))
                }
                self.submitBirths()
            }
        }
    }

    private func finished(_ slot: PartitionSlot, _ job: LogJob, _ result: Result<Void, LogJob.Failure>) {
        slot.isInFlight = false
        if case .gone = slot.state { return self.atRest(slot) }
        guard let outcome = slot.partition?.finished(job.token, bytes: job.byteCount, result) else { return }
        switch outcome {
        case .advanced(let isVisible):
            slot.isMending = false
            if isVisible { self.highWatermarkMoved(slot) }
            self.releaseDeletions(slot)
        case .full:
            self.world.ports.logger.error("the disk is full", metadata: ["partition": "\(slot.label)"])
            // Cleaning up needs no room and is begun at once; if even that fails, not in a circle.
            if slot.isMending {
                if self.isClosing { return self.closed(slot, isClean: false) }
                self.mending.append(slot)
                return
            }
            slot.isMending = true
        case .withdrawn(let end):
            slot.isMending = false
            self.tail.withdraw(from: end, of: slot.tail)
            self.refuseAcks(slot, above: end, .storageFull)
        case .failed(let reason):
            return self.fail(slot, reason)
        }
        self.markDirty(slot)
    }

    /// The log is dead; everybody who waits for this partition hears of it. Other partitions go on.
    private func fail(_ slot: PartitionSlot, _ reason: String) {
        self.world.ports.logger.critical(
            "partition failed and takes no more writes until the broker starts again",
            metadata: ["partition": "\(slot.label)", "reason": "\(reason)"])
        self.isClean = false
        if let partition = slot.partition {
            self.tail.withdraw(from: partition.highWatermark, of: slot.tail)
            // What the disk never got is refused for good. The rest may be on it: only recovery will tell.
            self.refuseAcks(slot, above: partition.handedEnd, .storage(reason))
            self.refuseAcks(slot, above: partition.highWatermark, .storageUnknown(reason))
        }
        for deletion in slot.partition?.dropDeletions() ?? [] { deletion.answer(.failure(.storageUnknown(reason))) }
        self.restIfDone(slot)
    }

    func highWatermarkMoved(_ slot: PartitionSlot) {
        self.releaseAcks(slot)
        self.wakeReaders(slot)
    }

    // MARK: Rest

    private func restIfDone(_ slot: PartitionSlot) {
        if self.isClosing { self.closeIfQuiet(slot) }
    }

    /// Nothing of the slot is with the disk any more.
    func atRest(_ slot: PartitionSlot) {
        guard !slot.isInFlight, !slot.isCompacting else { return }
        let whenAtRest = slot.whenAtRest
        slot.whenAtRest = nil
        whenAtRest?()
    }

    /// Writes what a clean close needs and forgets the partition. Nothing when somebody still waits for it.
    func closeIfQuiet(_ slot: PartitionSlot) {
        switch slot.state {
        case .open: break
        case .unopenable, .failed: return self.closed(slot, isClean: false)
        case .opening, .closing, .gone: return
        }
        guard !slot.isInFlight, !slot.isDirty, !slot.isCompacting, slot.parked.isEmpty, slot.waiters.isEmpty,
            !slot.isProceeding
        else { return }
        if let failure = slot.partition?.log.failure {
            // It stays, because it must not be opened again in this life of the process.
            if self.isClosing { self.closed(slot, isClean: self.isUntouched(failure)) }
            return
        }
        guard slot.partition?.isQuiet ?? false else { return }
        guard let job = slot.partition?.close() else { return self.closed(slot, isClean: true) }
        slot.state = .closing
        slot.isInFlight = true
        let box = SlotBox(slot)
        self.world.ports.disk.run(in: slot.lane, on: self.loop) { disk in
            job.run(on: disk)
        } then: { result in
            box.slot.isInFlight = false
            if case .gone = box.slot.state { return self.atRest(box.slot) }
            if case .failure(let failure) = result {
                self.world.ports.logger.error(
                    "partition did not close cleanly",
                    metadata: ["partition": "\(box.slot.label)", "reason": "\(failure.error)"])
                self.closeFailed(box.slot, "\(failure.error)")
            } else {
                self.closed(box.slot, isClean: true)
            }
        }
    }

    /// What is on the disk is not known any more, so the slot stays: the log must not be opened again before a restart.
    private func closeFailed(_ slot: PartitionSlot, _ reason: String) {
        let error = BrokerError.storage("\(slot.id): \(reason)")
        slot.state = .failed(error)
        slot.partition = nil
        self.tail.removeAll(of: slot.tail)
        self.proceed(slot, .failure(error))
        self.isClean = false
        if self.isClosing { self.closed(slot, isClean: false) }
    }

    func closed(_ slot: PartitionSlot, isClean: Bool) {
        if isClean { self.noteEnd(of: slot) } else { self.isClean = false }
        // Only a log that could not be finished has any left; what becomes of them is not known.
        self.refuseAcks(slot, above: Offset(rawValue: -1), .timedOut)
        self.remove(slot, reopening: self.world.topic(slot.id.topic))
        self.tellIfClosed()
    }

    func tellIfClosed() {
        guard self.isClosing, self.slots.isEmpty, let whenClosed = self.whenClosed else { return }
        self.whenClosed = nil
        whenClosed(self.isClean && self.vouchesForAll)
    }
}

/// A log's job that makes its first files.
struct ShardBirth: Sendable {
    let box: SlotBox
    let job: LogJob
    let commands: DiskCommands

    /// Nil: the job is none of these.
    init?(_ slot: PartitionSlot, _ job: LogJob) {
        guard job.isBirth, let commands = job.commands else { return nil }
        self.box = SlotBox(slot)
        self.job = job
        self.commands = commands
    }
}
