package import ApusCore
import Dispatch
package import NIOCore

/// A disk whose small syncs share one: instead of one fdatasync for each of a thousand files, one for the journal.
///
/// Wraps any ``Disk`` and keeps its contract: when ``sync(_:)`` returns, the file's contents survive. Two ways lead
/// there, chosen for each sync:
///
/// - *direct*: fdatasync of the file itself. For large writes, and when few files are being synced at once.
/// - *journaled*: the bytes are in the file (page cache) and once more, as a ``JournalEntry``, in the journal, whose
///   fdatasync many callers share. The file's own fdatasync is put off until the journal file is recycled.
///
/// There are two journal files. Entries go to the current one; when it is full the other becomes current. The files
/// that the full one speaks of are then synced in the background (the checkpoint), and only when that is done may it be
/// written over. Blocks of a recycled file were written before, so syncing them does not have to wait for the file
/// system to allocate. See `docs/decisions/` for the measurement behind this.
///
/// A failed write or fdatasync of the journal, or of a file at a checkpoint, ends the journal: it is never recycled, so
/// that what it holds stays durable there, and every sync from then on, also of those who waited, is direct.
///
/// Owner: the server, one for each data directory. Thread safe; called on disk threads.
package final class JournaledDisk: Disk {
    package struct Configuration: Sendable {
        /// Bytes after which a journal file is full and the other one is taken.
        package var journalBytes = Limits.journalBytesDefault
        /// A sync of more than this goes to the file itself.
        package var syncBytesMax = Limits.journalEntryBytesMax
        /// Syncs under way at which the journal is worth its second copy of the bytes.
        package var syncsInFlightMin = 12

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
        try disk.startFile(0, generation: report.generationMax + 1, reset: Self.files[1])
        return (disk, report)
    }

    private init(over base: any Disk, configuration: Configuration, generation: UInt64) {
        self.base = base
        self.configuration = configuration
        self.state = JournalState(generation: generation)
    }

    /// Makes the current file an empty one of this generation. At open the other one's old entries end here too.
    private func startFile(_ index: Int, generation: UInt64, reset other: DiskPath?) throws(DiskError) {
        if let other {
            do { try self.base.remove(other) } catch  where error.reason == .notFound {}
        }
        do { try self.base.create(Self.files[index]) } catch  where error.reason == .exists {}
        try self.base.write([JournalHeader(generation: generation).encoded()], to: Self.files[index], at: .start)
        try self.base.sync(Self.files[index])
        try self.base.syncDirectory(.root)
    }

    // MARK: What the journal is about

    package func write(_ bytes: [ByteBuffer], to file: DiskPath, at position: FilePosition) throws(DiskError) {
        try self.base.write(bytes, to: file, at: position)
        self.gate.lock()
        defer { self.gate.unlock() }
        self.state.wrote(bytes, to: file, at: position, limit: self.configuration.syncBytesMax)
    }

    package func sync(_ file: DiskPath) throws(DiskError) {
        self.gate.lock()
        self.state.syncsInFlight += 1
        let inFlight = self.state.syncsInFlight
        let plan = self.state.planSync(of: file, mayJournal: inFlight >= self.configuration.syncsInFlightMin)
        self.gate.unlock()
        defer {
            self.gate.lock()
            self.state.syncsInFlight -= 1
            self.gate.unlock()
        }
        switch plan {
        case .direct(let forgets):
            try self.base.sync(file)
            if forgets { try self.commit([JournalEntry(.forgetFile, file)], for: file) }
        case .journal(let entries):
            // The bytes are in the file as well, so without the journal its own sync still keeps the promise.
            do { try self.commit(entries, for: file) } catch { try self.base.sync(file) }
        }
    }

    /// Makes the entries durable, together with everybody else's that wait at the same time.
    private func commit(_ entries: [JournalEntry], for file: DiskPath) throws(DiskError) {
        self.gate.lock()
        let group = self.state.join(entries)
        while true {
            if let outcome = self.state.outcome(of: group) {
                self.gate.unlock()
                if let error = outcome { throw DiskError(error.reason, "journal", file) }
                return
            }
            guard !self.state.isLeading else {
                self.gate.wait()
                continue
            }
            self.lead()
        }
    }

    /// Writes the group that has formed. Entered and left with the gate locked; unlocked while the disk works.
    private func lead() {
        self.state.isLeading = true
        if self.state.isFull(self.configuration.journalBytes) { self.recycle() }
        let work = self.state.takeGroup()
        self.gate.unlock()
        var failure: DiskError?
        do throws(DiskError) {
            if let ended = work.ended { throw ended }
            try self.base.write(work.bytes, to: Self.files[work.file], at: work.position)
            try self.base.sync(Self.files[work.file])
        } catch {
            failure = error
        }
        self.gate.lock()
        self.state.finished(work, failure)
        self.state.isLeading = false
        self.gate.wakeAll()
    }

    /// Takes the other file, once its checkpoint is done. Gate locked on entry and exit.
    private func recycle() {
        while !self.state.isCheckpointed { self.gate.wait() }
        guard let next = self.state.recyclePlan() else { return }
        self.gate.unlock()
        var failure: DiskError?
        do throws(DiskError) {
            try self.startFile(next.file, generation: next.generation, reset: nil)
        } catch {
            failure = error
        }
        self.gate.lock()
        self.state.recycled(next, failure)
        if failure == nil { self.startCheckpoint() }
    }

    /// Syncs, beside everything else, every file that the full journal file speaks of. Gate locked on entry and exit.
    private func startCheckpoint() {
        let files = self.state.filesToCheckpoint()
        let lanes = min(files.count, Limits.checkpointSyncsInFlight)
        guard lanes > 0 else { return self.state.checkpointed(nil) }
        let group = DispatchGroup()
        for lane in 0..<lanes {
            self.checkpoints.async(group: group) {
                for index in stride(from: lane, to: files.count, by: lanes) { self.checkpoint(files[index]) }
            }
        }
        group.notify(queue: self.checkpoints) {
            self.gate.lock()
            self.state.checkpointed(nil)
            self.gate.wakeAll()
            self.gate.unlock()
        }
    }

    private func checkpoint(_ file: DiskPath) {
        do throws(DiskError) {
            try self.base.sync(file)
        } catch {
            guard error.reason != .notFound else { return }
            self.gate.lock()
            self.state.checkpointed(error)
            self.gate.unlock()
        }
    }

    /// Syncs every file that only the journal holds durable, so that a clean stop leaves nothing to replay.
    package func checkpoint() throws(DiskError) {
        self.gate.lock()
        let files = self.state.liveFiles
        self.gate.unlock()
        for file in files {
            do { try self.base.sync(file) } catch  where error.reason == .notFound {}
        }
    }

    // MARK: What changes or removes a file under its entries

    package func truncate(_ file: DiskPath, to size: ByteCount) throws(DiskError) {
        try self.forget(file)
        try self.base.truncate(file, to: size)
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
        self.gate.lock()
        let isLive = self.state.forgetDirectory(directory)
        self.gate.unlock()
        if isLive { try self.commit([JournalEntry(.forgetDirectory, directory)], for: directory) }
        try self.base.removeDirectory(directory)
    }

    /// Makes the file durable in place and its entries void, if it has any.
    private func forget(_ file: DiskPath, keepsContents: Bool = true) throws(DiskError) {
        self.gate.lock()
        let isLive = self.state.forgetFile(file)
        self.gate.unlock()
        guard isLive else { return }
        if keepsContents { try self.base.sync(file) }
        try self.commit([JournalEntry(.forgetFile, file)], for: file)
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
