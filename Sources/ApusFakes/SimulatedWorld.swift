import ApusCore
import NIOCore

/// What ``SimulatedDisk`` holds: a tree of names, and the changes to it that may yet be lost.
struct SimulatedWorld {
    enum Node {
        case file(SimulatedFile)
        case directory(SimulatedDirectory)
    }

    /// A change to names that is not durable yet.
    struct Change {
        enum Kind {
            case add(SimulatedDirectory, String, Node)
            case remove(SimulatedDirectory, String)
            case move(from: SimulatedDirectory, String, to: SimulatedDirectory, String, Node)
        }

        var kind: Kind

        var directories: [SimulatedDirectory] {
            switch self.kind {
            case .add(let place, _, _), .remove(let place, _): [place]
            case .move(let from, _, let to, _, _): [from, to]
            }
        }

        func touches(_ directory: SimulatedDirectory) -> Bool { self.directories.contains { $0 === directory } }

        func applyToDurable() {
            switch self.kind {
            case .add(let place, let name, let node): place.durable[name] = node
            case .remove(let place, let name): place.durable[name] = nil
            case .move(let from, let old, let to, let new, let node):
                from.durable[old] = nil
                to.durable[new] = node
            }
        }
    }

    private let root = SimulatedDirectory()
    private var pending: [Change] = []
    private(set) var operations = 0
    var stopAt: Int?
    var capacity = Int.max
    var faults: [SimulatedFault] = []
    var hasHoles = true

    // MARK: Fates

    mutating func crash(_ chooser: inout some CrashChooser) {
        for change in self.pending where chooser.one(of: 2) == 1 { change.applyToDurable() }
        self.pending = []
        self.stopAt = nil
        self.root.forgetPending()
        for entry in self.allFiles() { entry.file.crash(&chooser) }
    }

    mutating func restart() {
        self.stopAt = nil
        for entry in self.allFiles() { entry.file.isDead = false }
    }

    /// One more operation; none after the process was stopped.
    private mutating func step(_ operation: String, _ path: DiskPath) throws(DiskError) {
        if let stopAt, self.operations >= stopAt { throw DiskError(.failed(5), "stopped in " + operation, path) }
        self.operations += 1
    }

    /// The fault whose turn it is, if any.
    private mutating func fault(
        _ path: DiskPath, where isKind: (SimulatedFault.Kind) -> Bool
    ) -> SimulatedFault.Kind? {
        for index in self.faults.indices
        where isKind(self.faults[index].kind) && path.rawValue.hasSuffix(self.faults[index].suffix) {
            if self.faults[index].after == 0 { return self.faults.remove(at: index).kind }
            self.faults[index].after -= 1
        }
        return nil
    }

    // MARK: The tree

    private func node(_ path: DiskPath) -> Node? {
        var node = Node.directory(self.root)
        for part in path.rawValue.split(separator: "/") {
            guard case .directory(let directory) = node, let next = directory.current[String(part)] else { return nil }
            node = next
        }
        return node
    }

    func file(_ path: DiskPath) -> SimulatedFile? {
        guard case .file(let file) = self.node(path) else { return nil }
        return file
    }

    func directory(_ path: DiskPath) -> SimulatedDirectory? {
        guard case .directory(let directory) = self.node(path) else { return nil }
        return directory
    }

    func existing(_ path: DiskPath, _ operation: String) throws(DiskError) -> SimulatedFile {
        guard let file = self.file(path) else { throw DiskError(.notFound, operation, path) }
        return file
    }

    private func parent(of path: DiskPath, _ operation: String) throws(DiskError) -> SimulatedDirectory {
        guard let directory = self.directory(path.directory) else { throw DiskError(.notFound, operation, path) }
        return directory
    }

    func allFiles() -> [(path: DiskPath, file: SimulatedFile)] { self.root.files(below: .root) }

    var used: Int { self.allFiles().reduce(0) { $0 + $1.file.size } }

    // MARK: Files

    mutating func create(_ path: DiskPath) throws(DiskError) {
        try self.step("create", path)
        if self.fault(path, where: { $0 == .createFull }) != nil { throw DiskError(.full, "create", path) }
        let parent = try self.parent(of: path, "create")
        guard parent.current[path.name] == nil else { throw DiskError(.exists, "create", path) }
        let node = Node.file(SimulatedFile())
        parent.current[path.name] = node
        self.pending.append(Change(kind: .add(parent, path.name, node)))
    }

