import ApusCore
import ApusFakes
import NIOCore
import Synchronization

@testable import ApusSystem

/// Random work on a ``JournaledDisk`` over a simulated one, through several lives that end in a kill or a power cut at
/// any point, also while the journal is replayed. After each the files are compared with what was promised.
struct JournalHistory {
    struct Broken: Error, CustomStringConvertible {
        var description: String
    }

    /// Pieces of checkpoints, run when the seed says so.
    final class Background: Sendable {
        private let pieces = Mutex<[@Sendable () -> Void]>([])

        func add(_ piece: @escaping @Sendable () -> Void) { self.pieces.withLock { $0.append(piece) } }
        func runOne() { self.pieces.withLock { $0.isEmpty ? nil : $0.removeFirst() }?() }
        func dropAll() { self.pieces.withLock { $0 = [] } }
    }

    static let directories = ["a", "b"]
    static let names = ["1", "2", "3"]

    let simulated = SimulatedDisk()
    /// What the journal works on; a test puts a disk that lies in between.
    var base: any Disk
    private(set) var trace: [String] = []
    /// Starts that found entries, and those of them with a rotten one: what the test is worth.
    private(set) var replays = 0
    private(set) var rots = 0
    /// False hides what a start says of damage.
    var isTold = true
    private var isRotten = false
    private let salt: Salts
    private var files: [DiskPath: PromisedFile] = [:]
    private var random: SplitMix64
    private let background = Background()
    private var stamp: UInt8 = 0
    private var stopAt = Int.max
    /// How the life before ended, and what happened in it.
    private var wasCut = true
    private var hadFault = false

    /// Every journal file has another one.
    final class Salts: Sendable {
        private let last: Mutex<UInt32>

        init(seed: UInt64) { self.last = Mutex(UInt32(truncatingIfNeeded: seed &* 100_000)) }
        func next() -> UInt32 {
            self.last.withLock { last in
                last = last == .max ? 1 : last + 1
                return last
            }
        }
    }

    init(seed: UInt64) {
        self.salt = Salts(seed: seed)
        self.random = SplitMix64(seed: seed)
        self.base = self.simulated
    }

    mutating func run() throws {
        for directory in Self.directories { try self.simulated.createDirectory(DiskPath(directory)) }
        for life in 0..<(2 + self.random.below(4)) {
            self.trace.append("life \(life)")
            guard let disk = try self.start() else { continue }
            try self.live(on: disk)
            self.end(isPowerCut: self.random.below(4) > 0)
        }
        guard try self.start(mayStop: false) != nil else { throw Broken(description: "it does not start") }
    }

    // MARK: Lives

    /// Opens and compares; nil when the power went before it was done.
    private mutating func start(mayStop: Bool = true) throws -> JournaledDisk? {
        var configuration = JournaledDisk.Configuration()
        configuration.groupMin = 1 + self.random.below(2)
        configuration.journalBytes = .bytes(600 + self.random.below(3000))
        configuration.listBytesMax = .bytes(500)
        configuration.salt = { [salt] in salt.next() }
        configuration.inBackground = { [background] in background.add($0) }
        if mayStop, !self.isRotten, self.random.below(3) == 0 { self.stop(after: self.random.below(12)) }
        let opened: (disk: JournaledDisk, report: JournalReplayReport)
        do {
            opened = try JournaledDisk.open(over: self.base, configuration: configuration)
        } catch {
            guard mayStop, self.isStopped else { throw Broken(description: "it does not open: \(error)") }
            self.trace.append("stopped while it opened")
            self.end(isPowerCut: true)
            return nil
        }
        self.trace.append("replayed \(opened.report)")
        if opened.report.entries > 0 { self.replays += 1 }
        self.stop(after: nil)
        let damage = self.isTold ? opened.report.damage : []
        if damage.isEmpty == self.isRotten {
            throw Broken(description: self.isRotten ? "nothing is said of rot" : "there is no rot: \(damage)")
        }
        self.isRotten = false
        for directory in Self.directories {
            try self.simulated.createDirectory(DiskPath(directory))
            try self.simulated.syncDirectory(DiskPath(directory))
        }
        try self.simulated.syncDirectory(.root)
        try self.compare(on: opened.disk, damage)
        return opened.disk
    }

