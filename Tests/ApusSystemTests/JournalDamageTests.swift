import ApusCore
import ApusFakes
import NIOCore
import Synchronization
import Testing

@testable import ApusSystem

/// What a replay makes of a journal that rotted: what can be told from a torn end is told, and the rest is replayed.
@Suite struct JournalDamageTests {
    private static let files = (0..<4).map { DiskPath("f\($0)") }
    /// The file that is written first, and the one that is taken when it is full.
    private static let older = JournaledDisk.files[1]
    private static let younger = JournaledDisk.files[0]
    private let base = SimulatedDisk()

    init() throws {
        for path in Self.files {
            try self.base.create(path)
            try self.base.sync(path)
        }
        try self.base.syncDirectory(.root)
    }

    private static func configuration(_ journalBytes: ByteCount = .mebibytes(1)) -> JournaledDisk.Configuration {
        var configuration = JournaledDiskTests.eager(journalBytes)
        configuration.inBackground = { _ in }
        return configuration
    }

    /// One write and one sync of the journal for each round, with an entry for each file.
    private func write(rounds: Int, journalBytes: ByteCount = .mebibytes(1)) throws {
        let (disk, _) = try JournaledDisk.open(over: self.base, configuration: Self.configuration(journalBytes))
        for round in 0..<rounds {
            let group = Self.files.map { JournaledDiskTests.write("\(round)", to: $0, at: Int64(round)) }
            #expect(disk.perform(group: group) == [nil, nil, nil, nil])
        }
    }

    /// The page cache forgets everything that the journal answers for.
    private func lose() throws {
        for path in Self.files {
            try self.base.truncate(path, to: .zero)
            try self.base.sync(path)
        }
    }

    private func replay() throws -> JournalReplayReport {
        try JournaledDisk.open(over: self.base, configuration: Self.configuration()).report
    }

    private func text(_ index: Int) throws -> String {
        String(buffer: try self.base.read(Self.files[index], at: .start, upTo: .kibibytes(64)))
            .replacing("\0", with: "_")
    }

    /// Where the entries of a journal file begin.
    private func entries(of journal: DiskPath) throws -> [Int] {
        let bytes = try #require(self.base.contents(of: journal))
        let header = try #require(JournalHeader(bytes))
        var positions: [Int] = []
        var position = JournalHeader.byteCount
        while let rest = bytes.getSlice(at: position, length: bytes.readableBytes - position),
            let found = JournalEntry.read(rest, generation: header.generation, salt: header.salt),
            found.sequence == UInt64(positions.count)
        {
            positions.append(position)
            position += found.byteCount
        }
        return positions
    }

    @Test("one damaged entry costs that entry, is told with what is left of its name, and the file is kept")
    func oneEntry() throws {
        try self.write(rounds: 3)
        try self.lose()
        let position = try self.entries(of: Self.older)[5]
        // In the payload: the name is still there.
        self.base.damage(Self.older, at: position + JournalEntry.headerBytes + 2) { $0 ^= 1 }
        let report = try self.replay()
        #expect(report.damage == ["journal.1: entry 5 is damaged, from byte \(position) on, of f1 by what is left"])
        #expect(report.damagedFiles == [Self.older])
        #expect(report.entries == 11)
        #expect(try [0, 1, 2, 3].map { try self.text($0) } == ["012", "0_2", "012", "012"])
        #expect(try self.base.size(of: Self.older.damaged) > .zero)
        #expect(try self.replay().damage == [])
    }

