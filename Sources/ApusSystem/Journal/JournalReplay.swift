package import ApusCore
import NIOCore

/// What replaying the journal found, for the banner and the log.
package struct JournalReplayReport: Sendable, Equatable {
    package var entries = 0
    package var files = 0
    package var bytes = ByteCount.zero
    /// The generation that the next journal file must be above.
    package var generationMax: UInt64 = 0
}

/// Brings every file to what its acknowledged syncs promised, before anyone opens a log.
///
/// Both journal files are read, the older life first, each up to its first record that does not belong. A record is
/// applied only if its file is there: a file whose name never became durable was never promised to anyone. Writing the
/// same bytes twice is harmless, so a crash during the replay is cured by the next one.
package struct JournalReplay {
    private var writes: [DiskPath: [JournalEntry]] = [:]
    private var order: [DiskPath] = []
    private var report = JournalReplayReport()

    /// Answers the journal files as well, the oldest first: the order in which they may be written over.
    package static func run(
        _ journals: [DiskPath], on disk: any Disk
    ) throws(DiskError) -> (report: JournalReplayReport, oldestFirst: [DiskPath]) {
        var replay = JournalReplay()
        var found: [(journal: DiskPath, generation: UInt64, bytes: ByteBuffer)] = []
        for journal in journals { found.append(try Self.read(journal, on: disk)) }
        found.sort { $0.generation < $1.generation }
        for (_, generation, bytes) in found { replay.collect(bytes, generation: generation) }
        try replay.apply(to: disk)
        return (replay.report, found.map(\.journal))
    }

    /// The bytes behind the header, and 0 and none of a file that is not there or has no header: nothing in it was
    /// promised to anyone.
    private static func read(
        _ journal: DiskPath, on disk: any Disk
    ) throws(DiskError) -> (journal: DiskPath, generation: UInt64, bytes: ByteBuffer) {
        let size: ByteCount
        do { size = try disk.size(of: journal) } catch  where error.reason == .notFound {
            return (journal, 0, ByteBuffer())
        }
        var bytes = try disk.read(journal, at: .start, upTo: size)
        guard let header = JournalHeader(bytes) else { return (journal, 0, ByteBuffer()) }
        bytes.moveReaderIndex(forwardBy: JournalHeader.byteCount)
        return (journal, header.generation, bytes)
    }

    private mutating func collect(_ bytes: ByteBuffer, generation: UInt64) {
        var bytes = bytes
        var sequence: UInt64 = 0
        self.report.generationMax = max(self.report.generationMax, generation)
        while let entry = JournalEntry.next(in: &bytes, generation: generation, sequence: sequence) {
            sequence += 1
            self.report.entries += 1
            switch entry.kind {
            case .write:
                if self.writes[entry.path] == nil { self.order.append(entry.path) }
                self.writes[entry.path, default: []].append(entry)
            case .forgetFile:
                self.writes[entry.path] = nil
            case .forgetDirectory:
                let prefix = entry.path.rawValue + "/"
                for path in self.order where path.rawValue.hasPrefix(prefix) { self.writes[path] = nil }
            }
        }
    }

    private mutating func apply(to disk: any Disk) throws(DiskError) {
        for path in self.order {
            guard let entries = self.writes.removeValue(forKey: path) else { continue }
            do { _ = try disk.size(of: path) } catch  where error.reason == .notFound { continue }
            for entry in entries {
                try disk.write(entry.payload, to: path, at: entry.position)
                self.report.bytes += .bytes(entry.payloadBytes)
            }
            try disk.sync(path)
            disk.close(path)
            self.report.files += 1
        }
    }
}
