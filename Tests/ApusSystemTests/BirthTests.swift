import ApusCore
import Glibc
import NIOCore
import Testing

@testable import ApusSystem

/// Many new files made in step, on the real disk.
@Suite struct BirthTests {
    private let directory: TemporaryDirectory
    private let disk: PosixDisk

    init() throws {
        self.directory = try TemporaryDirectory()
        self.disk = try PosixDisk(below: self.directory.path)
    }

    private func directory(_ number: Int) -> DiskPath { DiskPath("topics/t\(number / 2)/\(number % 2)") }

    private func file(_ number: Int) -> DiskPath { self.directory(number).appending("segment") }

    private func birth(_ number: Int) -> DiskCommands {
        let file = self.file(number)
        return [
            .createDirectory(self.directory(number)), .create(file),
            .write([ByteBuffer(string: "header")], to: file, at: .start), .sync(file),
            .syncDirectory(self.directory(number)), .allocate(file, upTo: .kibibytes(4)),
            .write([ByteBuffer(string: "batch \(number)")], to: file, at: FilePosition(rawValue: 6)), .sync(file),
        ]
    }

    @Test("files made in step are all there, few or many", arguments: [1, 2, 15, 16, 300])
    func made(count: Int) throws {
        #expect(self.disk.perform(births: (0..<count).map(self.birth)) == Array(repeating: nil, count: count))
        for number in 0..<count {
            let text = try self.disk.read(self.file(number), at: .start, upTo: .bytes(100))
            #expect(String(buffer: text).hasPrefix("headerbatch \(number)"))
        }
        #expect(try self.disk.list(DiskPath("topics")).count == (count + 1) / 2)
        for number in 0..<count { self.disk.close(self.file(number)) }
        #expect(self.disk.openFileCount == 0)
    }

    @Test("a list that fails ends where it failed, and the others go on", arguments: [3, 40])
    func oneFails(count: Int) throws {
        try self.disk.createDirectory(self.directory(1))
        try self.disk.create(self.file(1))
        let failures = self.disk.perform(births: (0..<count).map(self.birth))
        #expect(failures[1] == DiskFailure(DiskError(.exists, "create", self.file(1)), at: 1))
        #expect(failures.filter { $0 == nil }.count == count - 1)
        #expect(try self.disk.size(of: self.file(1)) == .zero)
    }

    /// The kernel does not say whose pages were lost.
    @Test("a sync of the whole file system that fails is everyone's failure, and no file of theirs is trusted again")
    func syncFails() throws {
        let before = DiskPath("before")
        try self.disk.create(before)
        for (failing, place) in [(1, 3), (2, 7)] {
            var syncs = 0
            let numbers = Array((failing * 100)..<(failing * 100 + 20))
            let failures = self.disk.perform(births: numbers.map(self.birth)) { () throws(DiskError) in
                syncs += 1
                if syncs == failing { throw DiskError(.failed(EIO), "sync file system", .root) }
            }
            #expect(syncs == failing)
            for (number, failure) in zip(numbers, failures) {
                #expect(failure == DiskFailure(DiskError(.failed(EIO), "sync file system", .root), at: place))
                #expect(throws: DiskError(.dead, "sync", self.file(number))) { try self.disk.sync(self.file(number)) }
                // The second one was not about directories.
                #expect(self.disk.files.isDead(self.directory(number)) == (failing == 1))
            }
        }
        try self.disk.sync(before)
        #expect(self.disk.openFileCount == 1)
        // Their directories above are not dead: others are made in them.
        #expect(self.disk.perform(births: (0..<20).map(self.birth)) == Array(repeating: nil, count: 20))
    }

    @Test("bytes that a birth leaves unsynced are not journaled over")
    func journal() throws {
        var configuration = JournaledDisk.Configuration()
        configuration.groupMin = 1
        let (journaled, _) = try JournaledDisk.open(over: self.disk, configuration: configuration)
        let births = (0..<20).map { Array(self.birth($0).dropLast()) }
        #expect(journaled.perform(births: births) == Array(repeating: nil, count: 20))
        let write: DiskCommands = [
            .write([ByteBuffer(string: "more")], to: self.file(0), at: FilePosition(rawValue: 20)),
            .sync(self.file(0)),
        ]
        #expect(journaled.perform(group: [write]) == [nil])
        // It went to the file's own sync, which covers both.
        #expect(try JournaledDisk.open(over: self.disk, configuration: configuration).report.entries == 0)
    }
}
