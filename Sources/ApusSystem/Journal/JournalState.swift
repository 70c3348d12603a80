import ApusCore
import NIOCore

/// The decisions of the journal: which file may be journaled, what stands in which journal file, what a direct write
/// voids. A plain value; ``JournaledDisk`` holds it under its lock and does what it says.
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
    }

    enum DirectSync {
        case plain
        /// This sync makes bytes durable that lie over journaled ones: a replay must not put those back.
        case voidEntries
    }

    /// Every file with an entry in the journal file that is not current is durable in place.
    private(set) var isCheckpointed = true

    /// Files with bytes that were written beside the journal and not synced: their next sync must be their own.
    private var written: Set<DiskPath> = []
    /// Of these, the files where such bytes lie over journaled ones.
    private var overwritten: Set<DiskPath> = []
    /// For each journal file: the files it has entries of, and where the furthest of these ends.
    private var live: [[DiskPath: FilePosition]] = [[:], [:]]
    private var current = 0
    private var generation: UInt64
    private var sequence: UInt64 = 0
    private var end = FilePosition.start.advanced(by: .bytes(JournalHeader.byteCount))
    /// Set by the first failure: the journal takes no more, and nothing in it is written over.
    private var ended: DiskError?

    init(generation: UInt64) {
        self.generation = generation
    }

    // MARK: Files

    func mayJournal(_ file: DiskPath) -> Bool {
        self.ended == nil && !self.written.contains(file)
    }

    mutating func wrote(to file: DiskPath, at position: FilePosition) {
        self.written.insert(file)
        if self.live.contains(where: { ($0[file] ?? .start) > position }) { self.overwritten.insert(file) }
    }

    mutating func syncs(_ file: DiskPath) -> DirectSync {
        self.written.remove(file)
        guard self.overwritten.remove(file) != nil, self.forgetFile(file) else { return .plain }
        return .voidEntries
    }

    /// True if there were entries; they no longer count here, and the caller voids them in the journal.
    mutating func forgetFile(_ file: DiskPath) -> Bool {
        self.written.remove(file)
        self.overwritten.remove(file)
        let wasLive = self.live.contains { $0[file] != nil }
        for index in self.live.indices { self.live[index][file] = nil }
        return wasLive
    }

    mutating func forgetDirectory(_ directory: DiskPath) -> Bool {
        let prefix = directory.rawValue + "/"
        self.written = self.written.filter { !$0.rawValue.hasPrefix(prefix) }
        self.overwritten = self.overwritten.filter { !$0.rawValue.hasPrefix(prefix) }
        var wasLive = false
        for index in self.live.indices {
            for file in self.live[index].keys where file.rawValue.hasPrefix(prefix) {
                self.live[index][file] = nil
                wasLive = true
            }
        }
        return wasLive
    }

    var liveFiles: [DiskPath] { Set(self.live.flatMap(\.keys)).sorted() }

    // MARK: Entries

    mutating func append(_ entries: [JournalEntry]) throws(DiskError) -> Append {
        if let ended = self.ended { throw ended }
        var append = Append(file: self.current, position: self.end, bytes: [])
        append.bytes.reserveCapacity(entries.count * 3)
        for entry in entries {
            append.bytes.append(entry.head(generation: self.generation, sequence: self.sequence))
            append.bytes.append(contentsOf: entry.payload)
            self.sequence += 1
            self.end = self.end.advanced(by: entry.byteCount)
            guard entry.kind == .write else { continue }
            let entryEnd = entry.position.advanced(by: .bytes(entry.payloadBytes))
            self.live[self.current][entry.path] = max(self.live[self.current][entry.path] ?? .start, entryEnd)
        }
        return append
    }

    mutating func end(_ failure: DiskError) {
        self.ended = self.ended ?? failure
    }

    // MARK: Recycling

    func isFull(_ limit: ByteCount) -> Bool {
        self.ended == nil && self.end >= FilePosition.start.advanced(by: limit)
    }

    /// Nil when the journal has ended: then nothing in it may be written over.
    var nextFile: NextFile? {
        guard self.ended == nil else { return nil }
        return NextFile(file: 1 - self.current, generation: self.generation + 1)
    }

    /// Goes on in the next file. Answers the files to checkpoint: those that the full one speaks of.
    mutating func take(_ next: NextFile) -> [DiskPath] {
        let full = self.current
        self.live[next.file] = [:]
        self.current = next.file
        self.generation = next.generation
        self.sequence = 0
        self.end = FilePosition.start.advanced(by: .bytes(JournalHeader.byteCount))
        self.isCheckpointed = false
        return self.live[full].keys.sorted()
    }

    mutating func checkpointed() {
        self.isCheckpointed = true
    }
}
