import ApusCore
import NIOCore

/// The decisions of the journal: which file may be journaled, what stands in which journal file, what a direct write
/// voids, what must be durable in place before a journal file is written over. A plain value; ``JournaledDisk`` holds
/// it under its lock and does what it says.
struct JournalState {
    /// Bytes to put at the end of a journal file.
    struct Append {
        var file: Int
        var position: FilePosition
        var bytes: [ByteBuffer]
    }

    struct NextFile: Equatable {
        var file: Int
        var generation: UInt64
        /// Of the file that is full; every one of them is synced.
        var entriesOfOther: UInt32
    }

    /// What a sync that begins now covers, to be handed back when it has succeeded.
    struct DirectSync {
        fileprivate var changes: UInt64
        fileprivate var entries: UInt64
    }

    enum DirectSynced: Equatable {
        case done
        /// It made bytes durable that lie over journaled ones: a replay must not put those back.
        case voidEntries
        /// As above, but entries were added meanwhile that it did not cover: they are void only after another sync.
        case syncAgain
    }

    /// Bytes that were written to a file beside the journal and not synced: its next sync must be its own.
    private struct Direct {
        var changes: UInt64 = 0
        var writers = 0
        /// Some of them lie over journaled bytes.
        var isOverEntries = false
    }

    private var direct: [DiskPath: Direct] = [:]
    /// For each journal file: the files it has entries of, and where the furthest of these ends.
    private var live: [[DiskPath: FilePosition]] = [[:], [:]]
    private var entries: UInt64 = 0
    private var current: Int
    private var generation: UInt64
    private var salt: UInt32
    private var sequence: UInt64 = 0
    private var end = FilePosition.start.advanced(by: .bytes(JournalHeader.byteCount))
    /// The files to sync before the journal file that is not current may be written over, and how many are under way.
    private var unchecked: [DiskPath] = []
    private var checking = 0
    /// Set by the first failure: no more lists are journaled, and no journal file is written over.
    private var ended: DiskError?
    /// Set when it was the current journal file that failed: nothing more can be put into it.
    private var broken: DiskError?

    init(generation: UInt64, salt: UInt32 = 0, current: Int = 0) {
        self.generation = generation
        self.salt = salt
        self.current = current
    }

    // MARK: Direct writes

    func mayJournal(_ file: DiskPath) -> Bool {
        self.ended == nil && self.direct[file] == nil
    }

    mutating func writeBegins(_ file: DiskPath, at position: FilePosition) {
        self.direct[file, default: Direct()].changes += 1
        self.direct[file]?.writers += 1
        if self.hasEntries(file, beyond: position) { self.direct[file]?.isOverEntries = true }
    }

    /// Writes were made for the journal to answer for, and it does not: the file's next sync is its own.
    mutating func wroteBeside(_ file: DiskPath, isOverEntries: Bool) {
        self.direct[file, default: Direct()].changes += 1
        if isOverEntries { self.direct[file]?.isOverEntries = true }
    }

    /// Also when it failed: a part may have been written.
    mutating func writeEnded(_ file: DiskPath) {
        self.direct[file]?.writers -= 1
    }

    mutating func syncBegins(_ file: DiskPath) -> DirectSync {
        // Changes still under way may be missed.
        let direct = self.direct[file]
        return DirectSync(changes: direct?.writers == 0 ? direct?.changes ?? 0 : 0, entries: self.entries)
    }

    mutating func syncSucceeded(_ file: DiskPath, _ sync: DirectSync) -> DirectSynced {
        guard let direct = self.direct[file], direct.changes == sync.changes else { return .done }
        guard direct.isOverEntries, self.hasEntries(file) else {
            self.direct[file] = nil
            return .done
        }
        return self.entries == sync.entries ? .voidEntries : .syncAgain
    }

    mutating func renamed(_ file: DiskPath, to name: DiskPath) {
        self.direct[name] = self.direct.removeValue(forKey: file)
    }

    // MARK: Void entries

    func hasEntries(_ file: DiskPath) -> Bool { self.live.contains { $0[file] != nil } }

    func hasEntries(_ file: DiskPath, beyond position: FilePosition) -> Bool {
        self.live.contains { ($0[file] ?? .start) > position }
    }

    /// Whether some of these entries of one file lie over one another or over earlier ones.
    func areOverEntries(_ entries: [JournalEntry]) -> Bool {
        var end = FilePosition.start
        for entry in entries {
            if entry.position < end || self.hasEntries(entry.path, beyond: entry.position) { return true }
            end = entry.position.advanced(by: .bytes(entry.payloadBytes))
        }
        return false
    }

