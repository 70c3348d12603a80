import ApusCore
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
        configuration.syncsInFlightMin = 0
        configuration.journalBytes = journalBytes
        return configuration
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
        try disk.write([ByteBuffer(string: "hello ")], to: file, at: .start)
        try disk.write([ByteBuffer(string: "wor"), ByteBuffer(string: "ld")], to: file, at: FilePosition(rawValue: 6))
        try disk.sync(file)

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
            try disk.write([ByteBuffer(string: "old old old")], to: file, at: .start)
            try disk.sync(file)
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
        try disk.write([ByteBuffer(string: "first")], to: file, at: .start)
        try disk.sync(file)
        let large = ByteBuffer(repeating: UInt8(ascii: "x"), count: Limits.journalEntryBytesMax.rawValue + 1)
        try disk.write([large], to: file, at: .start)
        try disk.sync(file)
        _ = try JournaledDisk.open(over: base, configuration: Self.eager())
        #expect(try self.text(of: file, on: base).hasPrefix("xxxxxx"))
    }

    @Test("a journal that was recycled many times still holds every acknowledged byte")
    func recycles() async throws {
        let base = try PosixDisk(below: self.directory.path)
        let (disk, _) = try JournaledDisk.open(over: base, configuration: Self.eager(.kibibytes(4)))
        let loops = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let threads = DiskThreads(count: 8, disk: disk)
        let failures = Mutex<[DiskError]>([])
        for lane in 0..<16 {
            let file = DiskPath("f\(lane)")
            try base.create(file)
            for line in 0..<50 {
                let bytes = ByteBuffer(string: "\(lane % 10)\(line % 10)")
                threads.run(in: DiskLane(rawValue: UInt64(lane)), on: loops.next()) {
                    disk -> DiskError? in
                    do throws(DiskError) {
                        try disk.write([bytes], to: file, at: FilePosition(rawValue: Int64(line * 2)))
                        try disk.sync(file)
                        return nil
                    } catch { return error }
                } then: { error in
                    if let error { failures.withLock { $0.append(error) } }
                }
            }
        }
        await threads.shutdown()
        try await loops.shutdownGracefully()
        #expect(failures.withLock { $0 } == [])
        #expect(try base.size(of: JournaledDisk.files[1]) > .zero)

        // Everything that was not checkpointed may be gone from the files; the end of each certainly is, here.
        let report = try JournaledDisk.open(over: base, configuration: Self.eager()).report
        #expect(report.entries > 0)
        for lane in 0..<16 {
            let expected = (0..<50).map { "\(lane % 10)\($0 % 10)" }.joined()
            #expect(try self.text(of: DiskPath("f\(lane)"), on: base) == expected)
        }
    }
}
