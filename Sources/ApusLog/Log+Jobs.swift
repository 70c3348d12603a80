import ApusCore
import NIOCore

extension Log {
    /// Everything that waits, as one job; nil while one is in flight or nothing is to be done.
    ///
    /// The order inside a job is what makes a crash between any two steps harmless:
    /// - A new segment: finish and sync the one before, then the `state` file that says so, then make the file, write
    ///   and
    ///   sync its header, sync the directory, and only then write batches. So a file without a header holds nothing,
    ///   and a file with batches and without a header is damaged, never unfinished.
    /// - Removed segments: the `state` file first, the files after. Leftovers are known as such.
    package mutating func nextJob() -> LogJob? {
        guard self.work.flight == nil, self.failure == nil else { return nil }
        if self.work.isMending { return self.mendJob() }
        if self.work.isStateDue || self.isCheckpointDue { return self.stateJob() }
        if self.writing.waiting.isEmpty, !self.ahead.isEmpty { self.startNextSegment() }
        return self.writing.waiting.isEmpty ? nil : self.writeJob()
    }

    var hasWork: Bool {
        guard self.failure == nil else { return false }
        return self.work.isMending || self.work.isStateDue || self.isCheckpointDue || !self.writing.waiting.isEmpty
            || !self.ahead.isEmpty
    }

    /// The job is done, or the first of its steps that failed is known.
    /// - Precondition: it is the one in flight.
    package mutating func finished(_ token: LogJob.Token, _ outcome: Result<Void, LogJob.Failure>) -> LogProgress {
        guard let flight = self.work.flight, flight.token == token else {
            preconditionFailure("finished a job that is not in flight")
        }
        self.work.flight = nil
        let event: LogProgress.Event
        switch outcome {
        case .success: event = self.succeeded(flight)
        case .failure(let failure): event = self.failed(flight, failure)
        }
        return self.progress(event)
    }

    /// What would be told if a job finished now.
    func progress(_ event: LogProgress.Event) -> LogProgress {
        LogProgress(
            event: event, writtenEnd: self.writtenEnd, durableEnd: self.durableEnd, durableStart: self.work.durableStart
        )
    }

    /// Everything that waits must be written before. Afterwards the log takes nothing more.
    ///
    /// A clean shutdown is the success of this job on every log. Small logs write nothing: recovery reads them faster
    /// than a checkpoint is synced.
    /// - Precondition: `isIdle`, or the log failed (then there is nothing to do and nil comes back).
    package mutating func close() -> LogJob? {
        guard self.failure == nil else { return nil }
        precondition(self.work.flight == nil && self.ahead.isEmpty && self.writing.waiting.isEmpty, "closed in work")
        var flight = self.flight(.close)
        var steps: [LogJob.Step] = []
        let unsaved = self.writing.written.byteCount - self.work.recovery.position
        // When records without timestamps came, nothing but `state` says.
        let isTimeless = self.writing.checked.isTimeless && unsaved > 0 && self.writing.written.end > self.writing.base
        if self.work.isStateDue || self.work.isStateOwed || isTimeless || unsaved > Limits.closeScanBytesMax.rawValue {
            steps += self.checkpointSteps(&flight)
        } else if self.durableEnd < self.writtenEnd {
            steps.append(.run(.sync(self.writing.file)))
            flight.isSynced = true
        }
        steps.append(.run(.close(self.writing.file)))
        return self.depart(flight, steps, bytes: 0)
    }

    // MARK: Making jobs

    private var isCheckpointDue: Bool {
        // Owed: it was tried on a full disk. Trying again at once would be for ever.
        guard self.writing.isOnDisk, !self.work.isStateOwed else { return false }
        return self.writing.written.byteCount - self.work.recovery.position
            >= self.configuration.checkpointBytes.rawValue
    }

    /// All of the segment is written: jobs go on to the next one.
    mutating func startNextSegment() {
        self.work.unfinished = LogWork.Unfinished(
            file: self.writing.file, base: self.writing.base, salt: self.writing.salt,
            byteCount: self.writing.written.byteCount, allocated: self.writing.allocated, index: self.writing.index
        )
        self.closed.append(self.writing.closed)
        self.writing = self.ahead.removeFirst()
    }

    private mutating func flight(_ kind: LogWork.Flight.Kind) -> LogWork.Flight {
        self.work.jobs += 1
        return LogWork.Flight(
            token: LogJob.Token(number: self.work.jobs), kind: kind, written: self.writing.written,
            allocated: self.writing.allocated, isSynced: false, start: self.startOffset
        )
    }

    private mutating func depart(_ flight: LogWork.Flight, _ steps: [LogJob.Step], bytes: Int) -> LogJob {
        self.work.flight = flight
        self.work.handedEnd = max(self.work.handedEnd, flight.written.end)
        return LogJob(token: flight.token, byteCount: .bytes(bytes), steps: steps)
    }