    private mutating func end(isPowerCut: Bool) {
        self.background.dropAll()
        self.simulated.clearFaults()
        self.stop(after: nil)
        self.trace.append(isPowerCut ? "power cut" : "killed")
        if isPowerCut { self.simulated.crash(seed: self.random.next()) } else { self.simulated.restart() }
        self.wasCut = isPowerCut
        if self.random.below(3) == 0 { self.plantRot() }
    }

    /// One byte of an entry that was synced for certain, because a later write stands behind it. Nothing is promised of
    /// the files that it is about.
    private mutating func plantRot() {
        var victims: [(journal: DiskPath, position: Int, found: JournalEntry.Found)] = []
        for journal in JournaledDisk.files {
            guard let bytes = self.simulated.contents(of: journal), let header = JournalHeader(bytes) else { continue }
            var entries: [(position: Int, found: JournalEntry.Found)] = []
            var position = JournalHeader.byteCount
            while let rest = bytes.getSlice(at: position, length: bytes.readableBytes - position),
                let found = JournalEntry.read(rest, generation: header.generation, salt: header.salt),
                found.sequence == UInt64(entries.count)
            {
                entries.append((position, found))
                position += found.byteCount
            }
            let last = entries.last?.found.writeBegan ?? 0
            victims += entries.filter { $0.found.sequence < last }.map { (journal, $0.position, $0.found) }
        }
        guard !victims.isEmpty else { return }
        let victim = victims[self.random.below(victims.count)]
        let (entry, flip) = (victim.found.entry, UInt8(1 + self.random.below(255)))
        let position = victim.position + self.random.below(victim.found.byteCount)
        self.trace.append("rot in \(victim.journal) at \(position): \(entry.kind) \(entry.path)")
        self.simulated.damage(victim.journal, at: position) { $0 ^= flip }
        for path in self.files.keys where path == entry.path || path.directory == entry.path {
            self.files[path]?.isUncertain = true
        }
        self.isRotten = true
        self.rots += 1
    }

    private var isStopped: Bool { self.simulated.operations >= self.stopAt }

    private mutating func stop(after count: Int?) {
        self.simulated.stop(after: count)
        self.stopAt = count.map { self.simulated.operations + $0 } ?? .max
    }

    private mutating func compare(on disk: JournaledDisk, _ damage: [String]) throws {
        for directory in Self.directories {
            for name in Self.names {
                let path = DiskPath(directory).appending(name)
                let found = self.bytes(of: path)
                guard var file = self.files[path] else {
                    if found != nil { throw Broken(description: "\(path) is back") }
                    continue
                }
                guard let found else {
                    guard file.isUncertain else { throw Broken(description: "\(path) is gone") }
                    self.files[path] = nil
                    continue
                }
                // A file that was left as it is, because nobody knows any more what was written there last.
                let isNamed = damage.contains { $0.hasPrefix("\(path): left as it is") }
                if let objection = file.objection(to: found), !isNamed {
                    throw Broken(description: "\(path): \(objection)")
                }
                // After a kill the page cache still holds what no sync has spoken for: as a log's recovery does, it is
                // synced before anybody counts on it, and written once more where an earlier sync may have failed.
                if !self.wasCut {
                    if self.hadFault { try disk.write([ByteBuffer(bytes: found)], to: path, at: .start) }
                    try disk.sync(path)
                }
                file.settled(found)
                self.files[path] = file
            }
        }
    }

    private func bytes(of path: DiskPath) -> [UInt8]? {
        self.simulated.contents(of: path).map { Array($0.readableBytesView) }
    }

    // MARK: Work

