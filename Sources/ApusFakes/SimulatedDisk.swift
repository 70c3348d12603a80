package import ApusCore
package import NIOCore
import Synchronization

/// # A disk that may lose whatever was not synced
///
/// **Files.** A read sees every write at once, as through a page cache. On the disk is what was there at the last
/// ``sync(_:)``. At a power cut each 512-byte sector written since then ends as one of the contents it had meanwhile,
/// and the file's size as one of the sizes: so a page is old, new or torn, a new page may be zeros though the size says
/// it is there, and a batch may stand behind a hole. A sector is never half one and half another, and what was synced
/// and not written since never changes. **Names.** Making, renaming and removing are kept or lost one by one, a rename
/// as a whole, until ``syncDirectory(_:)`` of a directory they touch. A directory made by ``createDirectory(_:)`` is
/// durable when that returns.
///
/// **Faults while running** (``fail(_:)``): a read, write, allocation or sync fails with an error once; a write is cut
/// short before it fails; a read comes back with a flipped bit; a sync fails *and its pages count as clean from then
/// on*, so that they read as written and are gone at the power cut, as Linux does. After it this process can not write
/// the file (`.dead`), another one can (``restart()``). There is a capacity. **Damage at rest** (``damage(_:at:_:)``,
/// ``replace(_:with:)``, ``swap(_:_:)``, ``erase(_:)``) is at once and for good.
///
/// ``stop(after:)`` ends the process in the middle: from the n-th operation on, everything fails and nothing changes.
package final class SimulatedDisk: LockstepDisk {
    private let world = Mutex(SimulatedWorld())

    package init() {}

    // MARK: Fates

    /// The power goes and comes back: what was not synced ends one way or another, by seed.
    package func crash(seed: UInt64) {
        self.world.withLock { world in
            var chooser = SeededCrash(seed: seed)
            world.crash(&chooser)
        }
    }

    /// The same, by a path through all possibilities.
    package func crash(along path: inout CrashPath) {
        self.world.withLock { $0.crash(&path) }
    }

    /// The process ends and starts again; the page cache stays.
    package func restart() {
        self.world.withLock { $0.restart() }
    }

    /// From the operation after `count` more on, everything fails, as if the process were gone; nil takes that back.
    package func stop(after count: Int?) {
        self.world.withLock { world in world.stopAt = count.map { world.operations + $0 } }
    }

    /// Operations so far that change something.
    package var operations: Int { self.world.withLock { $0.operations } }

    /// Bytes that all files together may have.
    package var capacity: Int {
        get { self.world.withLock { $0.capacity } }
        set { self.world.withLock { $0.capacity = newValue } }
    }

    /// Whether holes can be punched, as some file systems can and others not.
    package var hasHoles: Bool {
        get { self.world.withLock { $0.hasHoles } }
        set { self.world.withLock { $0.hasHoles = newValue } }
    }

    /// Bytes of a file that lie in holes.
    package func holeByteCount(of file: DiskPath) -> Int { self.world.withLock { $0.file(file)?.holeByteCount ?? 0 } }

    package func fail(_ fault: SimulatedFault) {
        self.world.withLock { $0.faults.append(fault) }
    }

    /// Faults that were asked for and did not happen yet.
    package var pendingFaults: [SimulatedFault] { self.world.withLock { $0.faults } }

    package func clearFaults() { self.world.withLock { $0.faults = [] } }

    // MARK: Meddling

    /// Every file with its size, sorted.
    package var files: [(path: DiskPath, size: ByteCount)] {
        self.world.withLock { $0.allFiles().map { ($0.path, .bytes($0.file.size)) } }
    }

    package func contents(of file: DiskPath) -> ByteBuffer? {
        self.world.withLock { $0.file(file)?.current }
    }

    package func damage(_ file: DiskPath, at position: Int, _ change: @Sendable (inout UInt8) -> Void) {
        self.world.withLock { $0.file(file)?.damage(at: position, change) }
    }

    package func replace(_ file: DiskPath, with bytes: ByteBuffer) {
        self.world.withLock { $0.replace(file, with: bytes) }
    }

    package func swap(_ one: DiskPath, _ other: DiskPath) {
        self.world.withLock { $0.swap(one, other) }
    }

    package func erase(_ file: DiskPath) {
        self.world.withLock { $0.erase(file) }
    }

    // MARK: Disk

    package func create(_ file: DiskPath) throws(DiskError) {
        try self.world.withLock { (world) throws(DiskError) in try world.create(file) }
    }

    package func allocate(_ file: DiskPath, upTo size: ByteCount) throws(DiskError) {
        try self.world.withLock { (world) throws(DiskError) in try world.allocate(file, upTo: size.rawValue) }
    }

    package func write(_ bytes: [ByteBuffer], to file: DiskPath, at position: FilePosition) throws(DiskError) {
        try self.world.withLock { (world) throws(DiskError) in
            try world.write(bytes, to: file, at: Int(position.rawValue))
        }
    }

    package func sync(_ file: DiskPath) throws(DiskError) {
        try self.world.withLock { (world) throws(DiskError) in try world.sync(file) }
    }

    package func read(
        _ file: DiskPath, at position: FilePosition, upTo limit: ByteCount
    ) throws(DiskError) -> ByteBuffer {
        try self.world.withLock { (world) throws(DiskError) in
            try world.read(file, at: Int(position.rawValue), upTo: limit.rawValue)
        }
    }

    /// Everything is in memory here; what ends early is left to `read`, as on a real disk.
    package func readCached(
        _ file: DiskPath, at position: FilePosition, upTo limit: ByteCount, end: FilePosition
    ) throws(DiskError) -> ByteBuffer? {
        let bytes = try self.read(file, at: position, upTo: limit)
        return bytes.readableBytes == limit.rawValue ? bytes : nil
    }

    package func size(of file: DiskPath) throws(DiskError) -> ByteCount {
        try self.world.withLock { (world) throws(DiskError) in
            .bytes(try world.existing(file, "size").size)
        }
    }

    package func truncate(_ file: DiskPath, to size: ByteCount) throws(DiskError) {
        try self.world.withLock { (world) throws(DiskError) in try world.truncate(file, to: size.rawValue) }
    }

    package func punchHole(
        in file: DiskPath, from start: FilePosition, upTo end: FilePosition
    ) throws(DiskError) -> Bool {
        try self.world.withLock { (world) throws(DiskError) in
            try world.punchHole(in: file, Int(start.rawValue)..<Int(end.rawValue))
        }
    }

    package func rename(_ file: DiskPath, to name: DiskPath) throws(DiskError) {
        try self.world.withLock { (world) throws(DiskError) in try world.rename(file, to: name) }
    }

    package func remove(_ file: DiskPath) throws(DiskError) {
        try self.world.withLock { (world) throws(DiskError) in try world.remove(file) }
    }

    package func createDirectory(_ directory: DiskPath) throws(DiskError) {
        try self.world.withLock { (world) throws(DiskError) in try world.createDirectory(directory) }
    }

    package func makeDirectories(_ directory: DiskPath) throws(DiskError) -> [DiskPath] {
        try self.world.withLock { (world) throws(DiskError) in try world.makeDirectories(directory, syncs: false) }
    }

    /// Its names know that themselves.
    package func areDurable(_ directories: [DiskPath]) {}

    package func perform(births group: [DiskCommands]) -> [DiskFailure?] {
        var lockstep = Lockstep(group, on: self)
        lockstep.run()
        return lockstep.failures
    }

    package func removeDirectory(_ directory: DiskPath) throws(DiskError) {
        try self.world.withLock { (world) throws(DiskError) in try world.removeDirectory(directory) }
    }

    package func syncDirectory(_ directory: DiskPath) throws(DiskError) {
        try self.world.withLock { (world) throws(DiskError) in try world.syncDirectory(directory) }
    }

    package func list(_ directory: DiskPath) throws(DiskError) -> [String] {
        self.world.withLock { $0.directory(directory).map { $0.current.keys.sorted() } ?? [] }
    }

    package func close(_ file: DiskPath) {}

    package func freeBytes() throws(DiskError) -> ByteCount {
        self.world.withLock { .bytes(max(0, $0.capacity - $0.used)) }
    }
}

/// Something that goes wrong once, when its turn comes.
package struct SimulatedFault: Hashable, Sendable {
    package enum Kind: Hashable, Sendable {
        case readError
        /// One bit of what is read is wrong.
        case readFlip(bit: Int)
        /// The first `kept` bytes are written, then the device fails.
        case writeError(kept: Int)
        /// The first `kept` bytes are written, then there is no room.
        case writeFull(kept: Int)
        case allocateFull
        case createFull
        /// Fails, and counts the pages as clean.
        case syncError
        case syncDirectoryError
    }

    package var kind: Kind
    /// Only files (or directories) whose path ends so.
    package var suffix: String
    /// So many operations of this kind go well before.
    package var after: Int

    package init(_ kind: Kind, on suffix: String = "", after: Int = 0) {
        self.kind = kind
        self.suffix = suffix
        self.after = after
    }
}