    func hasEntries(below directory: DiskPath) -> Bool {
        let prefix = directory.rawValue + "/"
        return self.live.contains { $0.keys.contains { $0.rawValue.hasPrefix(prefix) } }
    }

    /// Nothing in the journal counts for this file any more.
    mutating func voided(_ file: DiskPath) {
        for index in self.live.indices { self.live[index][file] = nil }
    }

    /// The entries under what this sync covered are void.
    mutating func voided(_ file: DiskPath, _ sync: DirectSync) {
        self.voided(file)
        if self.direct[file]?.changes == sync.changes { self.direct[file] = nil }
    }

    /// The file goes, and what was written to it with it.
    mutating func removed(_ file: DiskPath) {
        self.voided(file)
        self.direct[file] = nil
    }

    mutating func removed(below directory: DiskPath) {
        let prefix = directory.rawValue + "/"
        self.direct = self.direct.filter { !$0.key.rawValue.hasPrefix(prefix) }
        for index in self.live.indices {
            self.live[index] = self.live[index].filter { !$0.key.rawValue.hasPrefix(prefix) }
        }
    }

    /// Both journal files are gone, with everything in them durable in place.
    mutating func forgetAll() {
        self.live = [[:], [:]]
    }

    /// The journal files by age.
    var oldestFirst: [Int] { [1 - self.current, self.current] }

    var liveFiles: [DiskPath] { Set(self.live.flatMap(\.keys)).sorted() }

    // MARK: Entries

    mutating func append(_ entries: [JournalEntry]) throws(DiskError) -> Append {
        if let broken = self.broken { throw broken }
        var append = Append(file: self.current, position: self.end, bytes: [])
        append.bytes.reserveCapacity(entries.count * 3)
        for (index, entry) in entries.enumerated() {
            append.bytes.append(
                entry.head(
                    generation: self.generation, sequence: self.sequence, salt: self.salt, indexInWrite: index))
            append.bytes.append(contentsOf: entry.payload)
            self.sequence += 1
            self.entries += 1
            self.end = self.end.advanced(by: entry.byteCount)
            guard entry.kind == .write else { continue }
            let entryEnd = entry.position.advanced(by: .bytes(entry.payloadBytes))
            self.live[self.current][entry.path] = max(self.live[self.current][entry.path] ?? .start, entryEnd)
        }
        return append
    }

    /// What the journal holds is all there will be, and stays.
    mutating func end(_ failure: DiskError) {
        self.ended = self.ended ?? failure
    }

    /// The current journal file itself failed: whether its last entries are in it nobody knows.
    mutating func fail(_ failure: DiskError) {
        self.end(failure)
        self.broken = self.broken ?? failure
    }

    var isBroken: Bool { self.broken != nil }

    // MARK: Recycling

    func isFull(_ limit: ByteCount) -> Bool {
        self.ended == nil && self.end >= FilePosition.start.advanced(by: limit)
    }

    /// Every file with an entry in the journal file that is not current is durable in place.
    var isChecked: Bool { self.unchecked.isEmpty && self.checking == 0 }

    /// The next file to sync for the checkpoint; the caller reports with ``checked(_:_:)``.
    mutating func nextToCheck() -> DiskPath? {
        guard let file = self.unchecked.popLast() else { return nil }
        self.checking += 1
        return file
    }

    mutating func checked(_ failure: DiskError?) {
        self.checking -= 1
        if let failure, failure.reason != .notFound { self.end(failure) }
    }

    /// The file to go on in. Nil when the journal has ended: then nothing in it may be written over.
    /// - Precondition: `isChecked`.
    var nextFile: NextFile? {
        precondition(self.isChecked, "a journal file would be written over that is still needed")
        guard self.ended == nil else { return nil }
        return NextFile(
            file: 1 - self.current, generation: self.generation + 1, entriesOfOther: UInt32(clamping: self.sequence))
    }

    /// Goes on in the next file. What the full one speaks of is to be checked now. Answers how many files that are.
    mutating func take(_ next: NextFile, salt: UInt32 = 0) -> Int {
        self.unchecked = self.live[self.current].keys.sorted().reversed()
        self.live[next.file] = [:]
        self.current = next.file
        self.generation = next.generation
        self.salt = salt
        self.sequence = 0
        self.end = FilePosition.start.advanced(by: .bytes(JournalHeader.byteCount))
        return self.unchecked.count
    }
}
