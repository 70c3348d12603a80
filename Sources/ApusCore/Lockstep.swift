/// A disk that can make directories without waiting for each.
package protocol LockstepDisk: Disk {
    /// Makes what is missing of the steps down to a directory. Answers those that are not known to be durable, from the
    /// top: each is when the one above it was synced.
    func makeDirectories(_ directory: DiskPath) throws(DiskError) -> [DiskPath]
    /// These are durable now.
    func areDurable(_ directories: [DiskPath])
}

/// Many lists run in step: each up to its next sync, then one wait for all of them, then on to the one after.
///
/// One new log is two directories, a file, and five syncs one behind the other, each of which waits until the file
/// system commits its own journal: 76 topics a second (ext4). In step, the first sync commits the names and headers of
/// all, and the second their batches.
///
/// What a list promises by its order holds as if it ran alone: nothing behind a sync is begun before that sync is over.
/// Beyond that the lists have no order among them, and none is needed, since they have no file in common.
package struct Lockstep {
    /// One list on its way.
    private struct Runner {
        let commands: DiskCommands
        var next = 0
        /// What it waits for: a run of syncs, from `next` on.
        var syncs: Range<Int> { self.next..<self.end }
        var end = 0
        /// Directories that are durable when those above them were synced.
        var made: [DiskPath] = []

        var isWaiting: Bool { !self.syncs.isEmpty || !self.made.isEmpty }
    }

    package private(set) var failures: [DiskFailure?]
    private var runners: [Runner]
    private let disk: any LockstepDisk
    /// Does all these syncs in one. Answers why none of them counts.
    private let syncAsOne: (([DiskCommand]) -> DiskError?)?

    package init(
        _ group: [DiskCommands], on disk: any LockstepDisk, syncAsOne: (([DiskCommand]) -> DiskError?)? = nil
    ) {
        self.disk = disk
        self.syncAsOne = syncAsOne
        self.runners = group.map { Runner(commands: $0) }
        self.failures = group.map { _ in nil }
    }

    package mutating func run() {
        while true {
            for index in self.runners.indices where self.failures[index] == nil { self.advance(index) }
            let waiting = self.runners.indices.filter { self.failures[$0] == nil && self.runners[$0].isWaiting }
            guard !waiting.isEmpty else { return }
            if let syncAsOne, waiting.count >= Limits.birthsSyncedAsOneMin {
                self.syncAsOne(waiting, syncAsOne)
            } else {
                self.syncEach(waiting)
            }
        }
    }

    /// Runs a list up to its next sync, or its end.
    private mutating func advance(_ index: Int) {
        let commands = self.runners[index].commands
        while self.runners[index].next < commands.count, !commands[self.runners[index].next].isSync {
            do throws(DiskError) {
                switch commands[self.runners[index].next] {
                case .createDirectory(let path): self.runners[index].made += try self.disk.makeDirectories(path)
                case let command: try self.disk.perform(command)
                }
            } catch {
                self.failures[index] = DiskFailure(error, at: self.runners[index].next)
                return
            }
            self.runners[index].next += 1
        }
        self.runners[index].end = self.runners[index].next
        while self.runners[index].end < commands.count, commands[self.runners[index].end].isSync {
            self.runners[index].end += 1
        }
    }

    /// The list has what it waited for.
    private mutating func synced(_ index: Int) {
        self.disk.areDurable(self.runners[index].made)
        self.runners[index].made = []
        self.runners[index].next = self.runners[index].end
    }

    // MARK: One by one

    /// The first of these makes the file system commit for all; the others find it done.
    private mutating func syncEach(_ waiting: [Int]) {
        var directories: [DiskPath: DiskError?] = [:]
        for index in waiting {
            let runner = self.runners[index]
            var place = max(0, runner.syncs.lowerBound - 1)
            do throws(DiskError) {
                for path in runner.made { try self.syncOnce(path.directory, &directories) }
                for sync in runner.syncs {
                    place = sync
                    if case .syncDirectory(let path) = runner.commands[sync] {
                        try self.syncOnce(path, &directories)
                    } else {
                        try self.disk.perform(runner.commands[sync])
                    }
                }
                self.synced(index)
            } catch {
                self.failures[index] = DiskFailure(error, at: place)
            }
        }
    }

    /// All names were made before the first of these syncs, so one of each directory is enough.
    private func syncOnce(_ directory: DiskPath, _ known: inout [DiskPath: DiskError?]) throws(DiskError) {
        if let outcome = known[directory] {
            if let outcome { throw outcome }
            return
        }
        do throws(DiskError) {
            try self.disk.syncDirectory(directory)
            known[directory] = .some(nil)
        } catch {
            known[directory] = error
            throw error
        }
    }

    // MARK: As one

    /// The file system does not say whose bytes it could not write. So a failure is everyone's: all these files and
    /// their directories are dead, and all these lists have failed. The directories above, which others share, are not
    /// known to be durable then, and are synced again by whoever needs them next.
    private mutating func syncAsOne(_ waiting: [Int], _ sync: ([DiskCommand]) -> DiskError?) {
        let failure = sync(waiting.flatMap { self.runners[$0].commands[self.runners[$0].syncs] })
        for index in waiting {
            guard let failure else {
                self.synced(index)
                continue
            }
            let last = self.runners[index].commands.count - 1
            self.failures[index] = DiskFailure(failure, at: min(self.runners[index].next, last))
        }
    }
}
