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
/// copy less. `docs/decisions/` has the measurement behind this.
///
/// There are two journal files. Entries go to the current one; when it is full the other becomes current. The files
/// that the full one speaks of are then synced beside everything else (the checkpoint), and only when that is done may
/// it be written over. Blocks of a recycled file were written before, so syncing them does not have to wait for the
/// file system to allocate.
///
/// **What makes a replay harmless.** It writes the entries in their order, so it may only ever put back what was last
/// written there. Whoever cuts, removes or renames a file, or writes over journaled bytes in another way, first makes
/// it durable in place and then voids its entries, and only then goes on. A void stands in the same or a younger
/// journal file than what it voids, and the older one always goes first.
///
/// **What it does not know** is what a process before this one left in the page cache without a sync. Whoever opens a
/// file that may have such bytes, and counts on them, syncs it in place once (``sync(_:)``): a log's recovery does.
///
/// **What rots.** A replay tells damage from the torn end of the last write where it can (``JournalReader``): it says
/// so, goes on behind it, and the damaged file is kept beside the new one.
///
/// **What ends the journal.** A failed write or sync of the journal, or of a file at its checkpoint: from then on every
/// sync, also of those who waited, is direct, and no journal file is written over, because it may hold the only durable
/// copy of something. Voiding goes on in the current file; if that is the one that failed, all that the journal holds
/// is made durable in place and both files are removed, and where that fails too, so does the change that asked for it.
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
        /// The secret of a journal file's checksums, never 0; see ``JournalEntry``.
        package var salt: @Sendable () -> UInt32 = { UInt32.random(in: 1...UInt32.max) }
        /// Makes room when the disk is full before any log is open: true if it is worth trying once more.
        package var makeRoom: @Sendable () throws(DiskError) -> Bool = { false }
        /// Runs a piece of a checkpoint, at some time, on some thread, beside everything else. Whatever it has not done
        /// by the time the other journal file is needed is done by who needs it.
        package var inBackground: @Sendable (_ piece: @escaping @Sendable () -> Void) -> Void

        package init() {
            let queue = DispatchQueue(label: "apus.journal.checkpoint", attributes: .concurrent)
            self.inBackground = { queue.async(execute: $0) }
        }
    }

    package static let files = [DiskPath("journal.0"), DiskPath("journal.1")]

    private let base: any Disk
    private let configuration: Configuration
    private let gate = ThreadGate()
    /// Held while entries are put into the journal: one caller at a time, which only the loops' few group lanes and
    /// rare removals wait for. Taken before `gate`.
    private let commits = ThreadGate()
    /// Touched under `gate` only.
    nonisolated(unsafe) private var state: JournalState

    /// Replays what an earlier life left, then starts an empty journal. Call before any log is opened.
    package static func open(
        over base: any Disk, configuration: Configuration = Configuration()
    ) throws(DiskError) -> (disk: JournaledDisk, report: JournalReplayReport) {
        precondition(configuration.listBytesMax < Limits.journalEntryFileBytesMax, "entries too long to be read back")
        do throws(DiskError) {
            return try self.replayAndOpen(over: base, configuration)
        } catch {
            // Everything that was done may be done again.
            guard error.reason == .full, try configuration.makeRoom() else { throw error }
            return try self.replayAndOpen(over: base, configuration)
        }
    }

    private static func replayAndOpen(
        over base: any Disk, _ configuration: Configuration
    ) throws(DiskError) -> (disk: JournaledDisk, report: JournalReplayReport) {
        let (report, files) = try JournalReplay.run(Self.files, on: base)
        var header = JournalHeader(generation: report.generationMax)
        // The older one first, for good: alone it would bring back what the younger one voids.
        for (index, file) in files.enumerated() {
            if report.damagedFiles.contains(file) {
                try base.rename(file, to: file.damaged)
                try base.syncDirectory(.root)
            }
            header = JournalHeader(
                generation: header.generation + 1, salt: configuration.salt(), entriesOfOther: index == 0 ? nil : 0)
            try Self.start(file, header, on: base)
        }
        let current = Self.files.firstIndex(of: files[files.count - 1]) ?? 0
        let state = JournalState(generation: header.generation, salt: header.salt, current: current)
        return (JournaledDisk(over: base, configuration: configuration, state), report)
    }

    private init(over base: any Disk, configuration: Configuration, _ state: JournalState) {
        self.base = base
        self.configuration = configuration
        self.state = state
    }

    /// Makes a journal file an empty one of this generation. Its old entries end here.
    private static func start(_ file: DiskPath, _ header: JournalHeader, on base: any Disk) throws(DiskError) {
        do { try base.create(file) } catch  where error.reason == .exists {}
        try base.write([header.encoded()], to: file, at: .start)
        try base.sync(file)
        try base.syncDirectory(.root)
    }

    // MARK: What the journal is about

    package func perform(group: [DiskCommands]) -> [DiskFailure?] {
        guard group.count >= self.configuration.groupMin else { return self.performEach(group) }
        var failures = [DiskFailure?](repeating: nil, count: group.count)
        var journaled: [(index: Int, file: DiskPath, isOverEntries: Bool)] = []
        var entries: [JournalEntry] = []
        for (index, commands) in group.enumerated() {
            guard let (file, own) = self.journalable(commands) else {
                failures[index] = self.performEach([commands]).first ?? nil
                continue
            }
            // Before its own entries are among them.
            let isOverEntries = self.locked { $0.areOverEntries(own) }
            if let failure = self.performBeside(commands.dropLast()) {
                // A part of it may be there, and no entry.
                self.locked { $0.wroteBeside(file, isOverEntries: isOverEntries) }
                failures[index] = failure
                continue
            }
            entries.append(contentsOf: own)
            journaled.append((index, file, isOverEntries))
        }
        guard !journaled.isEmpty else { return failures }
        do throws(DiskError) {
            try self.commit(entries)
        } catch {
            // The bytes are in the files as well, so without the journal their own syncs still keep the promise. Where
            // that fails too, the entry may be whole in the journal or not: like any bytes whose sync failed, they may
            // be there after the next start.
            for (index, file, isOverEntries) in journaled {
                self.locked { $0.wroteBeside(file, isOverEntries: isOverEntries) }
                do throws(DiskError) {
                    try self.sync(file)
                } catch {
                    failures[index] = DiskFailure(error, at: group[index].count - 1)
                }
            }
        }
        return failures
    }

    /// New files are synced in place, so the journal has no part in it. What a list writes behind its last sync is in
    /// no hurry, but counts here as written.
    package func perform(births group: [DiskCommands]) -> [DiskFailure?] {
        let ends = group.map { ($0.lastIndex(where: \.isSync) ?? -1) + 1 }
        var failures = self.base.perform(births: zip(group, ends).map { Array($0.prefix($1)) })
        for index in group.indices where failures[index] == nil && ends[index] < group[index].count {
            let rest = Array(group[index].dropFirst(ends[index]))
            guard let failure = self.performEach([rest]).first ?? nil else { continue }
            failures[index] = DiskFailure(failure.error, at: ends[index] + failure.index)
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
        // A sync that brings no bytes of its own is about bytes that the journal knows nothing of.
        guard !entries.isEmpty, bytes <= self.configuration.listBytesMax.rawValue,
            self.locked({ $0.mayJournal(file) })
        else { return nil }
        return (file, entries)
    }

    /// Makes the entries durable in the journal.
    private func commit(_ entries: [JournalEntry]) throws(DiskError) {
        self.commits.lock()
        defer { self.commits.unlock() }
        if self.locked({ $0.isFull(self.configuration.journalBytes) }) { try self.recycle() }
        try self.put(entries)
    }

    /// Called under `commits`.
    private func put(_ entries: [JournalEntry]) throws(DiskError) {
        let work = try self.locked { (state) throws(DiskError) in try state.append(entries) }
        do throws(DiskError) {
            try self.base.write(work.bytes, to: Self.files[work.file], at: work.position)
            try self.base.sync(Self.files[work.file])
        } catch {
            self.locked { $0.fail(error) }
            throw error
        }
    }

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

    /// Takes the other file, once its checkpoint is done: what of it nobody has begun is done here. Under `commits`.
    private func recycle() throws(DiskError) {
        while self.checkNext() {}
        self.gate.lock()
        while !self.state.isChecked { self.gate.wait() }
        let next = self.state.nextFile
        self.gate.unlock()
        guard let next else { return }
        let header = JournalHeader(
            generation: next.generation, salt: self.configuration.salt(), entriesOfOther: next.entriesOfOther)
        do throws(DiskError) {
            try Self.start(Self.files[next.file], header, on: self.base)
        } catch {
            self.locked { $0.end(error) }
            throw error
        }
        let count = self.locked { $0.take(next, salt: header.salt) }
        for _ in 0..<min(count, Limits.checkpointSyncsInFlight) {
            self.configuration.inBackground { while self.checkNext() {} }
        }
    }

    /// Syncs one file of the checkpoint; false when there is none left to begin.
    private func checkNext() -> Bool {
        guard let file = self.locked({ $0.nextToCheck() }) else { return false }
        var failure: DiskError?
        do throws(DiskError) { try self.base.sync(file) } catch { failure = error }
        self.locked { $0.checked(failure) }
        self.gate.wakeAll()
        return true
    }

    /// Syncs every file that only the journal holds durable, so that a clean stop leaves nothing to replay.
    package func checkpoint() throws(DiskError) {
        for file in self.locked({ $0.liveFiles }) {
            do { try self.base.sync(file) } catch  where error.reason == .notFound {}
        }
    }

    // MARK: Voiding

    /// Makes the file durable in place and its entries void, if it has any.
    private func forget(_ file: DiskPath, keepsContents: Bool = true) throws(DiskError) {
        guard self.locked({ $0.hasEntries(file) }) else { return }
        if keepsContents { try self.base.sync(file) }
        try self.void(JournalEntry(.forgetFile, file))
        self.locked { $0.voided(file) }
    }

    /// Makes it durable that these entries do not count. They are still live, here, until that is done.
    private func void(_ entry: JournalEntry) throws(DiskError) {
        self.commits.lock()
        defer { self.commits.unlock() }
        if self.locked({ $0.isFull(self.configuration.journalBytes) }) {
            // The journal ends when this fails, but the full file takes this as well.
            do { try self.recycle() } catch {}
        }
        do throws(DiskError) {
            try self.put([entry])
        } catch {
            try self.abandon()
        }
    }

    /// The current journal file is broken: does without either, for good. Under `commits`.
    private func abandon() throws(DiskError) {
        try self.checkpoint()
        for index in self.locked({ $0.oldestFirst }) {
            do { try self.base.remove(Self.files[index]) } catch  where error.reason == .notFound {}
            try self.base.syncDirectory(.root)
        }
        self.locked { $0.forgetAll() }
    }

    // MARK: What changes a file beside the journal

    package func write(_ bytes: [ByteBuffer], to file: DiskPath, at position: FilePosition) throws(DiskError) {
        self.locked { $0.writeBegins(file, at: position) }
        defer { self.locked { $0.writeEnded(file) } }
        try self.base.write(bytes, to: file, at: position)
    }

    package func sync(_ file: DiskPath) throws(DiskError) {
        while true {
            let sync = self.locked { $0.syncBegins(file) }
            try self.base.sync(file)
            switch self.locked({ $0.syncSucceeded(file, sync) }) {
            case .done: return
            case .syncAgain: continue
            case .voidEntries:
                try self.void(JournalEntry(.forgetFile, file))
                return self.locked { $0.voided(file, sync) }
            }
        }
    }

    package func truncate(_ file: DiskPath, to size: ByteCount) throws(DiskError) {
        try self.forget(file)
        self.locked { $0.writeBegins(file, at: .start.advanced(by: size)) }
        defer { self.locked { $0.writeEnded(file) } }
        try self.base.truncate(file, to: size)
    }

    package func rename(_ file: DiskPath, to name: DiskPath) throws(DiskError) {
        try self.forget(file)
        try self.forget(name)
        try self.base.rename(file, to: name)
        self.locked { $0.renamed(file, to: name) }
    }

    package func remove(_ file: DiskPath) throws(DiskError) {
        try self.forget(file, keepsContents: false)
        self.locked { $0.removed(file) }
        try self.base.remove(file)
    }

    package func removeDirectory(_ directory: DiskPath) throws(DiskError) {
        if self.locked({ $0.hasEntries(below: directory) }) {
            try self.void(JournalEntry(.forgetDirectory, directory))
        }
        self.locked { $0.removed(below: directory) }
        try self.base.removeDirectory(directory)
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
    package func readCached(
        _ file: DiskPath, at position: FilePosition, upTo limit: ByteCount, end: FilePosition
    ) throws(DiskError) -> ByteBuffer? {
        try self.base.readCached(file, at: position, upTo: limit, end: end)
    }
    /// Entries of the journal are not void for it: should a replay put bytes back into the hole, that takes their
    /// blocks again and nothing else.
    package func punchHole(
        in file: DiskPath, from start: FilePosition, upTo end: FilePosition
    ) throws(DiskError) -> Bool {
        try self.base.punchHole(in: file, from: start, upTo: end)
    }
    package func size(of file: DiskPath) throws(DiskError) -> ByteCount { try self.base.size(of: file) }
    package func createDirectory(_ directory: DiskPath) throws(DiskError) { try self.base.createDirectory(directory) }
    package func syncDirectory(_ directory: DiskPath) throws(DiskError) { try self.base.syncDirectory(directory) }
    package func list(_ directory: DiskPath) throws(DiskError) -> [String] { try self.base.list(directory) }
    package func close(_ file: DiskPath) { self.base.close(file) }
    package func freeBytes() throws(DiskError) -> ByteCount { try self.base.freeBytes() }
}
