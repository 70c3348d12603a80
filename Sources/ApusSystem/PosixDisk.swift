import CApus
package import ApusCore
import Glibc
package import NIOCore

/// The real disk: everything below one directory, through POSIX calls relative to that directory's descriptor, so that
/// renaming or remounting something above it never moves writes elsewhere.
///
/// Blocking and thread-safe: different files are worked on beside one another, without a common lock around any system
/// call. The same file may be read while it is written; two writers of one file are the caller's to order (a lane of
/// ``DiskThreads`` does it).
///
/// After a failed fdatasync the file is dead: Linux may mark the lost pages clean, so that the next fdatasync reports
/// success for bytes that are not on the disk. Every later change or sync of it answers `.dead`, until the file is
/// removed or made anew.
package final class PosixDisk: Disk {
    let root: Int32
    let files = FileTable()
    let directories = DirectoryMemory()
    private let openFilesMax: Int
    private let openFilesHotMax: Int

    /// Opens the directory everything happens below. It must exist.
    package init(
        below directory: String, openFilesMax: Int = Limits.openFilesMax, openFilesHotMax: Int = Limits.openFilesHotMax
    ) throws(DiskError) {
        precondition(openFilesMax > 0 && openFilesHotMax > 0)
        self.root = try systemCall("open", .root) { Glibc.open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
        self.openFilesMax = openFilesMax
        self.openFilesHotMax = openFilesHotMax
    }

    /// Closes everything. What was not synced by now is not promised to anyone.
    deinit {
        for file in self.files.removeAll() { self.discard(file) }
        _ = Glibc.close(self.root)
    }

    // MARK: Contents

    package func create(_ file: DiskPath) throws(DiskError) {
        let descriptor = try self.open(file, O_RDWR | O_CREAT | O_EXCL, "create")
        self.files.forget(file).map(self.discard)
        self.release(self.takeIn(descriptor, isWritable: true, as: file, for: .read), after: .read)
    }

    package func allocate(_ file: DiskPath, upTo size: ByteCount) throws(DiskError) {
        try self.withDescriptor(of: file, for: .change, "allocate") { (descriptor) throws(DiskError) in
            let number = capus_fallocate(descriptor, Int64(size.rawValue))
            switch number {
            case 0: return
            case EOPNOTSUPP:
                // A file system without preallocation: the size is what the caller needs, the blocks are a favour.
                guard try self.status(descriptor, "allocate", file).st_size < size.rawValue else { return }
                try self.setSize(descriptor, size, "allocate", file)
            default: throw DiskError(errno: number, "allocate", file)
            }
        }
    }

    package func write(_ bytes: [ByteBuffer], to file: DiskPath, at position: FilePosition) throws(DiskError) {
        try self.withDescriptor(of: file, for: .change, "write") { (descriptor) throws(DiskError) in
            try GatheredWrite(file, descriptor).run(bytes, at: position)
        }
    }

    package func sync(_ file: DiskPath) throws(DiskError) {
        let open = try self.acquire(file, for: .sync, "sync")
        defer { self.release(open, after: .sync) }
        try self.sync(open, file)
    }

    package func read(
        _ file: DiskPath, at position: FilePosition, upTo limit: ByteCount
    ) throws(DiskError) -> ByteBuffer {
        precondition(position >= .start && limit >= .zero)
        return try self.withDescriptor(of: file, for: .read, "read") { (descriptor) throws(DiskError) in
            var buffer = ByteBufferAllocator().buffer(capacity: limit.rawValue)
            while buffer.readableBytes < limit.rawValue {
                let missing = limit.rawValue - buffer.readableBytes
                let place = Int(position.rawValue) + buffer.readableBytes
                // Straight into memory that was never zeroed: pread says how much of it is now ours.
                let count = try buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: missing) {
                    (memory) throws(DiskError) in
                    try systemCall("read", file) { pread(descriptor, memory.baseAddress, missing, place) }
                }
                if count == 0 { break }
            }
            return buffer
        }
    }

    /// A file that is not open is as good as cold: opening it may wait, too.
    package func readCached(
        _ path: DiskPath, at position: FilePosition, upTo limit: ByteCount, end: FilePosition
    ) throws(DiskError) -> ByteBuffer? {
        precondition(position >= .start && limit >= .zero)
        guard let file = try self.files.pin(path, for: .read, "read") else { return nil }
        defer { self.release(file, after: .read) }
        guard Self.isCachedAhead(file, from: position, length: limit, end: end) else { return nil }
        var buffer = ByteBufferAllocator().buffer(capacity: limit.rawValue)
        let wanted = limit.rawValue
        // Straight into memory that was never zeroed, as in `read`; what it did not fill is not told to the buffer.
        let count = buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: wanted) { memory in
            max(0, capus_read_cached(file.descriptor, memory.baseAddress, wanted, position.rawValue))
        }
        // Fewer: the cache ends here, or the file does. Whoever may wait finds out which.
        return count == wanted ? buffer : nil
    }

    /// Whether a reader that comes to `position` finds what it is about to read in the cache, too.
    ///
    /// A read that finds all its bytes still makes the kernel read ahead when it nears the end of what is cached: it
    /// takes up to 8 MiB of pages, which it may have to win back from others first. That is milliseconds, and
    /// RWF_NOWAIT does not spare them. So this looks as many bytes as the read has, at a distance that no window of
    /// readahead reaches: a reader that goes on thus has looked at everything before it comes there, each byte once.
    private static func isCachedAhead(
        _ file: OpenFile, from position: FilePosition, length: ByteCount, end: FilePosition
    ) -> Bool {
        let horizon = min(position.advanced(by: Limits.readAheadBytesMax), end)
        let from = max(position, FilePosition(rawValue: horizon.rawValue - Int64(length.rawValue)))
        guard horizon > from else { return true }
        // A kernel that can not tell (before 6.5, or forbidden) is taken at the read's word.
        return capus_is_cached(file.descriptor, from.rawValue, horizon.rawValue - from.rawValue) != 0
    }

    package func size(of file: DiskPath) throws(DiskError) -> ByteCount {
        var status = stat()
        try systemCall("size", file) { fstatat(self.root, file.relative, &status, AT_SYMLINK_NOFOLLOW) }
        return .bytes(status.st_size)
    }

    package func truncate(_ file: DiskPath, to size: ByteCount) throws(DiskError) {
        try self.withDescriptor(of: file, for: .change, "truncate") { (descriptor) throws(DiskError) in
            try self.setSize(descriptor, size, "truncate", file)
        }
    }

    package func punchHole(
        in file: DiskPath, from start: FilePosition, upTo end: FilePosition
    ) throws(DiskError) -> Bool {
        guard end > start else { return true }
        return try self.withDescriptor(of: file, for: .change, "punch hole") { (descriptor) throws(DiskError) in
            let number = capus_punch_hole(descriptor, start.rawValue, end.rawValue - start.rawValue)
            switch number {
            case 0: return true
            case EOPNOTSUPP, ENOSYS: return false
            default: throw DiskError(errno: number, "punch hole", file)
            }
        }
    }

    package func close(_ file: DiskPath) {
        guard let open = self.files.pinIfOpen(file) else { return }
        self.letGo(of: open, file)
    }

    package func freeBytes() throws(DiskError) -> ByteCount {
        var status = statvfs()
        try systemCall("free bytes", .root) { fstatvfs(self.root, &status) }
        let (bytes, overflow) = UInt64(status.f_bavail).multipliedReportingOverflow(by: UInt64(status.f_frsize))
        return .bytes(overflow ? .max : Int(clamping: bytes))
    }

    // MARK: Descriptors

    /// How many files are open now. Near `openFilesMax`, unless more than that
    /// are in use again and again; never more than `openFilesHotMax` plus those in use at this moment.
    package var openFileCount: Int { self.files.count }

    private func withDescriptor<Answer>(
        of path: DiskPath, for use: FileUse, _ operation: String, _ body: (Int32) throws(DiskError) -> Answer
    ) throws(DiskError) -> Answer {
        let file = try self.acquire(path, for: use, operation)
        defer { self.release(file, after: use) }
        return try body(file.descriptor)
    }

    private func acquire(_ path: DiskPath, for use: FileUse, _ operation: String) throws(DiskError) -> OpenFile {
        if let file = try self.files.pin(path, for: use, operation) { return file }
        do throws(DiskError) {
            let descriptor = try self.open(path, O_RDWR, operation)
            return self.takeIn(descriptor, isWritable: true, as: path, for: use)
        } catch {
            // A file system that went read-only still serves what it has.
            guard error.reason == .forbidden, use == .read else { throw error }
            let descriptor = try self.open(path, O_RDONLY, operation)
            return self.takeIn(descriptor, isWritable: false, as: path, for: use)
        }
    }

    private func takeIn(_ descriptor: Int32, isWritable: Bool, as path: DiskPath, for use: FileUse) -> OpenFile {
        let (file, useless) = self.files.adopt(descriptor, isWritable: isWritable, as: path, for: use)
        if let useless { _ = Glibc.close(useless) }
        return file
    }

    func release(_ file: OpenFile, after use: FileUse) {
        if self.files.unpin(file, after: use) { self.discard(file) }
    }

    /// Closes a descriptor nobody can reach any more. Its answer tells nothing that the last sync did not.
    func discard(_ file: OpenFile) {
        _ = Glibc.close(file.descriptor)
    }

    private func open(_ path: DiskPath, _ flags: Int32, _ operation: String) throws(DiskError) -> Int32 {
        precondition(path.isBelowRoot, "a path that leaves the data directory: \(path)")
        let count = self.files.count
        if count >= self.openFilesHotMax {
            self.makeRoom(idleFor: 0)
        } else if count >= self.openFilesMax {
            self.makeRoom(idleFor: UInt64(self.openFilesMax) * Limits.openFileIdleUsesPerFile)
        }
        func attempt() throws(DiskError) -> Int32 {
            try systemCall(operation, path) {
                openat(self.root, path.relative, flags | O_CLOEXEC | O_NOFOLLOW, 0o640)
            }
        }
        do throws(DiskError) {
            return try attempt()
        } catch {
            guard error.reason == .failed(EMFILE) || error.reason == .failed(ENFILE) else { throw error }
            // Sockets took the last descriptor. A log must not die of that.
            self.makeRoom(idleFor: 0)
            return try attempt()
        }
    }

    /// Closes a share of the idle files: many clean ones at a time, since choosing walks the table; few that need a
    /// sync, since whoever opens a file now waits for it.
    private func makeRoom(idleFor uses: UInt64) {
        let (clean, unsynced) = self.files.victims(
            clean: max(1, self.openFilesMax / 16), unsynced: 4, idleFor: uses)
        for file in clean { self.discard(file) }
        for file in unsynced { self.letGo(of: file, self.files.path(of: file)) }
    }

    /// Syncs a pinned file if it has unsynced changes, then closes it; a failure makes it dead, for whoever asks next.
    private func letGo(of file: OpenFile, _ path: DiskPath) {
        defer { self.release(file, after: .sync) }
        if self.files.hasUnsyncedChanges(file) {
            // The failure is kept in the table: the next change or sync of the file says `.dead`.
            guard (try? self.sync(file, path)) != nil else { return }
        }
        self.files.detachIfClean(file)
    }

    private func sync(_ file: OpenFile, _ path: DiskPath) throws(DiskError) {
        let changes = self.files.syncBegins(file)
        guard fdatasync(file.descriptor) == 0 else {
            let number = errno
            self.files.syncFailed(file)
            throw DiskError(errno: number, "sync", path)
        }
        self.files.syncSucceeded(file, covering: changes)
    }

    private func status(_ descriptor: Int32, _ operation: String, _ path: DiskPath) throws(DiskError) -> stat {
        var status = stat()
        try systemCall(operation, path) { fstat(descriptor, &status) }
        return status
    }

    private func setSize(
        _ descriptor: Int32, _ size: ByteCount, _ operation: String, _ path: DiskPath
    ) throws(DiskError) {
        precondition(size >= .zero)
        try systemCall(operation, path) { ftruncate(descriptor, size.rawValue) }
    }
}

extension DiskPath {
    /// As the system calls take it, relative to the root's descriptor.
    var relative: String { self.rawValue.isEmpty ? "." : self.rawValue }

    /// Paths are made by us from ids and numbers, so anything else is our own mistake.
    var isBelowRoot: Bool {
        !self.rawValue.hasPrefix("/") && !self.rawValue.utf8.contains(0)
            && !self.rawValue.split(separator: "/", omittingEmptySubsequences: false).contains { $0 == ".." }
    }
}