    mutating func allocate(_ path: DiskPath, upTo size: Int) throws(DiskError) {
        try self.step("allocate", path)
        let file = try self.writable(path, "allocate")
        let isFull = self.fault(path, where: { $0 == .allocateFull }) != nil
        guard !isFull, size - file.size <= self.capacity - self.used else { throw DiskError(.full, "allocate", path) }
        file.grow(to: size)
    }

    mutating func write(_ buffers: [ByteBuffer], to path: DiskPath, at position: Int) throws(DiskError) {
        try self.step("write", path)
        let file = try self.writable(path, "write")
        var bytes = ByteBuffer()
        for var buffer in buffers { bytes.writeBuffer(&buffer) }
        let fault = self.fault(path) { kind in
            switch kind {
            case .writeError, .writeFull: true
            default: false
            }
        }
        switch fault {
        case .writeError(let kept):
            file.write(bytes.prefix(kept), at: position)
            throw DiskError(.failed(5), "write", path)
        case .writeFull(let kept):
            file.write(bytes.prefix(kept), at: position)
            throw DiskError(.full, "write", path)
        default: break
        }
        let room = self.capacity - self.used + file.size - position
        file.write(bytes.prefix(max(0, room)), at: position)
        if bytes.readableBytes > room { throw DiskError(.full, "write", path) }
    }

    mutating func sync(_ path: DiskPath) throws(DiskError) {
        try self.step("sync", path)
        let file = try self.writable(path, "sync")
        guard self.fault(path, where: { $0 == .syncError }) == nil else {
            file.failSync()
            throw DiskError(.failed(5), "sync", path)
        }
        file.sync()
    }

    mutating func read(_ path: DiskPath, at position: Int, upTo limit: Int) throws(DiskError) -> ByteBuffer {
        let file = try self.existing(path, "read")
        let fault = self.fault(path) { kind in
            switch kind {
            case .readError, .readFlip: true
            default: false
            }
        }
        if fault == .readError { throw DiskError(.failed(5), "read", path) }
        var bytes = file.read(at: position, upTo: limit)
        if case .readFlip(let bit) = fault, bytes.readableBytes > 0 {
            let index = bytes.readerIndex + bit / 8 % bytes.readableBytes
            let byte = bytes.getInteger(at: index, as: UInt8.self) ?? 0
            bytes.setInteger(byte ^ (1 << UInt8(bit % 8)), at: index)
        }
        return bytes
    }

    mutating func truncate(_ path: DiskPath, to size: Int) throws(DiskError) {
        try self.step("truncate", path)
        try self.writable(path, "truncate").truncate(to: size)
    }

    mutating func punchHole(in path: DiskPath, _ range: Range<Int>) throws(DiskError) -> Bool {
        try self.step("punch hole", path)
        let file = try self.writable(path, "punch hole")
        if self.hasHoles { file.punchHole(range) }
        return self.hasHoles
    }

    private func writable(_ path: DiskPath, _ operation: String) throws(DiskError) -> SimulatedFile {
        let file = try self.existing(path, operation)
        guard !file.isDead else { throw DiskError(.dead, operation, path) }
        return file
    }

    // MARK: Names

    mutating func rename(_ path: DiskPath, to name: DiskPath) throws(DiskError) {
        try self.step("rename", path)
        let (from, to) = (try self.parent(of: path, "rename"), try self.parent(of: name, "rename"))
        guard let node = from.current[path.name] else { throw DiskError(.notFound, "rename", path) }
        from.current[path.name] = nil
        to.current[name.name] = node
        self.pending.append(Change(kind: .move(from: from, path.name, to: to, name.name, node)))
    }

    mutating func remove(_ path: DiskPath) throws(DiskError) {
        try self.step("remove", path)
        let parent = try self.parent(of: path, "remove")
        guard case .file = parent.current[path.name] else { throw DiskError(.notFound, "remove", path) }
        parent.current[path.name] = nil
        self.pending.append(Change(kind: .remove(parent, path.name)))
    }

