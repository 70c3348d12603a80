import ApusCore
import ApusLog
import Logging
import NIOCore

extension Shard {
    /// Reads every entry of the part; hands the part back when all of them have a result.
    func read(_ part: FetchPart) {
        self.loop.assertInEventLoop()
        part.bytesFound = 0
        part.cachedBytesLeft = Limits.cachedReadBytesMax.rawValue
        // One for this walk, so that the part is not complete before its last entry was looked at.
        part.readsPending = 1
        for index in part.entries.indices {
            let entry = part.entries[index]
            if let slot = self.openSlot(entry.id, entry.topic) {
                self.read(part, index, slot)
            } else {
                part.readsPending += 1
                self.withSlot(of: entry.topic, entry.wish.partition) { [unowned self] result in
                    switch result {
                    case .success(let slot): self.read(part, index, slot)
                    case .failure(let error): part.results[index] = FetchResult(error: error)
                    }
                    self.readDone(part)
                }
            }
        }
        self.readDone(part)
    }

    private func readDone(_ part: FetchPart) {
        part.readsPending -= 1
        if part.readsPending == 0 { part.operation?.partRead(part) }
    }

    private func read(_ part: FetchPart, _ index: Int, _ slot: PartitionSlot, isSecondTry: Bool = false) {
        guard slot.isWindowed else { return self.read(part, index, slot, window: .zero, isSecondTry: isSecondTry) }
        part.readsPending += 1
        self.noteUse(by: part.reader, slot)
        self.withWindow(of: part.reader, slot) { [unowned self] start in
            switch start {
            case .success(let start): self.read(part, index, slot, window: start, isSecondTry: isSecondTry)
            case .failure(let error): part.results[index] = FetchResult(error: error)
            }
            self.readDone(part)
        }
    }

    private func read(
        _ part: FetchPart, _ index: Int, _ slot: PartitionSlot, window: Offset, isSecondTry: Bool
    ) {
        guard let partition = slot.partition else {
            part.results[index] = FetchResult(error: .unknownTopicOrPartition)
            return
        }
        part.seen[index] = FetchPart.Seen(slot: slot, visibleBytes: partition.visibleBytes)
        let wish = part.entries[index].wish
        let left = max(0, part.bytesMax.rawValue - part.bytesFound)
        let limit = ByteCount(rawValue: min(wish.bytesMax.rawValue, left))
        switch partition.read(wish, upTo: limit, window: window, tail: slot.tail) {
        case .now(var result):
            self.fit(&result, into: limit, part)
            part.results[index] = result
        case .onDisk(let result, let read):
            part.results[index] = result
            self.load(read, for: Wanted(part: part, index: index, slot: slot, limit: limit, isSecondTry: isSecondTry))
        }
    }

    /// What one entry of a part wants from the disk.
    private struct Wanted {
        let part: FetchPart
        let index: Int
        let slot: PartitionSlot
        let limit: ByteCount
        /// It was planned again, since retention was faster than the disk.
        var isSecondTry = false
        /// Segments read so far.
        var segments = 0

        var result: FetchResult {
            get { self.part.results[self.index] }
            nonmutating set { self.part.results[self.index] = newValue }
        }
    }

    /// From the page cache here and now, if all of it is there: a thread woken for it, and back, costs a third of the
    /// reading, and leaves the bytes in the cache of another core. Else on a disk thread.
    private func load(_ read: LogRead, for wanted: Wanted) {
        let (part, slot) = (wanted.part, wanted.slot)
        if read.isExact, read.limit.rawValue <= part.cachedBytesLeft, slot.mayBeCached() {
            if let found = read.runCached(on: self.world.ports.disk.disk) {
                part.cachedBytesLeft -= read.limit.rawValue
                slot.partition?.learned(from: read, .success(found))
                return self.take(found, for: wanted)
            }
            slot.wasNotCached()
        }
        part.readsPending += 1
        // As if it found all it may: what comes behind it in the request gets the rest.
        part.bytesFound += wanted.limit.rawValue
        let box = SlotBox(slot)
        let (index, limit, isSecondTry, segments) = (wanted.index, wanted.limit, wanted.isSecondTry, wanted.segments)
        self.world.ports.disk.run(in: slot.readLane, on: self.loop) { disk in
            Shard.run(read, on: disk)
        } then: { outcome in
            part.bytesFound -= limit.rawValue
            self.loaded(
                read, outcome,
                for: Wanted(
                    part: part, index: index, slot: box.slot, limit: limit, isSecondTry: isSecondTry,
                    segments: segments))
            self.readDone(part)
        }
    }

    private func loaded(_ read: LogRead, _ outcome: Result<LogRead.Result, LogError>, for wanted: Wanted) {
        let slot = wanted.slot
        // Zeros where the log begins behind by now are a hole, and no damage.
        let outcome = slot.partition?.log.judged(outcome, of: read) ?? outcome
        slot.partition?.learned(from: read, outcome)
        switch outcome {
        case .success(let found):
            self.take(found, for: wanted)
        case .failure(let error):
            if case .damaged(let damage) = error {
                self.world.ports.logger.error(
                    "damaged records", metadata: ["partition": "\(slot.label)", "damage": "\(damage)"])
            }
            guard wanted.result.batches.isEmpty else {
                // What was found before it stands; whoever reads on from there is told.
                return self.keep(for: wanted)
            }
            if case .gone = error, !wanted.isSecondTry {
                // Retention was faster than the disk: plan again, now from the new start of the log.
                return self.read(wanted.part, wanted.index, slot, isSecondTry: true)
            }
            wanted.result.error = slot.partition?.error(error) ?? .storage("\(error)")
        }
    }

