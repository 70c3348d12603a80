import ApusCore
import ApusSystem
import CApus
import Glibc
import NIOCore
import Testing

@Suite struct PosixDiskTests {
    private let directory: TemporaryDirectory
    private let disk: PosixDisk

    init() throws {
        self.directory = try TemporaryDirectory()
        self.disk = try PosixDisk(below: self.directory.path)
    }

    private let file = DiskPath("file")

    @Test("what is written is read back, from any position and not beyond the end")
    func writeAndRead() throws {
        try self.disk.create(self.file)
        try self.disk.write(
            [ByteBuffer(string: "ab"), ByteBuffer(), ByteBuffer(string: "cde")], to: self.file, at: .start)
        try self.disk.sync(self.file)
        #expect(try self.disk.size(of: self.file) == .bytes(5))
        #expect(try self.disk.read(self.file, at: .start, upTo: .bytes(100)) == ByteBuffer(string: "abcde"))
        #expect(
            try self.disk.read(self.file, at: FilePosition(rawValue: 1), upTo: .bytes(3)) == ByteBuffer(string: "bcd"))
        #expect(try self.disk.read(self.file, at: FilePosition(rawValue: 9), upTo: .bytes(3)).readableBytes == 0)
        #expect(try self.disk.read(self.file, at: .start, upTo: .zero).readableBytes == 0)
    }

    @Test("a hole gives its blocks back to the file system, reads as zeros, and leaves the file as long as it was")
    func hole() throws {
        let whole = ByteBuffer(repeating: 7, count: 1 << 20)
        try self.disk.create(self.file)
        try self.disk.write([whole], to: self.file, at: .start)
        try self.disk.sync(self.file)
        func blocks() throws -> Int {
            var status = stat()
            try #require(stat(self.directory.path + "/file", &status) == 0)
            return Int(status.st_blocks)
        }
        let before = try blocks()
        let (start, end) = (FilePosition(rawValue: 8192), FilePosition(rawValue: 8192 + 512 * 1024))
        let isDone = try self.disk.punchHole(in: self.file, from: start, upTo: end)
        #expect(try self.disk.size(of: self.file) == .mebibytes(1))
        let inside = try self.disk.read(self.file, at: start, upTo: .kibibytes(512))
        #expect(inside == ByteBuffer(repeating: isDone ? 0 : 7, count: 512 * 1024))
        #expect(try self.disk.read(self.file, at: .start, upTo: .bytes(8192)) == ByteBuffer(repeating: 7, count: 8192))
        #expect(try self.disk.read(self.file, at: end, upTo: .mebibytes(1)).readableBytes == (512 - 8) * 1024)
        // 512 bytes each, whatever the file system's own are.
        if isDone { #expect(try blocks() <= before - 1000) }
        #expect(throws: DiskError.self) { try self.disk.punchHole(in: DiskPath("none"), from: start, upTo: end) }
    }

    @Test("what was just written is in the cache; what is not open, or ends early, is left to those who may wait")
    func readCached() throws {
        try self.disk.create(self.file)
        try self.disk.write([ByteBuffer(repeating: 7, count: 10_000)], to: self.file, at: .start)
        let (position, end) = (FilePosition(rawValue: 4000), FilePosition(rawValue: 10_000))
        #expect(
            try self.disk.readCached(self.file, at: position, upTo: .bytes(5000), end: end)
                == ByteBuffer(repeating: 7, count: 5000))
        #expect(try self.disk.readCached(self.file, at: position, upTo: .bytes(6001), end: end) == nil)
        try self.disk.sync(self.file)
        self.disk.close(self.file)
        #expect(try self.disk.readCached(self.file, at: position, upTo: .bytes(5000), end: end) == nil)
    }

    /// Whether this kernel tells what is cached.
    private static var canTell: Bool {
        let descriptor = open("/proc/self/exe", O_RDONLY | O_CLOEXEC)
        defer { close(descriptor) }
        return capus_is_cached(descriptor, 0, 1) >= 0
    }

    @Test(
        "a reader that nears the end of what is cached is left to those who may wait", .enabled(if: Self.canTell),
        arguments: [1, 5, 15])
    func nearsTheEndOfTheCache(mebibytesCached: Int) throws {
        let cached = ByteCount.mebibytes(mebibytesCached)
        try self.disk.create(self.file)
        try self.disk.write([ByteBuffer(repeating: 7, count: cached.rawValue)], to: self.file, at: .start)
        // Nobody has read the hole behind it, so it is in no cache.
        try self.disk.truncate(self.file, to: .mebibytes(64))
        let written = FilePosition.start.advanced(by: cached)
        func read(at position: FilePosition, end: FilePosition) throws -> ByteBuffer? {
            try self.disk.readCached(self.file, at: position, upTo: .kibibytes(64), end: end)
        }
        #expect(try read(at: .start, end: written)?.readableBytes == 64 << 10)
        #expect(try read(at: .start, end: FilePosition(rawValue: 64 << 20)) == nil)
        let last = FilePosition(rawValue: written.rawValue - (64 << 10))
        #expect(try read(at: last, end: written)?.readableBytes == 64 << 10)
        #expect(try read(at: last, end: written.advanced(by: .kibibytes(64))) == nil)
        #expect(try read(at: written, end: FilePosition(rawValue: 64 << 20)) == nil)
    }

    @Test("a reader whose next 16 MiB are cached is served, whatever is behind them", .enabled(if: Self.canTell))
    func farFromTheEndOfTheCache() throws {
        try self.disk.create(self.file)
        try self.disk.write([ByteBuffer(repeating: 7, count: 17 << 20)], to: self.file, at: .start)
        try self.disk.truncate(self.file, to: .mebibytes(64))
        let end = FilePosition(rawValue: 64 << 20)
        func read(at position: Int64) throws -> Int? {
            try self.disk.readCached(
                self.file, at: FilePosition(rawValue: position), upTo: .mebibytes(1), end: end)?.readableBytes
        }
        #expect(try read(at: 1 << 20) == 1 << 20)
        #expect(try read(at: (1 << 20) + 5000) == nil)
        #expect(try read(at: 2 << 20) == nil)
    }

    @Test("more pieces than one system call takes arrive whole and in order", arguments: [1023, 1024, 1025, 5000])
    func manyPieces(count: Int) throws {
        try self.disk.create(self.file)
        let pieces = (0..<count).map { ByteBuffer(integer: UInt32($0)) }
        try self.disk.write(pieces, to: self.file, at: FilePosition(rawValue: 3))
        var read = try self.disk.read(self.file, at: FilePosition(rawValue: 3), upTo: .bytes(count * 4))
        let numbers = read.readMultipleUInt32(count: count)
        #expect(numbers == (0..<count).map(UInt32.init))
        #expect(try self.disk.size(of: self.file) == .bytes(3 + count * 4))
    }

    @Test("a file set aside reads as zeros, never shrinks, and holds what is written into it")
    func allocate() throws {
        try self.disk.create(self.file)
        try self.disk.allocate(self.file, upTo: .kibibytes(64))
        #expect(try self.disk.size(of: self.file) == .kibibytes(64))
        try self.disk.write([ByteBuffer(string: "x")], to: self.file, at: .start)
        try self.disk.allocate(self.file, upTo: .kibibytes(4))
        #expect(try self.disk.size(of: self.file) == .kibibytes(64))
        #expect(try self.disk.read(self.file, at: .start, upTo: .bytes(3)) == ByteBuffer(bytes: [0x78, 0, 0]))
        try self.disk.truncate(self.file, to: .bytes(1))
        #expect(try self.disk.size(of: self.file) == .bytes(1))
    }

    @Test("a name that is taken and a name that is missing each have their own error")
    func namedErrors() throws {
        try self.disk.create(self.file)
        #expect(throws: DiskError(.exists, "create", self.file)) { try self.disk.create(self.file) }
        let missing = DiskPath("missing")
        #expect(throws: DiskError(.notFound, "size", missing)) { try self.disk.size(of: missing) }
        #expect(throws: DiskError(.notFound, "remove", missing)) { try self.disk.remove(missing) }
        #expect(throws: DiskError(.notFound, "read", missing)) {
            try self.disk.read(missing, at: .start, upTo: .bytes(1))
        }
        #expect(throws: DiskError(.failed(ENOTDIR), "create", self.file.appending("x"))) {
            try self.disk.create(self.file.appending("x"))
        }
    }

    @Test("a full device says full, and may be tried again")
    func full() throws {
        let devices = try PosixDisk(below: "/dev")
        let device = DiskPath("full")
        for _ in 0..<2 {
            #expect(throws: DiskError(.full, "write", device)) {
                try devices.write([ByteBuffer(string: "x")], to: device, at: .start)
            }
        }
    }

    /// fdatasync of a device node fails with EINVAL, while writes to /dev/null succeed for ever: a file whose sync
    /// failed once, and which would take more.
    @Test("after one failed sync a file takes no change and no sync, but the failure stays its own")
    func deadAfterFailedSync() throws {
        let devices = try PosixDisk(below: "/dev")
        let null = DiskPath("null")
        let write = { try devices.write([ByteBuffer(string: "x")], to: null, at: .start) }
        try write()
        #expect(throws: DiskError(.failed(EINVAL), "sync", null)) { try devices.sync(null) }
        #expect(throws: DiskError(.dead, "write", null)) { try write() }
        #expect(throws: DiskError(.dead, "sync", null)) { try devices.sync(null) }
        #expect(throws: DiskError(.dead, "truncate", null)) { try devices.truncate(null, to: .zero) }
        #expect(throws: DiskError(.dead, "allocate", null)) { try devices.allocate(null, upTo: .bytes(1)) }
        #expect(try devices.read(null, at: .start, upTo: .bytes(1)).readableBytes == 0)
        #expect(try devices.read(DiskPath("zero"), at: .start, upTo: .bytes(2)) == ByteBuffer(bytes: [0, 0]))
        devices.close(null)
        #expect(throws: DiskError(.dead, "sync", null)) { try devices.sync(null) }
    }

    @Test("closing a file with unsynced writes syncs it, and a failure of that is not forgotten")
    func closeSyncs() throws {
        let devices = try PosixDisk(below: "/dev")
        let null = DiskPath("null")
        try devices.write([ByteBuffer(string: "x")], to: null, at: .start)
        devices.close(null)
        #expect(devices.openFileCount == 0)
        #expect(throws: DiskError(.dead, "write", null)) {
            try devices.write([ByteBuffer(string: "x")], to: null, at: .start)
        }
    }

    @Test("an evicted file with unsynced writes was synced first, and a failure of that is not forgotten")
    func evictionSyncs() throws {
        let devices = try PosixDisk(below: "/dev", openFilesMax: 1, openFilesHotMax: 1)
        let null = DiskPath("null")
        try devices.write([ByteBuffer(string: "x")], to: null, at: .start)
        #expect(try devices.read(DiskPath("zero"), at: .start, upTo: .bytes(1)).readableBytes == 1)
        #expect(throws: DiskError(.dead, "sync", null)) { try devices.sync(null) }
    }

    @Test("files used in turn stay open beyond the table's size, idle ones are closed")
    func hotFilesStayOpen() throws {
        let disk = try PosixDisk(below: self.directory.path, openFilesMax: 20, openFilesHotMax: 100)
        let files = (0..<50).map { DiskPath("hot\($0)") }
        for file in files { try disk.create(file) }
        for _ in 0..<3 {
            for file in files { try disk.write([ByteBuffer(string: "x")], to: file, at: .start) }
        }
        #expect(disk.openFileCount == 50)
        for _ in 0..<500 { try disk.sync(files[0]) }
        for number in 0..<30 { try disk.create(DiskPath("new\(number)")) }
        #expect(disk.openFileCount < 60)
    }

    @Test("far more files than may be open are written and read, synced or not")
    func eviction() throws {
        let disk = try PosixDisk(below: self.directory.path, openFilesMax: 20, openFilesHotMax: 20)
        let files = (0..<200).map { DiskPath("f\($0)") }
        for (number, file) in files.enumerated() {
            try disk.create(file)
            try disk.write([ByteBuffer(integer: UInt64(number))], to: file, at: .start)
            if number.isMultiple(of: 3) { try disk.sync(file) }
            #expect(disk.openFileCount <= 20)
        }
        for (number, file) in files.enumerated() {
            try disk.write([ByteBuffer(integer: UInt64(number))], to: file, at: FilePosition(rawValue: 8))
        }
        for (number, file) in files.enumerated() {
            var both = ByteBuffer(integer: UInt64(number))
            both.writeInteger(UInt64(number))
            #expect(try disk.read(file, at: .start, upTo: .bytes(99)) == both)
        }
        #expect(disk.openFileCount <= 20)
        for file in files { disk.close(file) }
        #expect(disk.openFileCount == 0)
    }

    @Test("a renamed file keeps its contents and replaces what had the name")
    func rename() throws {
        let other = DiskPath("other")
        try self.disk.create(self.file)
        try self.disk.write([ByteBuffer(string: "new")], to: self.file, at: .start)
        try self.disk.create(other)
        try self.disk.write([ByteBuffer(string: "old")], to: other, at: .start)
        try self.disk.rename(self.file, to: other)
        #expect(try self.disk.list(.root) == ["other"])
        try self.disk.write([ByteBuffer(string: "er")], to: other, at: FilePosition(rawValue: 3))
        #expect(try self.disk.read(other, at: .start, upTo: .bytes(9)) == ByteBuffer(string: "newer"))
        #expect(throws: DiskError(.notFound, "read", self.file)) {
            try self.disk.read(self.file, at: .start, upTo: .bytes(1))
        }
    }

    @Test("a removed file's name is free for a new one, and old descriptors do not leak into it")
    func removeAndCreate() throws {
        try self.disk.create(self.file)
        try self.disk.write([ByteBuffer(string: "old")], to: self.file, at: .start)
        try self.disk.remove(self.file)
        try self.disk.create(self.file)
        #expect(try self.disk.read(self.file, at: .start, upTo: .bytes(9)).readableBytes == 0)
        #expect(self.disk.openFileCount == 1)
    }

    @Test("directories come with those above them, list sorted, and go with all that is in them")
    func directories() throws {
        let deep = DiskPath("a/b/c")
        try self.disk.createDirectory(deep)
        try self.disk.createDirectory(deep)
        for name in ["2", "10", "1"] { try self.disk.create(deep.appending(name)) }
        try self.disk.syncDirectory(deep)
        #expect(try self.disk.list(deep) == ["1", "10", "2"])
        #expect(try self.disk.list(DiskPath("nowhere")) == [])
        try self.disk.removeDirectory(DiskPath("a"))
        #expect(try self.disk.list(.root) == [])
        #expect(self.disk.openFileCount == 0)
        try self.disk.removeDirectory(DiskPath("a"))
        try self.disk.createDirectory(deep)
        #expect(try self.disk.list(DiskPath("a/b")) == ["c"])
    }

    @Test("a directory moved aside takes its open files along")
    func renameDirectory() throws {
        let old = DiskPath("t/1")
        try self.disk.createDirectory(old)
        try self.disk.create(old.appending("f"))
        try self.disk.write([ByteBuffer(string: "x")], to: old.appending("f"), at: .start)
        try self.disk.rename(DiskPath("t"), to: DiskPath("q"))
        try self.disk.write([ByteBuffer(string: "y")], to: DiskPath("q/1/f"), at: FilePosition(rawValue: 1))
        #expect(try self.disk.read(DiskPath("q/1/f"), at: .start, upTo: .bytes(9)) == ByteBuffer(string: "xy"))
        #expect(self.disk.openFileCount == 1)
        try self.disk.createDirectory(old)
        #expect(try self.disk.list(.root) == ["q", "t"])
    }

    @Test("a symbolic link in a file's place is not followed, and removing a tree does not reach through one")
    func links() throws {
        try self.disk.createDirectory(DiskPath("kept"))
        try self.disk.create(DiskPath("kept/f"))
        try self.disk.createDirectory(DiskPath("gone"))
        #expect(symlink("../kept", "\(self.directory.path)/gone/link") == 0)
        #expect(symlink("kept/f", "\(self.directory.path)/file") == 0)
        #expect(throws: DiskError(.failed(ELOOP), "read", self.file)) {
            try self.disk.read(self.file, at: .start, upTo: .bytes(1))
        }
        try self.disk.removeDirectory(DiskPath("gone"))
        #expect(try self.disk.list(DiskPath("kept")) == ["f"])
    }

    @Test("free space is told")
    func freeBytes() throws {
        #expect(try self.disk.freeBytes() > .zero)
    }
}

extension ByteBuffer {
    fileprivate mutating func readMultipleUInt32(count: Int) -> [UInt32] {
        (0..<count).compactMap { _ in self.readInteger(as: UInt32.self) }
    }
}