    private mutating func live(on disk: JournaledDisk) throws {
        if self.random.below(2) == 0 { self.stop(after: self.random.below(150)) }
        self.hadFault = self.random.below(3) == 0
        if self.hadFault { self.plantFault() }
        for _ in 0..<(5 + self.random.below(40)) {
            switch self.random.below(16) {
            case 0...7: try self.group(on: disk)
            case 8, 9: try self.directWrite(on: disk)
            case 10: try self.truncate(on: disk)
            case 11: try self.rename(on: disk)
            case 12: try self.remove(on: disk)
            case 13: try self.removeDirectory(on: disk)
            default: self.background.runOne()
            }
            if self.isStopped { return }
        }
    }

    private mutating func plantFault() {
        let targets = ["journal.0", "journal.1", "a/1", "a/2", "b/1", "b/2"]
        let target = targets[self.random.below(targets.count)]
        let kinds: [SimulatedFault.Kind] = [
            .syncError, .syncError, .writeError(kept: self.random.below(200)), .writeFull(kept: self.random.below(200)),
        ]
        let fault = SimulatedFault(kinds[self.random.below(4)], on: target, after: self.random.below(12))
        self.trace.append("fault \(fault)")
        self.simulated.fail(fault)
    }

    private mutating func anyPath() -> DiskPath {
        DiskPath(Self.directories[self.random.below(2)]).appending(Self.names[self.random.below(3)])
    }

    /// Bytes that differ from those of the writes before, and are never zero.
    private mutating func payload(upTo limit: Int) -> [UInt8] {
        self.stamp = self.stamp == 255 ? 1 : self.stamp + 1
        return [UInt8](repeating: self.stamp, count: 1 + self.random.below(limit))
    }

    /// The list that makes a file so that its name survives, or nil when it is there.
    private mutating func make(_ path: DiskPath) -> DiskCommands? {
        guard self.files[path] == nil else { return nil }
        var file = PromisedFile()
        file.isUncertain = true
        self.files[path] = file
        return [.create(path), .sync(path), .syncDirectory(path.directory)]
    }

    private mutating func group(on disk: JournaledDisk) throws {
        var lists: [(path: DiskPath, commands: DiskCommands, isMade: Bool)] = []
        for _ in 0..<(1 + self.random.below(4)) {
            let path = self.anyPath()
            guard !lists.contains(where: { $0.path == path }) else { continue }
            let made = self.make(path)
            var commands = made ?? []
            if made == nil, self.random.below(4) == 0 {
                commands.append(.allocate(path, upTo: .bytes(self.random.below(2000))))
            }
            for _ in 0..<self.random.below(3) {
                let bytes = ByteBuffer(bytes: self.payload(upTo: 300))
                // Mostly at the end, as logs do; sometimes over what is there, or behind a hole.
                let end = self.files[path]?.current.count ?? 0
                let position = self.random.below(3) > 0 ? end : self.random.below(end + 200)
                commands.append(.write([bytes], to: path, at: FilePosition(rawValue: Int64(position))))
            }
            if self.random.below(6) > 0 { commands.append(.sync(path)) }
            lists.append((path, commands, made != nil))
        }
        self.trace.append("group \(lists.map { "\($0.path): \(Self.text($0.commands))" })")
        let failures = disk.perform(group: lists.map(\.commands))
        for (list, failure) in zip(lists, failures) {
            try self.did(list.commands, to: list.path, isMade: list.isMade, failure)
        }
    }