    private mutating func writeJob() -> LogJob {
        var flight = self.flight(.write)
        var steps: [LogJob.Step] = []
        if !self.writing.isOnDisk { steps += self.makeFileSteps(&flight) }
        let file = self.writing.file
        let start = self.writing.written.byteCount
        let batches = self.writing.waiting
        self.writing.waiting = []
        // With no segment ahead the mark is the end of `batches`; with one, appends to this segment are over.
        flight.written = self.writing.mark
        if flight.written.byteCount > flight.allocated {
            flight.allocated = self.allocation(for: flight.written.byteCount)
            steps.append(.run(.allocate(file, upTo: .bytes(flight.allocated))))
        }
        let gathered = SealedBatches(
            batches, seed: self.writing.sealSeed, isDurable: self.configuration.isDurable
        )
        precondition(start + gathered.byteCount == flight.written.byteCount, "the mark is not where the batches end")
        let position = FilePosition(rawValue: Int64(start))
        steps.append(.run(.write(gathered.buffers, to: file, at: position)))
        if self.configuration.isDurable {
            steps.append(.run(.sync(file)))
            flight.isSynced = true
        }
        return self.depart(flight, steps, bytes: gathered.byteCount)
    }

    private mutating func makeFileSteps(_ flight: inout LogWork.Flight) -> [LogJob.Step] {
        var steps: [LogJob.Step] = []
        if self.work.unfinished != nil {
            steps += self.finishSteps(&flight)
            steps += self.stateSteps(&flight)
        } else {
            steps.append(.run(.createDirectory(self.identity.directory)))
        }
        let header = SegmentHeader(
            topicPartition: self.identity.topicPartition, baseOffset: self.writing.base, salt: self.writing.salt,
            createdAt: self.writing.createdAt
        )
        let file = self.writing.file
        steps.append(.run(.create(file)))
        steps.append(.run(.write([header.encoded()], to: file, at: .start)))
        steps.append(.run(.sync(file)))
        steps.append(.run(.syncDirectory(self.identity.directory)))
        flight.makesFile = true
        return steps
    }

    /// Makes the closed segment in front of the new one final: no zeros at its end, all of it durable, and indexed.
    private func finishSteps(_ flight: inout LogWork.Flight) -> [LogJob.Step] {
        guard let unfinished = self.work.unfinished else { return [] }
        flight.finishes = true
        var steps: [LogJob.Step] = []
        if unfinished.allocated > unfinished.byteCount {
            steps.append(.run(.truncate(unfinished.file, to: .bytes(unfinished.byteCount))))
        }
        steps.append(.run(.sync(unfinished.file)))
        steps += self.indexSteps(
            base: unfinished.base, salt: unfinished.salt, covered: unfinished.byteCount, unfinished.index
        )
        return steps
    }

    /// How long the file should be to hold `needed` bytes: growing steps, so that a topic of one record takes 4 KiB and
    /// a busy one is not set aside for piece by piece.
    private func allocation(for needed: Int) -> Int {
        let page = Limits.segmentAllocationStepMin.rawValue
        func rounded(_ count: Int) -> Int { (count + page - 1) / page * page }
        guard needed > page, !self.work.isTight else { return rounded(needed) }
        let step = min(needed, Limits.segmentAllocationStepMax.rawValue)
        let segment = rounded(min(self.configuration.segmentBytes, Limits.segmentFileBytesMax - .bytes(page)).rawValue)
        return max(rounded(needed), min(rounded(needed + step), segment))
    }

    private mutating func stateJob() -> LogJob {
        var flight = self.flight(.state)
        self.work.isStateDue = false
        let steps = self.checkpointSteps(&flight)
        return self.depart(flight, steps, bytes: 0)
    }

    private mutating func checkpointSteps(_ flight: inout LogWork.Flight) -> [LogJob.Step] {
        var steps: [LogJob.Step] = []
        if self.writing.isOnDisk {
            // Durable logs are synced already; but what a log of yesterday's configuration wrote is not.
            if self.durableEnd < self.writtenEnd { steps.append(.run(.sync(self.writing.file))) }
            flight.isSynced = true
            steps += self.indexSteps(
                base: self.writing.base, salt: self.writing.salt, covered: self.writing.written.byteCount,
                self.writing.writtenIndex
            )
        } else {
            steps.append(.run(.createDirectory(self.identity.directory)))
            steps += self.finishSteps(&flight)
        }
        steps += self.stateSteps(&flight)
        return steps
    }

