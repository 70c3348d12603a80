package import ApusCore

/// Disk work that a log asks for: run the steps in order, on a disk thread, and tell the log how it went.
///
///     while let job = log.nextJob() {
///         queue.run(in: lane, on: loop, { job.run(on: $0) }) { outcome in progress = log.finished(job.token, outcome)
/// }
///     }
///
/// A log has at most one job in flight; everything that is appended meanwhile goes into the next one.
package struct LogJob: Sendable {
    package struct Token: Hashable, Sendable {
        let number: UInt64
    }

    /// What failed. The steps after it were not run.
    package struct Failure: Error, Hashable, Sendable {
        package let error: DiskError
        /// There was no room for it, and nothing was promised yet: the job can be undone and the log lives on.
        package let isFull: Bool
    }

    enum Step: Sendable {
        case run(DiskCommand)
        /// Removes a file that may not be there.
        case discard(DiskPath)
        /// Gives back what lies in front of an offset that the log begins at. A favour: whether it is done or not, the
        /// job goes on.
        case punchHole(SegmentSource, below: Offset)
    }

    package let token: Token
    /// Bytes of batches in it.
    package let byteCount: ByteCount
    var steps: [Step]

    /// Nothing but a small write into the page cache, which costs less than a thread woken for it.
    package var isShort: Bool {
        guard self.steps.count == 1, case .run(.write) = self.steps[0] else { return false }
        return self.byteCount <= Limits.shortWriteBytesMax
    }

    /// The job as a list that a disk may run in a group with those of other logs; nil when it has steps that only
    /// ``run(on:)`` knows.
    package var commands: DiskCommands? {
        var commands: DiskCommands = []
        for step in self.steps {
            guard case .run(let command) = step else { return nil }
            commands.append(command)
        }
        return commands
    }

    /// The log's first files are in it: such jobs go to the disk together (``Disk/perform(births:)``).
    package var isBirth: Bool {
        guard case .run(.createDirectory)? = self.steps.first else { return false }
        return self.steps.contains { step in
            guard case .run(.create) = step else { return false }
            return true
        }
    }

    /// What ``run(on:)`` would have answered, of a run of `commands` in a group.
    package func outcome(_ failure: DiskFailure?) -> Result<Void, Failure> {
        guard let failure else { return .success(()) }
        let isSync = self.steps.indices.contains(failure.index) && self.steps[failure.index].isSync
        return .failure(Failure(error: failure.error, isFull: failure.error.reason == .full && !isSync))
    }

    /// Blocking: disk threads only.
    package func run(on disk: any Disk) -> Result<Void, Failure> {
        for step in self.steps {
            do throws(DiskError) {
                switch step {
                case .run(let command): try disk.perform(command)
                case .discard(let file): try disk.discard(file)
                case .punchHole(let source, let start): source.punchHole(below: start, on: disk)
                }
            } catch {
                return .failure(Failure(error: error, isFull: error.reason == .full && !step.isSync))
            }
        }
        return .success(())
    }
}

extension LogJob.Step {
    /// After a failed sync nobody knows what is on the disk, whatever the reason was.
    fileprivate var isSync: Bool {
        switch self {
        case .run(.sync), .run(.syncDirectory): true
        default: false
        }
    }
}

extension Disk {
    /// Removes a file that may not be there.
    func discard(_ file: DiskPath) throws(DiskError) {
        do throws(DiskError) {
            try self.remove(file)
        } catch {
            guard error.reason == .notFound else { throw error }
        }
    }
}

/// Where a log is after a job.
package struct LogProgress: Hashable, Sendable {
    package enum Event: Hashable, Sendable {
        case advanced
        /// No room. The next job takes back what this one began; until it has finished nothing more is appended, and
        /// nobody is told.
        case full
        /// Everything that was not written is out of the log for certain, also after a crash: the batches at
        /// `writtenEnd` and above fail with "storage full", and appends may go on from there.
        case withdrawn
        /// The log is dead. What is not durable fails.
        case failed(LogFailure)
    }

    package var event: Event
    /// All below it was handed to the file system.
    package var writtenEnd: Offset
    /// All below it survives a power cut.
    package var durableEnd: Offset
    /// The log start that survives a power cut: what DeleteRecords waits for.
    package var durableStart: Offset
}