    @Test("a zeroed sector in the middle costs what stood there and no more")
    func zeroedMiddle() throws {
        try self.write(rounds: 9)
        try self.lose()
        for position in 512..<1024 { self.base.damage(Self.older, at: position) { $0 = 0 } }
        let report = try self.replay()
        #expect(report.damage.count == 1)
        let texts = try (0..<4).map { try self.text($0) }
        #expect(
            texts.allSatisfy { text in
                text.utf8.count == 9 && zip(text, "012345678").allSatisfy { $0 == "_" || $0 == $1 }
            })
        // An entry has 43 bytes.
        let lost = texts.joined().utf8.count { $0 == UInt8(ascii: "_") }
        #expect((12...14).contains(lost))
        #expect(report.entries == 36 - lost)
    }

    @Test("the torn end of the last write is no damage, wherever it is cut, and whole entries in it neither")
    func tornEnd() throws {
        try self.write(rounds: 2)
        let journal = Self.older
        let positions = try self.entries(of: journal)
        let bytes = try #require(self.base.contents(of: journal))
        for position in positions[4]..<bytes.readableBytes {
            let torn = SimulatedDisk()
            for path in Self.files { try torn.create(path) }
            torn.replace(journal, with: try #require(bytes.getSlice(at: 0, length: position)))
            #expect(try JournaledDisk.open(over: torn, configuration: Self.configuration()).report.damage == [])
        }
        // The first of the second write is gone, those behind it are whole.
        for position in positions[4]..<positions[5] { self.base.damage(journal, at: position) { $0 = 0 } }
        let report = try self.replay()
        #expect(report.damage == [] && report.entries == 4)
    }

    @Test("the end of the older file can not be torn: the younger one knows how many entries there were")
    func olderEnd() throws {
        try self.write(rounds: 7, journalBytes: .bytes(32 + 4 * 4 * 43))
        try self.lose()
        let header = try #require(self.base.contents(of: Self.younger).flatMap { JournalHeader($0) })
        #expect(header.entriesOfOther == 16)
        let last = try self.entries(of: Self.older)[14]
        for position in last..<(last + 86) { self.base.damage(Self.older, at: position) { $0 = 0 } }
        let report = try self.replay()
        #expect(report.damage == ["journal.1: entries 14 to 15 are damaged, from byte \(last) on"])
        #expect(try [0, 1, 2, 3].map { try self.text($0) } == ["0123456", "0123456", "012_456", "012_456"])
    }

    @Test("a damaged header is told; an empty or unwritten file is none")
    func header() throws {
        try self.write(rounds: 2)
        self.base.damage(Self.older, at: 9) { $0 ^= 1 }
        let report = try self.replay()
        #expect(report.damage == ["journal.1: its header is damaged, so nothing of it can be replayed"])
        #expect(report.damagedFiles == [Self.older])
        self.base.replace(Self.older, with: ByteBuffer(repeating: 0, count: 4096))
        self.base.replace(Self.younger, with: ByteBuffer())
        #expect(try self.replay().damage == [])
    }

    @Test("where an order to forget may be gone, what a file holds is left, and named")
    func nothingIsOverwritten() throws {
        try self.write(rounds: 3)
        try self.base.write([ByteBuffer(string: "x")], to: Self.files[0], at: .start)
        try self.base.sync(Self.files[0])
        let position = try self.entries(of: Self.older)[7]
        self.base.damage(Self.older, at: position) { $0 ^= 1 }
        let report = try self.replay()
        #expect(report.damage.last == "f0: left as it is from byte 0 on, where the journal has other bytes")
        #expect(try self.text(0) == "x12")
        #expect(try self.text(1) == "012")
    }

    @Test("bytes of a client that look like an entry are none, even behind damage")
    func forged() throws {
        let (disk, _) = try JournaledDisk.open(over: self.base, configuration: Self.configuration())
        let generation = try #require(
            JournaledDisk.files.compactMap { self.base.contents(of: $0).flatMap { JournalHeader($0) } }
                .map(\.generation).max())
        let entry = JournalEntry(.write, Self.files[3], payload: [ByteBuffer(string: "forged")])
        var forged = entry.head(generation: generation, sequence: 2, indexInWrite: 0)
        forged.writeString("forged")
        let group: [DiskCommands] = [[.write([forged], to: Self.files[0], at: .start), .sync(Self.files[0])]]
        #expect(disk.perform(group: group) == [nil])
        #expect(disk.perform(group: [JournaledDiskTests.write("real", to: Self.files[1])]) == [nil])
        try self.lose()
        let journal = Self.older
        self.base.damage(journal, at: JournalHeader.byteCount) { $0 ^= 1 }
        #expect(try self.replay().damage.count == 1)
        #expect(try self.text(1) == "real")
        #expect(try self.text(3) == "")
    }

    @Test("a replay that finds the disk full has room made, once")
    func fullDisk() throws {
        try self.write(rounds: 3)
        try self.lose()
        let ballast = DiskPath("ballast")
        try self.base.create(ballast)
        try self.base.allocate(ballast, upTo: .bytes(100))
        self.base.capacity -= try self.base.freeBytes().rawValue
        #expect(throws: DiskError.self) { try self.replay() }
        let asked = Mutex(0)
        var configuration = Self.configuration()
        configuration.makeRoom = { [base] () throws(DiskError) in
            asked.withLock { $0 += 1 }
            try base.truncate(ballast, to: .zero)
            return true
        }
        let report = try JournaledDisk.open(over: self.base, configuration: configuration).report
        #expect(report.entries == 12)
        #expect(asked.withLock { $0 } == 1)
        #expect(try self.text(2) == "012")
    }

    @Test("a replay reads a journal in pieces")
    func pieces() throws {
        let (disk, _) = try JournaledDisk.open(over: self.base, configuration: Self.configuration(.mebibytes(8)))
        let payload = ByteBuffer(repeating: 7, count: 30_000)
        for round in 0..<120 {
            let position = FilePosition(rawValue: Int64(round * payload.readableBytes))
            let list: DiskCommands = [.write([payload], to: Self.files[0], at: position), .sync(Self.files[0])]
            #expect(disk.perform(group: [list]) == [nil])
        }
        try self.lose()
        let watched = WatchedDisk(base: self.base)
        #expect(try JournaledDisk.open(over: watched, configuration: Self.configuration()).report.entries == 120)
        #expect(watched.longest.withLock { $0 } <= Limits.journalReadBytes.rawValue)
        #expect(try self.base.size(of: Self.files[0]) == .bytes(120 * payload.readableBytes))
    }
}

/// Notes the longest read.
private final class WatchedDisk: ForwardingDisk {
    let base: any Disk
    let longest = Mutex(0)

    init(base: any Disk) { self.base = base }

    func read(_ file: DiskPath, at position: FilePosition, upTo limit: ByteCount) throws(DiskError) -> ByteBuffer {
        self.longest.withLock { $0 = max($0, limit.rawValue) }
        return try self.base.read(file, at: position, upTo: limit)
    }
}
