package import ApusCore
import NIOCore

/// What replaying the journal found, for the banner and the log.
package struct JournalReplayReport: Sendable, Equatable {
    package var entries = 0
    package var files = 0
    package var bytes = ByteCount.zero
    /// The generation that the next journal file must be above.
    package var generationMax: UInt64 = 0
    /// What is damaged, a sentence each; what was acknowledged may be lost with it. Empty for a torn end.
    package var damage: [String] = []
    /// Findings beyond `Limits.journalFindingsMax`.
    package var damageUntold = 0
    /// The journal files that these are in; they are kept under ``ApusCore/DiskPath/damaged``.
    package var damagedFiles: [DiskPath] = []

    fileprivate mutating func tell(_ finding: String) {
        if self.damage.count < Limits.journalFindingsMax { self.damage.append(finding) } else { self.damageUntold += 1 }
    }
}

extension DiskPath {
    /// What a damaged file is renamed to, so that it can be looked at.
    package var damaged: DiskPath { DiskPath(self.rawValue + ".damaged") }
}

/// Brings every file to what its acknowledged syncs promised, before anyone opens a log.
///
/// Both journal files are read, the older life first, each up to its torn end (``JournalReader``); twice, because the
/// second time it is known which entries are void, so that nothing but names is held in memory. A record is applied
/// only if its file is there: a file whose name never became durable was never promised to anyone. Writing the same
/// bytes twice is harmless, so a crash during the replay is cured by the next one.
///
/// **Damage.** What is damaged may have been the order to forget a file. So entries from before it are no longer known
/// to be the last that was written there: they fill in what is missing (zeros, or bytes behind the end), and where the
/// file holds anything else it stays as it is, which is told. What stands behind all damage is applied as ever.
package struct JournalReplay {
    /// One journal file, as it was found.
    private struct Journal {
        var file: DiskPath
        /// Nil: it is not there or was never begun, so nothing in it was promised to anyone; or its header is damaged.
        var header: JournalHeader?
        var size = ByteCount.zero
        var entriesSynced: UInt64 = 0

        var reader: JournalReader? {
            self.header.map { JournalReader(self.file, $0, size: self.size, entriesSynced: self.entriesSynced) }
        }
    }

    /// How many entries stand before the one that says what is to be forgotten, by file and by directory.
    private var forgotten: [DiskPath: Int] = [:]
    private var forgottenDirectories: [DiskPath: Int] = [:]
    /// Entries that stand before damage.
    private var beforeDamage = 0
    /// Whether the file is there, for every file that an entry is about.
    private var isThere: [DiskPath: Bool] = [:]
    private var told: Set<DiskPath> = []
    private var report = JournalReplayReport()

    /// Answers the journal files as well, the oldest first: the order in which they may be written over.
    package static func run(
        _ files: [DiskPath], on disk: any Disk
    ) throws(DiskError) -> (report: JournalReplayReport, oldestFirst: [DiskPath]) {
        var replay = JournalReplay()
        var journals: [Journal] = []
        for file in files { journals.append(try replay.find(file, on: disk)) }
        journals.sort { ($0.header?.generation ?? 0) < ($1.header?.generation ?? 0) }
        for index in journals.indices.dropLast() {
            guard let header = journals[index].header, let younger = journals[index + 1].header,
                younger.generation == header.generation + 1
            else { continue }
            journals[index].entriesSynced = UInt64(younger.entriesOfOther ?? 0)
        }
        let hasLostHeader = !replay.report.damagedFiles.isEmpty
        for journal in journals { try replay.survey(journal, on: disk) }
        // Nobody knows which was the younger.
        if hasLostHeader { replay.beforeDamage = replay.report.entries }
        var count = 0
        for journal in journals { try replay.apply(journal, from: &count, on: disk) }
        for (file, isThere) in replay.isThere.sorted(by: { $0.key < $1.key }) where isThere {
            try disk.sync(file)
            disk.close(file)
            replay.report.files += 1
        }
        return (replay.report, journals.map(\.file))
    }

    private mutating func find(_ file: DiskPath, on disk: any Disk) throws(DiskError) -> Journal {
        var journal = Journal(file: file)
        do { journal.size = try disk.size(of: file) } catch  where error.reason == .notFound { return journal }
        let bytes = try disk.read(file, at: .start, upTo: .bytes(JournalHeader.byteCount))
        journal.header = JournalHeader(bytes)
        if let header = journal.header {
            self.report.generationMax = max(self.report.generationMax, header.generation)
        } else if bytes.readableBytes == JournalHeader.byteCount, !bytes.readableBytesView.allSatisfy({ $0 == 0 }) {
            // A header is written within one sector: whole, or not at all.
            self.report.tell("\(file): its header is damaged, so nothing of it can be replayed")
            self.report.damagedFiles.append(file)
        }
        return journal
    }

    /// What is to be forgotten, and what is damaged.
    private mutating func survey(_ journal: Journal, on disk: any Disk) throws(DiskError) {
        guard var reader = journal.reader else { return }
        while true {
            switch try reader.next(on: disk) {
            case .end: return
            case .damage(let damage):
                self.beforeDamage = self.report.entries
                self.report.tell(Self.text(journal.file, damage))
                if !self.report.damagedFiles.contains(journal.file) { self.report.damagedFiles.append(journal.file) }
            case .entry(let entry):
                switch entry.kind {
                case .write: break
                case .forgetFile: self.forgotten[entry.path] = self.report.entries
                case .forgetDirectory: self.forgottenDirectories[entry.path] = self.report.entries
                }
                self.report.entries += 1
            }
        }
    }

    private static func text(_ file: DiskPath, _ damage: JournalReader.Damage) -> String {
        let (first, last) = (damage.sequences.lowerBound, damage.sequences.upperBound - 1)
        let entries = first == last ? "entry \(first) is" : "entries \(first) to \(last) are"
        let hint = damage.hint.map { ", of \($0) by what is left" } ?? ""
        return "\(file): \(entries) damaged, from byte \(damage.position) on\(hint)"
    }

    // MARK: The second time

    private mutating func apply(_ journal: Journal, from count: inout Int, on disk: any Disk) throws(DiskError) {
        guard var reader = journal.reader else { return }
        while true {
            switch try reader.next(on: disk) {
            case .end: return
            case .damage: continue
            case .entry(let entry):
                defer { count += 1 }
                guard entry.kind == .write, !self.isForgotten(entry.path, since: count),
                    try self.isThere(entry.path, on: disk)
                else { continue }
                if count < self.beforeDamage, try !self.isMissing(entry, on: disk) { continue }
                try disk.write(entry.payload, to: entry.path, at: entry.position)
                self.report.bytes += .bytes(entry.payloadBytes)
            }
        }
    }

    private func isForgotten(_ file: DiskPath, since count: Int) -> Bool {
        if self.forgotten[file].map({ $0 > count }) == true { return true }
        guard !self.forgottenDirectories.isEmpty else { return false }
        var directory = file.directory
        while directory != .root {
            if self.forgottenDirectories[directory].map({ $0 > count }) == true { return true }
            directory = directory.directory
        }
        return false
    }

    private mutating func isThere(_ file: DiskPath, on disk: any Disk) throws(DiskError) -> Bool {
        if let known = self.isThere[file] { return known }
        var isThere = true
        do { _ = try disk.size(of: file) } catch  where error.reason == .notFound { isThere = false }
        self.isThere[file] = isThere
        return isThere
    }

    /// Whether the file has nothing of its own where this entry goes.
    private mutating func isMissing(_ entry: JournalEntry, on disk: any Disk) throws(DiskError) -> Bool {
        let found = try disk.read(entry.path, at: entry.position, upTo: .bytes(entry.payloadBytes))
        let bytes = entry.payload.lazy.flatMap(\.readableBytesView)
        if zip(found.readableBytesView, bytes).allSatisfy({ $0 == 0 || $0 == $1 }) { return true }
        if self.told.insert(entry.path).inserted {
            self.report.tell(
                "\(entry.path): left as it is from byte \(entry.position) on, where the journal has other bytes")
        }
        return false
    }
}
