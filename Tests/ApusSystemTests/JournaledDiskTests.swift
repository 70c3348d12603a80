import ApusCore
import ApusFakes
import NIOCore
import NIOPosix
import Synchronization
import Testing

@testable import ApusSystem

@Suite struct JournaledDiskTests {
    private let directory: TemporaryDirectory

    init() throws {
        self.directory = try TemporaryDirectory()
    }

    static func eager(_ journalBytes: ByteCount = .mebibytes(1)) -> JournaledDisk.Configuration {
        var configuration = JournaledDisk.Configuration()
        configuration.groupMin = 1
        configuration.journalBytes = journalBytes
        return configuration
    }

    static func write(_ text: String, to file: DiskPath, at position: Int64 = 0) -> DiskCommands {
        [.write([ByteBuffer(string: text)], to: file, at: FilePosition(rawValue: position)), .sync(file)]
    }

    func text(of file: DiskPath, on disk: any Disk) throws -> String {
        String(buffer: try disk.read(file, at: .start, upTo: .kibibytes(64)))
    }

    @Test("what the page cache lost is put back from the journal")
    func replays() throws {
        let base = try PosixDisk(below: self.directory.path)
        let file = DiskPath("a")
        try base.create(file)
        let (disk, _) = try JournaledDisk.open(over: base, configuration: Self.eager())
        let failures = disk.perform(group: [
            [
                .write([ByteBuffer(string: "hello ")], to: file, at: .start),
                .write([ByteBuffer(string: "wor"), ByteBuffer(string: "ld")], to: file, at: FilePosition(rawValue: 6)),
                .sync(file),
            ]
        ])
        #expect(failures == [nil])

        // The power cut: the file is as if never written, the journal is there.
        try base.truncate(file, to: .zero)
        let report = try JournaledDisk.open(over: base, configuration: Self.eager()).report
        #expect(report.files == 1)
        #expect(report.entries == 2)
        #expect(try self.text(of: file, on: base) == "hello world")

        let again = try JournaledDisk.open(over: base, configuration: Self.eager()).report
        #expect(again.entries == 0)
    }

    @Test("a file that was removed, cut or overwritten is not brought back to what it was")
    func forgets() throws {
        let base = try PosixDisk(below: self.directory.path)
        let (disk, _) = try JournaledDisk.open(over: base, configuration: Self.eager())
        let files = ["removed", "cut", "below/removed", "renamed"].map { DiskPath($0) }
        try disk.createDirectory(DiskPath("below"))
        for file in files {
            try disk.create(file)
            #expect(disk.perform(group: [Self.write("old old old", to: file)]) == [nil])
        }
        try disk.remove(files[0])
        try disk.truncate(files[1], to: .bytes(3))
        try disk.sync(files[1])
        try disk.removeDirectory(DiskPath("below"))
        try disk.rename(files[3], to: DiskPath("other"))
        // The names are taken again by others.
        try base.create(files[0])
        try base.createDirectory(DiskPath("below"))
        try base.create(files[2])
        try base.create(files[3])

        let report = try JournaledDisk.open(over: base, configuration: Self.eager()).report
        #expect(report.files == 0)
        #expect(try self.text(of: files[0], on: base) == "")
        #expect(try self.text(of: files[1], on: base) == "old")
        #expect(try self.text(of: files[2], on: base) == "")
        #expect(try self.text(of: files[3], on: base) == "")
        #expect(try self.text(of: DiskPath("other"), on: base) == "old old old")
    }

    @Test("bytes written over journaled ones and synced in place survive a replay")
    func overwritten() throws {
        let base = try PosixDisk(below: self.directory.path)
        let file = DiskPath("a")
        try base.create(file)
        let (disk, _) = try JournaledDisk.open(over: base, configuration: Self.eager())
        #expect(disk.perform(group: [Self.write("first", to: file)]) == [nil])
        let large = ByteBuffer(repeating: UInt8(ascii: "x"), count: Limits.journalEntryBytesMax.rawValue + 1)
        try disk.write([large], to: file, at: .start)
        try disk.sync(file)
        _ = try JournaledDisk.open(over: base, configuration: Self.eager())
        #expect(try self.text(of: file, on: base).hasPrefix("xxxxxx"))
    }