    private mutating func did(
        _ commands: DiskCommands, to path: DiskPath, isMade: Bool, _ failure: DiskFailure?
    ) throws {
        var file = self.files[path] ?? PromisedFile()
        for (index, command) in commands.enumerated() {
            if let failure, index >= failure.index { break }
            switch command {
            case .write(let bytes, _, let position):
                file.wrote(bytes.flatMap { Array($0.readableBytesView) }, at: Int(position.rawValue))
            case .allocate(_, let size): file.allocated(upTo: size.rawValue)
            case .sync: file.synced()
            case .syncDirectory: file.isUncertain = false
            default: continue
            }
        }
        if let failure {
            self.trace.append("    \(path) \(failure)")
            guard let found = self.bytes(of: path) else {
                self.files[path] = isMade && !self.isStopped ? nil : file
                return
            }
            file.found(found)
        } else if self.bytes(of: path) != file.current {
            throw Broken(description: "\(path) does not read as it was written")
        }
        self.files[path] = file
    }

    private mutating func directWrite(on disk: JournaledDisk) throws {
        let path = self.anyPath()
        guard let file = self.files[path] else { return }
        let position = self.random.below(file.current.count + 100)
        let bytes = self.payload(upTo: 800)
        var commands: DiskCommands = [
            .write([ByteBuffer(bytes: bytes)], to: path, at: FilePosition(rawValue: Int64(position)))
        ]
        if self.random.below(2) == 0 { commands.append(.sync(path)) }
        self.trace.append("direct \(path): \(Self.text(commands))")
        try self.did(commands, to: path, isMade: false, disk.performEach([commands])[0])
    }

    private mutating func truncate(on disk: JournaledDisk) throws {
        let path = self.anyPath()
        guard var file = self.files[path], !file.current.isEmpty else { return }
        let size = self.random.below(file.current.count)
        self.trace.append("truncate \(path) to \(size)")
        do {
            try disk.truncate(path, to: .bytes(size))
            file.truncated(to: size)
            if self.random.below(2) == 0 {
                try disk.sync(path)
                file.synced()
            }
        } catch {
            self.trace.append("    \(error)")
        }
        self.files[path] = file
    }

    private mutating func rename(on disk: JournaledDisk) throws {
        let (path, name) = (self.anyPath(), self.anyPath())
        guard path != name, let file = self.files[path], !file.isUncertain else { return }
        self.trace.append("rename \(path) to \(name)")
        do {
            try disk.rename(path, to: name)
        } catch {
            return self.trace.append("    \(error)")
        }
        // Until the directories are synced, either name may stand for it, and the other for what it did before.
        var either = file
        either.isUncertain = true
        self.files[path] = either
        self.files[name] = either
        do {
            try disk.syncDirectory(path.directory)
            try disk.syncDirectory(name.directory)
        } catch {
            return self.trace.append("    \(error)")
        }
        self.files[path] = nil
        self.files[name] = file
    }

    private mutating func remove(on disk: JournaledDisk) throws {
        let path = self.anyPath()
        guard self.files[path] != nil else { return }
        self.trace.append("remove \(path)")
        do {
            self.files[path]?.isUncertain = true
            try disk.remove(path)
            try disk.syncDirectory(path.directory)
            self.files[path] = nil
        } catch {
            self.trace.append("    \(error)")
        }
    }

    private mutating func removeDirectory(on disk: JournaledDisk) throws {
        let directory = DiskPath(Self.directories[self.random.below(2)])
        let paths = Self.names.map { directory.appending($0) }
        self.trace.append("remove directory \(directory)")
        for path in paths { self.files[path]?.isUncertain = true }
        do {
            try disk.removeDirectory(directory)
            try disk.syncDirectory(.root)
            for path in paths { self.files[path] = nil }
            try disk.createDirectory(directory)
        } catch {
            self.trace.append("    \(error)")
        }
    }

    private static func text(_ commands: DiskCommands) -> String {
        commands.map { command in
            switch command {
            case .write(let bytes, _, let position):
                let stamp = bytes.first.flatMap { $0.readableBytesView.first } ?? 0
                return "\(bytes.reduce(0) { $0 + $1.readableBytes }) × \(stamp) at \(position)"
            case .allocate(_, let size): return "allocate \(size.rawValue)"
            case .sync: return "sync"
            case .create: return "create"
            default: return "…"
            }
        }.joined(separator: ", ")
    }
}
