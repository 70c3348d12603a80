import ApusCore
import ApusFakes
import NIOCore
import Testing

@Suite struct SimulatedDiskTests {
    private let disk = SimulatedDisk()
    private let file = DiskPath("d/f")

    private func text(_ path: DiskPath) -> String? { self.disk.contents(of: path).map { String(buffer: $0) } }

    private func make(_ text: String, synced: Bool = true) throws {
        try self.disk.createDirectory(DiskPath("d"))
        try self.disk.create(self.file)
        try self.disk.write([ByteBuffer(string: text)], to: self.file, at: .start)
        guard synced else { return }
        try self.disk.sync(self.file)
        try self.disk.syncDirectory(DiskPath("d"))
    }

    @Test("a read sees what was written, in pieces and over the end")
    func reads() throws {
        try self.make("hello world", synced: false)
        #expect(
            try self.disk.read(self.file, at: FilePosition(rawValue: 6), upTo: .bytes(99))
                == ByteBuffer(string: "world"))
        #expect(try self.disk.read(self.file, at: FilePosition(rawValue: 11), upTo: .bytes(9)).readableBytes == 0)
        try self.disk.write(
            [ByteBuffer(string: "a"), ByteBuffer(string: "b")], to: self.file, at: FilePosition(rawValue: 13))
        #expect(self.text(self.file) == "hello world\0\0ab")
        try self.disk.truncate(self.file, to: .bytes(5))
        try self.disk.allocate(self.file, upTo: .bytes(7))
        #expect(self.text(self.file) == "hello\0\0")
    }

    @Test("what was synced survives every power cut", arguments: UInt64(0)..<50)
    func syncedSurvives(seed: UInt64) throws {
        try self.make("hello")
        self.disk.crash(seed: seed)
        #expect(self.text(self.file) == "hello")
    }

    @Test("what was not synced ends in every way: old, new, with the new size and the old bytes")
    func unsynced() throws {
        var seen: Set<String> = []
        for seed in 0..<200 {
            let disk = SimulatedDisk()
            try disk.createDirectory(DiskPath("d"))
            try disk.create(self.file)
            try disk.write([ByteBuffer(string: "old")], to: self.file, at: .start)
            try disk.sync(self.file)
            try disk.syncDirectory(DiskPath("d"))
            try disk.write([ByteBuffer(string: "newer")], to: self.file, at: .start)
            disk.crash(seed: UInt64(seed))
            seen.insert(disk.contents(of: self.file).map { String(buffer: $0) } ?? "")
        }
        #expect(seen == ["old", "newer", "new", "old\0\0"])
    }

    @Test("a page is torn between sectors, and never inside one")
    func torn() throws {
        var mixed = 0
        for seed in 0..<200 {
            let disk = SimulatedDisk()
            try disk.create(DiskPath("f"))
            try disk.allocate(DiskPath("f"), upTo: .kibibytes(8))
            try disk.sync(DiskPath("f"))
            try disk.syncDirectory(.root)
            try disk.write([ByteBuffer(repeating: 1, count: 8192)], to: DiskPath("f"), at: .start)
            disk.crash(seed: UInt64(seed))
            let bytes = try #require(disk.contents(of: DiskPath("f")))
            for sector in 0..<16 {
                let part = try #require(bytes.getSlice(at: sector * 512, length: 512))
                #expect(part == ByteBuffer(repeating: 0, count: 512) || part == ByteBuffer(repeating: 1, count: 512))
            }
            let ones = bytes.readableBytesView.filter { $0 == 1 }.count
            if ones > 0, ones < 8192 { mixed += 1 }
        }
        #expect(mixed > 20)
    }

    @Test("a name without a directory sync may be lost though the file was synced; with one it may not")
    func names() throws {
        var lost = 0
        for seed in 0..<100 {
            let disk = SimulatedDisk()
            try disk.create(DiskPath("a"))
            try disk.sync(DiskPath("a"))
            try disk.syncDirectory(.root)
            try disk.create(DiskPath("b"))
            try disk.sync(DiskPath("b"))
            disk.crash(seed: UInt64(seed))
            #expect(disk.contents(of: DiskPath("a")) != nil)
            if disk.contents(of: DiskPath("b")) == nil { lost += 1 }
        }
        #expect(lost > 20 && lost < 80)
    }

    @Test("a rename is all or nothing", arguments: UInt64(0)..<50)
    func renames(seed: UInt64) throws {
        try self.make("old")
        let other = DiskPath("d/g")
        try self.disk.create(other)
        try self.disk.write([ByteBuffer(string: "new")], to: other, at: .start)
        try self.disk.sync(other)
        try self.disk.syncDirectory(DiskPath("d"))
        try self.disk.rename(other, to: self.file)
        self.disk.crash(seed: seed)
        let isNew = self.text(self.file) == "new"
        #expect(isNew ? self.text(other) == nil : self.text(self.file) == "old" && self.text(other) == "new")
    }

    @Test("a sync that fails once counts the pages as clean: they read as written and are gone at the power cut")
    func lyingSync() throws {
        try self.make("old")
        self.disk.fail(SimulatedFault(.syncError))
        try self.disk.write([ByteBuffer(string: "new")], to: self.file, at: .start)
        #expect(throws: DiskError(.failed(5), "sync", self.file)) { try self.disk.sync(self.file) }
        #expect(throws: DiskError(.dead, "sync", self.file)) { try self.disk.sync(self.file) }
        #expect(throws: DiskError(.dead, "write", self.file)) { try self.disk.write([], to: self.file, at: .start) }
        self.disk.restart()
        try self.disk.sync(self.file)
        #expect(self.text(self.file) == "new")
        self.disk.crash(seed: 1)
        #expect(self.text(self.file) == "old")
    }

    @Test("a full disk takes what fits and says that it is full")
    func capacity() throws {
        self.disk.capacity = 10
        try self.make("12345678")
        #expect(try self.disk.freeBytes() == .bytes(2))
        #expect(throws: DiskError(.full, "allocate", self.file)) { try self.disk.allocate(self.file, upTo: .bytes(11)) }
        #expect(throws: DiskError(.full, "write", self.file)) {
            try self.disk.write([ByteBuffer(string: "abcd")], to: self.file, at: FilePosition(rawValue: 8))
        }
        #expect(self.text(self.file) == "12345678ab")
    }

    @Test("a path through all power cuts meets each of them once")
    func enumeration() throws {
        var seen: [String: Int] = [:]
        var path = CrashPath()
        repeat {
            let disk = SimulatedDisk()
            try disk.create(DiskPath("f"))
            try disk.syncDirectory(.root)
            try disk.allocate(DiskPath("f"), upTo: .bytes(1024))
            try disk.sync(DiskPath("f"))
            try disk.write([ByteBuffer(repeating: 0x61, count: 1024)], to: DiskPath("f"), at: .start)
            disk.crash(along: &path)
            seen[disk.contents(of: DiskPath("f")).map { String(buffer: $0) } ?? "", default: 0] += 1
        } while path.next()
        #expect(seen.count == 4 && seen.values.allSatisfy { $0 == 1 })
    }

    @Test("a stopped process changes nothing any more")
    func stops() throws {
        try self.make("a")
        self.disk.stop(after: 1)
        try self.disk.write([ByteBuffer(string: "b")], to: self.file, at: .start)
        #expect(throws: DiskError.self) { try self.disk.write([ByteBuffer(string: "c")], to: self.file, at: .start) }
        #expect(self.text(self.file) == "b")
    }

    @Test("a read error and a flipped bit happen once, where they were asked for")
    func readFaults() throws {
        try self.make("abc")
        self.disk.fail(SimulatedFault(.readError, on: "/f"))
        self.disk.fail(SimulatedFault(.readFlip(bit: 8), on: "/f"))
        #expect(throws: DiskError.self) { try self.disk.read(self.file, at: .start, upTo: .bytes(3)) }
        #expect(try self.disk.read(self.file, at: .start, upTo: .bytes(3)) == ByteBuffer(string: "acc"))
        #expect(try self.disk.read(self.file, at: .start, upTo: .bytes(3)) == ByteBuffer(string: "abc"))
        #expect(self.disk.pendingFaults.isEmpty)
    }

    @Test("the clock goes on and the wall clock jumps; a seed is a seed")
    func clockAndChance() {
        let clock = SimulatedClock()
        let (now, wall) = (clock.now, clock.wallTime)
        clock.advance(by: .seconds(2))
        #expect(clock.now.since(now) == .seconds(2) && clock.wallTime.rawValue == wall.rawValue + 2000)
        clock.jump(to: Timestamp(rawValue: 5))
        #expect(clock.wallTime.rawValue == 5 && clock.now.since(now) == .seconds(2))
        let (one, other) = (SeededRandomness(seed: 9), SeededRandomness(seed: 9))
        #expect((0..<10).map { _ in one.next() } == (0..<10).map { _ in other.next() })
    }
}
