import ApusCore
import NIOCore

/// The decisions of the journal: which sync goes where, what stands in which file, who waits for what. A plain value;
/// ``JournaledDisk`` holds it under its lock and does what it says.
struct JournalState {
    enum SyncPlan {
        /// Sync the file; `forgets`: and void its earlier entries, because this sync wrote over some of them.
        case direct(forgets: Bool)
        case journal([JournalEntry])
    }

    struct Group {
        var number: UInt64
        var file: Int
        var position: FilePosition
        var bytes: [ByteBuffer]
        var ended: DiskError?
    }

    struct Recycle {
        var file: Int
        var generation: UInt64
    }

    private struct Unsynced {
        var entries: [JournalEntry] = []
        var bytes = 0
        /// Too much to journal: the next sync is direct.
        var isLarge = false
        var firstPosition = FilePosition(rawValue: .max)
    }

    var syncsInFlight = 0
    var isLeading = false

    /// Every file with an entry in the file that is not current is durable in place.
    private(set) var isCheckpointed = true

    private var unsynced: [DiskPath: Unsynced] = [:]
    /// Payload held in `unsynced`, all files together.
    private var unsyncedBytes = 0
    /// For each journal file: the files it has entries of, and where the furthest of these ends.
    private var live: [[DiskPath: FilePosition]] = [[:], [:]]
    private var current = 0
    private var generation: UInt64
    private var sequence: UInt64 = 0
    private var end = FilePosition.start.advanced(by: .bytes(JournalHeader.byteCount))
    private var forming: [JournalEntry] = []
    private var groupForming: UInt64 = 1
    private var groupDone: UInt64 = 0
    private var failures: [UInt64: DiskError] = [:]
    private var waiters: [UInt64: Int] = [:]
    /// Set by the first failed write or sync of a journal file: the journal takes no more.
    private var ended: DiskError?

    init(generation: UInt64) {
        self.generation = generation
    }

    // MARK: Files

    mutating func wrote(_ bytes: [ByteBuffer], to file: DiskPath, at position: FilePosition, limit: ByteCount) {
        var waiting = self.unsynced.removeValue(forKey: file) ?? Unsynced()
        waiting.firstPosition = min(waiting.firstPosition, position)
        if !waiting.isLarge {
            let count = bytes.reduce(0) { $0 + $1.readableBytes }
            waiting.bytes += count
            self.unsyncedBytes += count
            waiting.entries.append(JournalEntry(.write, file, at: position, payload: bytes))
            if waiting.bytes > limit.rawValue || self.unsyncedBytes > Limits.journalUnsyncedBytesMax.rawValue {
                // Nobody may be about to sync it at all (page-cache durability): do not hold its bytes.
                self.unsyncedBytes -= waiting.bytes
                waiting.bytes = 0
                waiting.isLarge = true
                waiting.entries = []
            }
        }
        self.unsynced[file] = waiting
    }

    private mutating func takeUnsynced(_ file: DiskPath) -> Unsynced? {
        guard let waiting = self.unsynced.removeValue(forKey: file) else { return nil }
        self.unsyncedBytes -= waiting.bytes
        return waiting
    }

    mutating func planSync(of file: DiskPath, mayJournal: Bool) -> SyncPlan {
        guard let waiting = self.takeUnsynced(file) else { return .direct(forgets: false) }
        guard mayJournal, !waiting.isLarge, self.ended == nil else {
            return .direct(forgets: self.forgets(file, from: waiting.firstPosition))
        }
        return .journal(waiting.entries)
    }

    /// Whether a direct write from `position` on lies over an entry that a replay would put back.
    private mutating func forgets(_ file: DiskPath, from position: FilePosition) -> Bool {
        guard self.live.contains(where: { ($0[file] ?? .start) > position }) else { return false }
        return self.forgetFile(file)
    }

    /// True if there were entries; they no longer count here, and the caller voids them in the journal.
    mutating func forgetFile(_ file: DiskPath) -> Bool {
        _ = self.takeUnsynced(file)
        let wasLive = self.live.contains { $0[file] != nil }
        for index in self.live.indices { self.live[index][file] = nil }
        return wasLive
    }

    mutating func forgetDirectory(_ directory: DiskPath) -> Bool {
        let prefix = directory.rawValue + "/"
        var wasLive = false
        for file in self.unsynced.keys where file.rawValue.hasPrefix(prefix) { _ = self.takeUnsynced(file) }
        for index in self.live.indices {
            for file in self.live[index].keys where file.rawValue.hasPrefix(prefix) {
                self.live[index][file] = nil
                wasLive = true
            }
        }
        return wasLive
    }

    var liveFiles: [DiskPath] { Set(self.live.flatMap(\.keys)).sorted() }

    // MARK: Groups

    /// Adds entries to the group that is forming; the answer is the number to wait for.
    mutating func join(_ entries: [JournalEntry]) -> UInt64 {
        self.forming.append(contentsOf: entries)
        self.waiters[self.groupForming, default: 0] += 1
        return self.groupForming
    }

    /// Nil while the group is not written; then once for each waiter, `.some(nil)` for success.
    mutating func outcome(of group: UInt64) -> DiskError?? {
        guard group <= self.groupDone else { return nil }
        let failure = self.failures[group]
        self.waiters[group, default: 1] -= 1
        if self.waiters[group] == 0 {
            self.waiters[group] = nil
            self.failures[group] = nil
        }
        return .some(failure)
    }

    mutating func takeGroup() -> Group {
        var group = Group(
            number: self.groupForming, file: self.current, position: self.end, bytes: [], ended: self.ended)
        self.groupForming += 1
        let entries = self.forming
        self.forming = []
        guard self.ended == nil else { return group }
        for entry in entries {
            group.bytes.append(entry.head(generation: self.generation, sequence: self.sequence))
            group.bytes.append(contentsOf: entry.payload)
            self.sequence += 1
            self.end = self.end.advanced(by: entry.byteCount)
            guard entry.kind == .write else { continue }
            let entryEnd = entry.position.advanced(by: .bytes(entry.payloadBytes))
            self.live[self.current][entry.path] = max(self.live[self.current][entry.path] ?? .start, entryEnd)
        }
        return group
    }

    mutating func finished(_ group: Group, _ failure: DiskError?) {
        self.groupDone = group.number
        guard let failure else { return }
        self.failures[group.number] = failure
        self.ended = self.ended ?? failure
    }

    // MARK: Recycling

    func isFull(_ limit: ByteCount) -> Bool {
        self.ended == nil && self.end >= FilePosition.start.advanced(by: limit)
    }

    /// Nil when the journal has ended: then nothing in it may be written over.
    func recyclePlan() -> Recycle? {
        guard self.ended == nil else { return nil }
        return Recycle(file: 1 - self.current, generation: self.generation + 1)
    }

    mutating func recycled(_ plan: Recycle, _ failure: DiskError?) {
        if let failure {
            self.ended = self.ended ?? failure
            return
        }
        self.live[plan.file] = [:]
        self.current = plan.file
        self.generation = plan.generation
        self.sequence = 0
        self.end = FilePosition.start.advanced(by: .bytes(JournalHeader.byteCount))
        self.isCheckpointed = false
    }

    func filesToCheckpoint() -> [DiskPath] { self.live[1 - self.current].keys.sorted() }

    /// Told once with nil at the end of a checkpoint, and of each file's failure before that.
    mutating func checkpointed(_ failure: DiskError?) {
        if let failure { self.ended = self.ended ?? failure } else { self.isCheckpointed = true }
    }
}