    /// Adds what was found to the entry's result, and reads on in the next segment if there is room for more.
    private func take(_ found: LogRead.Result, for wanted: Wanted) {
        let left = wanted.limit.rawValue - wanted.result.byteCount.rawValue
        // The first batch of a read comes whole, but only the first of an answer may go over the limit.
        guard found.byteCount <= left || wanted.result.batches.isEmpty else { return self.keep(for: wanted) }
        wanted.result.batches += found.batches
        let rest = left - found.byteCount
        // With little room left it would mostly read a batch that does not fit.
        guard let next = found.continuation, rest * 2 >= wanted.limit.rawValue,
            wanted.segments + 1 < Limits.fetchSegmentsMax,
            let read = wanted.slot.partition?.readOn(from: next, upTo: .bytes(rest))
        else { return self.keep(for: wanted) }
        var wanted = wanted
        wanted.segments += 1
        self.load(read, for: wanted)
    }

    private func keep(for wanted: Wanted) {
        self.fit(&wanted.part.results[wanted.index], into: wanted.limit, wanted.part)
    }

    private static func run(_ read: LogRead, on disk: any Disk) -> Result<LogRead.Result, LogError> {
        do throws(LogError) { return .success(try read.run(on: disk)) } catch { return .failure(error) }
    }

    /// Only the first batch of an answer may be larger than what was asked for. Many small batches become one buffer,
    /// because a buffer costs a socket more than the copying of a few hundred bytes.
    private func fit(_ result: inout FetchResult, into limit: ByteCount, _ part: FetchPart) {
        guard !result.batches.isEmpty else { return }
        let byteCount = result.byteCount.rawValue
        guard byteCount <= limit.rawValue || part.bytesFound == 0 else {
            result.batches = []
            return
        }
        part.bytesFound += byteCount
        guard result.batches.count > 4, byteCount / result.batches.count < 4096 else { return }
        var joined = ByteBufferAllocator().buffer(capacity: byteCount)
        for batch in result.batches { joined.writeImmutableBuffer(batch) }
        result.batches = [joined]
    }

    // MARK: Parking

    /// Waits on every partition of the part, until `missing` bytes became visible there or the time is over. At once
    /// when something has happened since the part was read.
    func park(_ part: FetchPart, missing: Int, until deadline: Instant, round: UInt32) {
        part.isParked = true
        part.round = round
        part.bytesMissing = missing
        for (entry, seen) in zip(part.entries, part.seen) {
            guard let slot = seen.slot, self.slots[entry.id] === slot, case .open = slot.state,
                let visible = slot.partition?.visibleBytes
            else { return self.wake(part, isTimeOver: self.isClosing) }
            part.bytesMissing -= Int(visible - seen.visibleBytes)
            slot.parked.append(part)
        }
        guard !self.isClosing else { return self.wake(part, isTimeOver: true) }
        guard part.bytesMissing > 0 else { return self.wake(part) }
        part.timer = self.wheel.insert(.fetch(part), at: deadline)
        self.keepTicking()
    }

    func unpark(_ part: FetchPart) {
        guard part.isParked else { return }
        part.isParked = false
        if let timer = part.timer { self.wheel.cancel(timer) }
        part.timer = nil
        for seen in part.seen {
            guard let slot = seen.slot, let place = slot.parked.lastIndex(where: { $0 === part }) else { continue }
            slot.parked.swapAt(place, slot.parked.count - 1)
            slot.parked.removeLast()
        }
    }

    /// Nobody wants the part any more.
    func forget(_ part: FetchPart) {
        self.unpark(part)
        part.operation = nil
    }

    func wake(_ part: FetchPart, isTimeOver: Bool = false) {
        guard part.isParked else { return }
        self.unpark(part)
        part.operation?.woken(round: part.round, isTimeOver: isTimeOver)
    }

    /// The high watermark of the slot moved.
    func wakeReaders(_ slot: PartitionSlot) {
        guard !slot.parked.isEmpty, let visible = slot.partition?.visibleBytes else { return }
        var ready: [FetchPart] = []
        for part in slot.parked {
            guard let place = part.seen.firstIndex(where: { $0.slot === slot }) else { continue }
            part.bytesMissing -= Int(visible - part.seen[place].visibleBytes)
            part.seen[place].visibleBytes = visible
            if part.bytesMissing <= 0 { ready.append(part) }
        }
        for part in ready { self.wake(part) }
    }

    /// Who waits to read looks again whether he still may.
    func rightsChanged() {
        for slot in self.slots.values where !slot.parked.isEmpty { self.wakeAll(slot) }
    }

    func wakeAll(_ slot: PartitionSlot, isTimeOver: Bool = false) {
        let parked = slot.parked
        for part in parked { self.wake(part, isTimeOver: isTimeOver) }
    }
}