    mutating func createDirectory(_ path: DiskPath) throws(DiskError) {
        _ = try self.makeDirectories(path, syncs: true)
    }

    /// Answers the steps that are not durable; with `syncs` each is before the next is made.
    mutating func makeDirectories(_ path: DiskPath, syncs: Bool) throws(DiskError) -> [DiskPath] {
        var unsynced: [DiskPath] = []
        var above = DiskPath.root
        for part in path.rawValue.split(separator: "/").map(String.init) {
            guard let parent = self.directory(above) else { throw DiskError(.notFound, "create directory", path) }
            if parent.current[part] == nil {
                try self.step("create directory", above.appending(part))
                let node = Node.directory(SimulatedDirectory())
                parent.current[part] = node
                self.pending.append(Change(kind: .add(parent, part, node)))
            }
            let isPending = self.pending.contains { $0.touches(parent) }
            if isPending, syncs { try self.syncDirectory(above) }
            above = above.appending(part)
            if isPending, !syncs { unsynced.append(above) }
        }
        return unsynced
    }

    mutating func removeDirectory(_ path: DiskPath) throws(DiskError) {
        guard let directory = self.directory(path) else { return }
        for name in directory.current.keys.sorted() {
            switch directory.current[name] {
            case .file: try self.remove(path.appending(name))
            case .directory: try self.removeDirectory(path.appending(name))
            case nil: break
            }
        }
        try self.step("remove directory", path)
        let parent = try self.parent(of: path, "remove directory")
        parent.current[path.name] = nil
        self.pending.append(Change(kind: .remove(parent, path.name)))
    }

    mutating func syncDirectory(_ path: DiskPath) throws(DiskError) {
        try self.step("sync directory", path)
        guard let directory = self.directory(path) else { throw DiskError(.notFound, "sync directory", path) }
        if self.fault(path, where: { $0 == .syncDirectoryError }) != nil {
            throw DiskError(.failed(5), "sync directory", path)
        }
        // A move that becomes durable takes along what happened before it in its other directory: a later change to a
        // name is never undone by an earlier one.
        var touched = [directory]
        var applied: Set<Int> = []
        for (index, change) in self.pending.enumerated().reversed()
        where touched.contains(where: { change.touches($0) }) {
            applied.insert(index)
            touched.append(contentsOf: change.directories)
        }
        for (index, change) in self.pending.enumerated() where applied.contains(index) { change.applyToDurable() }
        self.pending = self.pending.enumerated().filter { !applied.contains($0.offset) }.map(\.element)
    }

    // MARK: Meddling

    mutating func replace(_ path: DiskPath, with bytes: ByteBuffer) {
        if self.file(path) == nil, let parent = self.directory(path.directory) {
            let node = Node.file(SimulatedFile())
            parent.current[path.name] = node
            parent.durable[path.name] = node
        }
        self.file(path)?.replaceForGood(with: bytes)
    }

    mutating func swap(_ one: DiskPath, _ other: DiskPath) {
        guard let first = self.file(one)?.current, let second = self.file(other)?.current else { return }
        self.replace(one, with: second)
        self.replace(other, with: first)
    }

    mutating func erase(_ path: DiskPath) {
        let parent = self.directory(path.directory)
        parent?.current[path.name] = nil
        parent?.durable[path.name] = nil
    }
}

/// One directory: the names a listing shows, and those that a power cut leaves.
final class SimulatedDirectory {
    var durable: [String: SimulatedWorld.Node] = [:]
    var current: [String: SimulatedWorld.Node] = [:]

    func forgetPending() {
        self.current = self.durable
        for case .directory(let directory) in self.current.values { directory.forgetPending() }
    }

    func files(below path: DiskPath) -> [(path: DiskPath, file: SimulatedFile)] {
        self.current.keys.sorted().flatMap { name -> [(path: DiskPath, file: SimulatedFile)] in
            switch self.current[name] {
            case .file(let file): [(path.appending(name), file)]
            case .directory(let directory): directory.files(below: path.appending(name))
            case nil: []
            }
        }
    }
}

extension ByteBuffer {
    fileprivate func prefix(_ count: Int) -> ByteBuffer {
        self.getSlice(at: self.readerIndex, length: min(count, self.readableBytes)) ?? ByteBuffer()
    }
}