    @Test("a list that does more than write and sync is done as it says")
    func otherLists() throws {
        let base = try PosixDisk(below: self.directory.path)
        let (disk, _) = try JournaledDisk.open(over: base, configuration: Self.eager())
        let (file, other) = (DiskPath("a"), DiskPath("b"))
        let failures = disk.perform(group: [
            [.create(file)] + Self.write("hello", to: file) + [.syncDirectory(.root)],
            Self.write("no such file", to: other),
        ])
        #expect(failures[0] == nil)
        #expect(failures[1] == DiskFailure(DiskError(.notFound, "write", other), at: 0))
        #expect(try self.text(of: file, on: base) == "hello")
        #expect(try JournaledDisk.open(over: base, configuration: Self.eager()).report.entries == 0)
    }

    @Test("a journal that was recycled many times still holds every acknowledged byte")
    func recycles() async throws {
        let base = try PosixDisk(below: self.directory.path)
        let (disk, _) = try JournaledDisk.open(over: base, configuration: Self.eager(.kibibytes(4)))
        let files = (0..<16).map { DiskPath("f\($0)") }
        for file in files { try base.create(file) }
        for line in 0..<200 {
            let group = files.map { Self.write("\(line % 10)\(line / 10 % 10)", to: $0, at: Int64(line * 2)) }
            #expect(disk.perform(group: group).allSatisfy { $0 == nil })
        }
        #expect(try base.size(of: JournaledDisk.files[1]) > .zero)

        // What only the journal holds durable is lost from the files: the tail of each, as many groups as one life of
        // a journal file takes (16 entries of 44 bytes each).
        let lost = 4096 / (16 * 44)
        for file in files { try base.truncate(file, to: .bytes(2 * (200 - lost))) }
        let report = try JournaledDisk.open(over: base, configuration: Self.eager()).report
        #expect(report.entries > 0)
        let expected = (0..<200).map { "\($0 % 10)\($0 / 10 % 10)" }.joined()
        for file in files { #expect(try self.text(of: file, on: base) == expected) }
    }

    @Test(
        "a journal file that speaks of a file that can not be synced is not written over", arguments: UInt64(1)...20)
    func failingCheckpoint(seed: UInt64) throws {
        let base = SimulatedDisk()
        let (file, other) = (DiskPath("kept"), DiskPath("other"))
        for path in [file, other] {
            try base.create(path)
            try base.sync(path)
        }
        try base.syncDirectory(.root)
        var configuration = Self.eager(.kibibytes(1))
        configuration.inBackground = { _ in }
        let (disk, _) = try JournaledDisk.open(over: base, configuration: configuration)
        base.fail(SimulatedFault(.syncError, on: "kept"))
        #expect(disk.perform(group: [Self.write("acknowledged", to: file)]) == [nil])
        for line in 0..<100 {
            #expect(disk.perform(group: [Self.write("\(line % 10)", to: other, at: Int64(line))]) == [nil])
        }
        #expect(base.pendingFaults == [])
        base.crash(seed: seed)
        _ = try JournaledDisk.open(over: base, configuration: configuration)
        #expect(try self.text(of: file, on: base) == "acknowledged")
        #expect(try self.text(of: other, on: base) == (0..<100).map { "\($0 % 10)" }.joined())
    }

    @Test("where the journal and the file both fail, that log fails and no other")
    func bothFail() throws {
        let base = SimulatedDisk()
        let files = [DiskPath("bad"), DiskPath("good")]
        for path in files { try base.create(path) }
        let (disk, _) = try JournaledDisk.open(over: base, configuration: Self.eager())
        base.fail(SimulatedFault(.syncError, on: "journal.0"))
        base.fail(SimulatedFault(.syncError, on: "journal.1"))
        base.fail(SimulatedFault(.syncError, on: "bad"))
        let failures = disk.perform(group: files.map { Self.write("text", to: $0) })
        #expect(failures == [DiskFailure(DiskError(.failed(5), "sync", files[0]), at: 1), nil])
        #expect(disk.perform(group: [Self.write("more", to: files[1], at: 4)]) == [nil])
        // A sync of its own may say yes and lie: it must not.
        #expect(disk.perform(group: [[.sync(files[0])]]) == [DiskFailure(DiskError(.dead, "sync", files[0]), at: 0)])
    }
}