    /// Replaces the `state` file, then removes what it says is not in the log any more. The recovery point becomes the
    /// end of what is written, which must be durable by the steps in front of these.
    private mutating func stateSteps(_ flight: inout LogWork.Flight) -> [LogJob.Step] {
        let point = RecoveryPoint(offset: self.writing.written.end, position: self.writing.written.byteCount)
        var epochs = self.epochs
        epochs.rewind(to: point.offset)
        let state = LogState(
            topicPartition: self.identity.topicPartition, start: self.startOffset, compactedEnd: self.compactedEnd,
            active: self.writing.checked, closed: self.closed, epochs: epochs,
            producers: self.producers.rewound(to: point.offset).all
        )
        flight.recovery = point
        flight.start = self.startOffset
        flight.doomed = self.work.doomed.count
        self.work.isStateDue = false
        self.work.isStateOwed = false
        var steps = self.replaceSteps(FileName.stateName, state.encoded())
        steps.append(.run(.syncDirectory(self.identity.directory)))
        if !self.work.isMarked {
            let marker = self.identity.directory.appending(FileName.markerName)
            steps += [.discard(marker), .run(.create(marker)), .run(.syncDirectory(self.identity.directory))]
        }
        for file in self.work.doomed {
            steps.append(.run(.close(file)))
            steps.append(.discard(file))
        }
        if let (hole, source) = self.holeDue {
            flight.hole = hole
            steps.append(.punchHole(source, below: hole.start))
        }
        return steps
    }

    /// Writes a segment's index file. Not for segments so short that reading them is as fast.
    private func indexSteps(base: Offset, salt: UInt64, covered: Int, _ index: SparseIndex) -> [LogJob.Step] {
        guard !index.entries.isEmpty else { return [] }
        let file = IndexFile(
            topicPartition: self.identity.topicPartition, base: base, salt: salt, covered: covered, index: index
        )
        return self.replaceSteps(FileName.indexName(base), file.encoded())
    }

    /// Temporary file, sync, rename: the name stands for the old bytes or the new, never for half. The caller syncs the
    /// directory.
    private func replaceSteps(_ name: String, _ bytes: ByteBuffer) -> [LogJob.Step] {
        let file = self.identity.directory.appending(name)
        let temporary = self.identity.directory.appending(FileName.temporaryName(name))
        return [
            .discard(temporary),
            .run(.create(temporary)),
            .run(.write([bytes], to: temporary, at: .start)),
            .run(.sync(temporary)),
            .run(.rename(temporary, to: file)),
        ]
    }

    /// Takes back what a job began that found the disk full: the withdrawn batches must not come back after a crash,
    /// because their producers are about to be told that they failed.
    private mutating func mendJob() -> LogJob {
        var flight = self.flight(.mend)
        let file = self.writing.file
        var steps: [LogJob.Step] = []
        if self.writing.isOnDisk {
            flight.allocated = self.writing.written.byteCount
            steps.append(.run(.truncate(file, to: .bytes(flight.allocated))))
            steps.append(.run(.sync(file)))
        } else {
            flight.allocated = 0
            steps.append(.run(.createDirectory(self.identity.directory)))
            steps.append(.run(.close(file)))
            steps.append(.discard(file))
            steps.append(.run(.syncDirectory(self.identity.directory)))
        }
        return self.depart(flight, steps, bytes: 0)
    }

    // MARK: What became of them

    private mutating func succeeded(_ flight: LogWork.Flight) -> LogProgress.Event {
        self.writing.written = flight.written
        self.writing.allocated = flight.allocated
        if flight.makesFile {
            self.writing.isOnDisk = true
            self.work.isTight = false
        }
        self.writtenEnd = flight.written.end
        if flight.finishes {
            self.work.unfinished = nil
            self.durableEnd = max(self.durableEnd, self.writing.base)
        }
        if flight.isSynced { self.durableEnd = self.writtenEnd }
        if let recovery = flight.recovery {
            self.work.isMarked = true
            self.work.recovery = recovery
            self.work.durableStart = flight.start
            self.work.doomed.removeFirst(flight.doomed)
            self.work.hole = flight.hole ?? self.work.hole
        }
        switch flight.kind {
        case .write:
            if self.work.isStateOwed { self.work.isStateDue = true }
            return .advanced
        case .state: return .advanced
        case .close:
            self.failure = .closed
            return .advanced
        case .mend:
            self.work.isMending = false
            self.withdraw()
            return .withdrawn
        }
    }

    private mutating func failed(_ flight: LogWork.Flight, _ failure: LogJob.Failure) -> LogProgress.Event {
        guard failure.isFull, flight.kind == .write || flight.kind == .state else {
            self.fail(.disk(failure.error))
            return .failed(.disk(failure.error))
        }
        self.work.isTight = true
        // The start that a failed state file should have held is still owed; the next occasion tries again.
        if flight.recovery != nil { self.work.isStateOwed = true }
        guard flight.kind == .write else { return .full }
        self.work.isMending = true
        return .full
    }

    /// Drops what was appended and not written.
    private mutating func withdraw() {
        self.writing.withdraw()
        self.ahead = []
        self.endOffset = self.writtenEnd
        self.work.handedEnd = self.writtenEnd
        self.epochs.rewind(to: self.writtenEnd)
        self.producers.rewind(to: self.writtenEnd)
    }

    /// No way back: a second sync may say yes to bytes that are gone.
    mutating func fail(_ failure: LogFailure) {
        self.failure = failure
        self.writing.waiting = []
        self.ahead = []
    }
}

extension OpenSegment {
    /// The index without entries for what is not written yet.
    var writtenIndex: SparseIndex {
        var index = self.index
        index.cut(to: self.written.byteCount)
        return index
    }
}
