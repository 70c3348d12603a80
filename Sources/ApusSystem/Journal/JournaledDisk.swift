package import ApusCore
import Dispatch
package import NIOCore

/// A disk on which the small syncs of many logs share one: instead of one fdatasync for each of a thousand files, one
/// for the journal.
///
/// Wraps any ``Disk`` and keeps its contract: when a sync returns, the file's contents survive. Only
/// ``perform(group:)`` ever journals. There the bytes of each list go into their file (page cache) and once more, as a
/// ``JournalEntry``, into the journal, which is synced once for the whole group; the files' own fdatasync is put off
/// until the journal file is recycled. Large writes, and groups of a few, are synced in their own files: that is one
/// copy less.
///
/// There are two journal files. Entries go to the current one; when it is full the other becomes current. The files
/// that the full one speaks of are then synced in the background (the checkpoint), and only when that is done may it be
/// written over. Blocks of a recycled file were written before, so syncing them does not have to wait for the file
/// system to allocate. `docs/decisions/` has the measurement behind this.
///
/// A failed write or fdatasync of the journal, or of a file at a checkpoint, ends the journal: it is never recycled, so
/// that what it holds stays durable there, and every sync from then on, also of those who waited, is direct.
///
/// Owner: the server, one for each data directory. Thread safe; called on disk threads.
package final class JournaledDisk: Disk {
    package struct Configuration: Sendable {
        /// Bytes after which a journal file is full and the other one is taken.
        package var journalBytes = Limits.journalBytesDefault
        /// A log that wrote more than this is synced in its own file.
        package var listBytesMax = Limits.journalEntryBytesMax
        /// Logs in a group from which on the journal is worth its second copy of the bytes.
        package var groupMin = Limits.journalGroupMin

        package init() {}
    }

    package static let files = [DiskPath("journal.0"), DiskPath("journal.1")]

    private let base: any Disk
    private let configuration: Configuration
    private let gate = ThreadGate()
    private let checkpoints = DispatchQueue(label: "apus.journal.checkpoint", attributes: .concurrent)
    /// Touched under `gate` only.
    nonisolated(unsafe) private var state: JournalState

    /// Replays what an earlier life left, then starts an empty journal. Call before any log is opened.
    package static func open(
        over base: any Disk, configuration: Configuration = Configuration()
    ) throws(DiskError) -> (disk: JournaledDisk, report: JournalReplayReport) {
        let report = try JournalReplay.run(Self.files, on: base)
        let disk = JournaledDisk(over: base, configuration: configuration, generation: report.generationMax + 1)
        do { try base.remove(Self.files[1]) } catch  where error.reason == .notFound {}
        try disk.startFile(0, generation: report.generationMax + 1)
        return (disk, report)
    }

    private init(over base: any Disk, configuration: Configuration, generation: UInt64) {
        self.base = base
        self.configuration = configuration
        self.state = JournalState(generation: generation)
    }

    /// Makes a journal file an empty one of this generation. Its old entries end here.
    private func startFile(_ index: Int, generation: UInt64) throws(DiskError) {
        do { try self.base.create(Self.files[index]) } catch  where error.reason == .exists {}
        try self.base.write([JournalHeader(generation: generation).encoded()], to: Self.files[index], at: .start)
        try self.base.sync(Self.files[index])
        try self.base.syncDirectory(.root)
    }

    // MARK: What the journal is about

    package func perform(group: [DiskCommands]) -> [DiskFailure?] {
        guard group.count >= self.configuration.groupMin else { return self.performEach(group) }
        var failures = [DiskFailure?](repeating: nil, count: group.count)
        var journaled: [(index: Int, file: DiskPath)] = []
        var entries: [JournalEntry] = []
        for (index, commands) in group.enumerated() {
            guard let (file, own) = self.journalable(commands) else {
                failures[index] = self.performEach([commands]).first ?? nil
                continue
            }
            failures[index] = self.performBeside(commands.dropLast())
            guard failures[index] == nil else { continue }
            entries.append(contentsOf: own)
            journaled.append((index, file))
        }
        guard !journaled.isEmpty else { return failures }
        do throws(DiskError) {
            try self.commit(entries)
        } catch {
            // The bytes are in the files as well, so without the journal their own syncs still keep the promise.
            for (index, file) in journaled {
                do throws(DiskError) {
                    try self.base.sync(file)
                } catch {
                    failures[index] = DiskFailure(error, at: group[index].count - 1)
                }
            }
        }
        return failures
    }

    /// Runs commands that the journal answers for, so the files do not count as written beside it.
    private func performBeside(_ commands: ArraySlice<DiskCommand>) -> DiskFailure? {
        for (index, command) in commands.enumerated() {
            do throws(DiskError) {
                try self.base.perform(command)
            } catch {
                return DiskFailure(error, at: index)
            }
        }
        return nil
    }

    /// A list that only writes a little to one file and then syncs it: that file, and the writes as entries. Nil for
    /// any other list, and when the file has bytes from elsewhere that its sync must cover.
    private func journalable(_ commands: DiskCommands) -> (file: DiskPath, entries: [JournalEntry])? {
        guard case .sync(let file) = commands.last else { return nil }
        var entries: [JournalEntry] = []
        var bytes = 0
        for command in commands.dropLast() {
            switch command {
            case .write(let payload, file, let position):
                let entry = JournalEntry(.write, file, at: position, payload: payload)
                bytes += entry.payloadBytes
                entries.append(entry)
            case .allocate(file, upTo: _): continue
            default: return nil
            }
        }
        guard bytes <= self.configuration.listBytesMax.rawValue, self.locked({ $0.mayJournal(file) }) else {
            return nil
        }
        return (file, entries)
    }

    /// Makes the entries durable in the journal. One caller at a time: `commits` is held while the disk works, which
    /// only the loops' few group lanes and rare removals wait for.
    private func commit(_ entries: [JournalEntry]) throws(DiskError) {
        self.commits.lock()
        defer { self.commits.unlock() }
        if self.locked({ $0.isFull(self.configuration.journalBytes) }) { try self.recycle() }
        let work = try self.locked { (state) throws(DiskError) in try state.append(entries) }
        do throws(DiskError) {
            try self.base.write(work.bytes, to: Self.files[work.file], at: work.position)
            try self.base.sync(Self.files[work.file])
        } catch {
            self.locked { $0.end(error) }
            throw error
        }
    }

    private let commits = ThreadGate()

    private func locked<Answer>(
        _ body: (inout JournalState) throws(DiskError) -> Answer
    ) throws(DiskError) -> Answer {
        self.gate.lock()
        defer { self.gate.unlock() }
        return try body(&self.state)
    }

    private func locked<Answer>(_ body: (inout JournalState) -> Answer) -> Answer {
        self.gate.lock()
        defer { self.gate.unlock() }
        return body(&self.state)
    }

    // MARK: Recycling

    /// Takes the other file, once its checkpoint is done. Called under `commits`.
    private func recycle() throws(DiskError) {
        self.gate.lock()
        while !self.state.isCheckpointed { self.gate.wait() }
        let next = self.state.nextFile
        self.gate.unlock()
        guard let next else { return }
        do throws(DiskError) {
            try self.startFile(next.file, generation: next.generation)
        } catch {
            self.locked { $0.end(error) }
            throw error
        }
        self.startCheckpoint(of: self.locked { $0.take(next) })
    }

    /// Syncs, beside everything else, every file that the full journal file speaks of.
    private func startCheckpoint(of files: [DiskPath]) {
        let lanes = max(1, min(files.count, Limits.checkpointSyncsInFlight))
        let group = DispatchGroup()
        for lane in 0..<lanes {
            self.checkpoints.async(group: group) {
                for index in stride(from: lane, to: files.count, by: lanes) { self.checkpoint(files[index]) }
            }
        }
        group.notify(queue: self.checkpoints) {
            self.locked { $0.checkpointed() }
            self.gate.wakeAll()
        }
    }

    private func checkpoint(_ file: DiskPath) {
        do throws(DiskError) {
            try self.base.sync(file)
        } catch {
            if error.reason != .notFound { self.locked { $0.end(error) } }
        }
    }

    /// Syncs every file that only the journal holds durable, so that a clean stop leaves nothing to replay.
    package func checkpoint() throws(DiskError) {
        for file in self.locked({ $0.liveFiles }) {
            do { try self.base.sync(file) } catch  where error.reason == .notFound {}
        }
    }

    // MARK: What changes a file beside the journal

    package func write(_ bytes: [ByteBuffer], to file: DiskPath, at position: FilePosition) throws(DiskError) {
        self.locked { $0.wrote(to: file, at: position) }
        try self.base.write(bytes, to: file, at: position)
    }

    package func sync(_ file: DiskPath) throws(DiskError) {
        let plan = self.locked { $0.syncs(file) }
        try self.base.sync(file)
        if plan == .voidEntries { try self.commit([JournalEntry(.forgetFile, file)]) }
    }

    package func truncate(_ file: DiskPath, to size: ByteCount) throws(DiskError) {
        try self.forget(file)
        try self.base.truncate(file, to: size)
        self.locked { $0.wrote(to: file, at: .start.advanced(by: size)) }
    }

    package func rename(_ file: DiskPath, to name: DiskPath) throws(DiskError) {
        try self.forget(file)
        try self.forget(name)
        try self.base.rename(file, to: name)
    }

    package func remove(_ file: DiskPath) throws(DiskError) {
        try self.forget(file, keepsContents: false)
        try self.base.remove(file)
    }

    package func removeDirectory(_ directory: DiskPath) throws(DiskError) {
        if self.locked({ $0.forgetDirectory(directory) }) {
            try self.commit([JournalEntry(.forgetDirectory, directory)])
        }
        try self.base.removeDirectory(directory)
    }

    /// Makes the file durable in place and its entries void, if it has any.
    private func forget(_ file: DiskPath, keepsContents: Bool = true) throws(DiskError) {
        guard self.locked({ $0.forgetFile(file) }) else { return }
        if keepsContents { try self.base.sync(file) }
        try self.commit([JournalEntry(.forgetFile, file)])
    }

    // MARK: Passed on

    package func create(_ file: DiskPath) throws(DiskError) { try self.base.create(file) }
    package func allocate(_ file: DiskPath, upTo size: ByteCount) throws(DiskError) {
        try self.base.allocate(file, upTo: size)
    }
    package func read(
        _ file: DiskPath, at position: FilePosition, upTo limit: ByteCount
    ) throws(DiskError) -> ByteBuffer {
        try self.base.read(file, at: position, upTo: limit)
    }
    package func size(of file: DiskPath) throws(DiskError) -> ByteCount { try self.base.size(of: file) }
    package func createDirectory(_ directory: DiskPath) throws(DiskError) { try self.base.createDirectory(directory) }
    package func syncDirectory(_ directory: DiskPath) throws(DiskError) { try self.base.syncDirectory(directory) }
    package func list(_ directory: DiskPath) throws(DiskError) -> [String] { try self.base.list(directory) }
    package func close(_ file: DiskPath) { self.base.close(file) }
    package func freeBytes() throws(DiskError) -> ByteCount { try self.base.freeBytes() }
}
