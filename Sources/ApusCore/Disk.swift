public import NIOCore

/// A file or directory below the broker's data directory, with `/` between its parts: `topics/6ba7…/0/state`.
///
/// Made by us from ids and numbers only, never from a name that a client chose.
public struct DiskPath: Hashable, Comparable, Sendable, CustomStringConvertible {
    public var rawValue: String

    /// The data directory itself.
    public static let root = DiskPath("")

    public init(_ rawValue: String) {
        self.rawValue = rawValue
    }

    public func appending(_ part: String) -> DiskPath {
        self.rawValue.isEmpty ? DiskPath(part) : DiskPath(self.rawValue + "/" + part)
    }

    /// The directory this is in; the root for a path of one part.
    public var directory: DiskPath {
        guard let slash = self.rawValue.lastIndex(of: "/") else { return .root }
        return DiskPath(String(self.rawValue[..<slash]))
    }

    public var name: String {
        guard let slash = self.rawValue.lastIndex(of: "/") else { return self.rawValue }
        return String(self.rawValue[self.rawValue.index(after: slash)...])
    }

    public static func < (left: DiskPath, right: DiskPath) -> Bool {
        left.rawValue < right.rawValue
    }

    public var description: String { self.rawValue.isEmpty ? "." : self.rawValue }
}

/// A place in a file, in bytes from its start.
public struct FilePosition: RawRepresentable, Hashable, Comparable, Sendable {
    public var rawValue: Int64

    public static let start = FilePosition(rawValue: 0)

    @inlinable
    public init(rawValue: Int64) {
        self.rawValue = rawValue
    }

    @inlinable
    public static func < (left: FilePosition, right: FilePosition) -> Bool {
        left.rawValue < right.rawValue
    }

    @inlinable
    public func advanced(by count: ByteCount) -> FilePosition {
        FilePosition(rawValue: self.rawValue + Int64(count.rawValue))
    }
}

extension FilePosition: CustomStringConvertible {
    public var description: String { String(self.rawValue) }
}

/// The port to the file system: blocking, so it is called on disk threads only (see ``DiskQueue``).
///
/// What survives a power cut is what POSIX and ext4 give, and no more: file contents and size after ``sync(_:)``,
/// names after ``syncDirectory(_:)`` of the directory that holds them. A write that was not synced may be kept, lost,
/// zeroed or torn. After a failed ``sync(_:)`` the port must fail every later write and sync of that file with
/// ``DiskError/Reason/dead``: a second fsync may lie.
public protocol Disk: Sendable {
    /// Makes an empty file. Fails with `.exists` if there is one.
    func create(_ file: DiskPath) throws(DiskError)
    /// Sets aside blocks up to `size` and grows the file to it, reading as zeros. Never shrinks.
    func allocate(_ file: DiskPath, upTo size: ByteCount) throws(DiskError)
    /// Writes all the buffers one behind the other, growing the file where needed.
    func write(_ bytes: [ByteBuffer], to file: DiskPath, at position: FilePosition) throws(DiskError)
    /// Makes the file's contents and size durable (fdatasync).
    func sync(_ file: DiskPath) throws(DiskError)
    /// Reads up to `limit` bytes; fewer at the end of the file, none behind it.
    func read(_ file: DiskPath, at position: FilePosition, upTo limit: ByteCount) throws(DiskError) -> ByteBuffer
    /// The same, if all of it can be had without waiting for the device; nil if not, and for no other reason than that
    /// may be asked again. Never blocks for long, nor makes the kernel read ahead, so event loops may call it.
    /// - Parameter end: where what was written to the file ends: what is behind it is in no cache.
    func readCached(
        _ file: DiskPath, at position: FilePosition, upTo limit: ByteCount, end: FilePosition
    ) throws(DiskError) -> ByteBuffer?
    /// The file's size in bytes. Fails with `.notFound`.
    func size(of file: DiskPath) throws(DiskError) -> ByteCount
    /// Cuts the file to `size`; not durable before ``sync(_:)``.
    func truncate(_ file: DiskPath, to size: ByteCount) throws(DiskError)
    /// Gives the blocks of a part of the file back to the file system. The part reads as zeros from then on, and the
    /// file keeps its size. After a power cut each block of it may be as before.
    /// - Returns: false when this file system can not: then nothing was done.
    func punchHole(in file: DiskPath, from start: FilePosition, upTo end: FilePosition) throws(DiskError) -> Bool
    /// Atomically gives a file another name, replacing what had it; durable after ``syncDirectory(_:)`` of both.
    func rename(_ file: DiskPath, to name: DiskPath) throws(DiskError)
    /// Removes a file. Fails with `.notFound`.
    func remove(_ file: DiskPath) throws(DiskError)
    /// Makes a directory, and those above it that are missing (each made durable in its parent). Succeeds if it is
    /// there.
    func createDirectory(_ directory: DiskPath) throws(DiskError)
    /// Removes a directory with everything in it. Succeeds if there is none.
    func removeDirectory(_ directory: DiskPath) throws(DiskError)
    /// Makes the names in a directory durable.
    func syncDirectory(_ directory: DiskPath) throws(DiskError)
    /// The names in a directory, sorted; empty if there is no such directory.
    func list(_ directory: DiskPath) throws(DiskError) -> [String]
    /// Lets go of what is held open for this file, if anything. Never fails, never loses a write.
    func close(_ file: DiskPath)
    /// Runs the lists of several logs, in order within each. Answers each one's failure, nil for success. A disk may
    /// let the syncs at the ends of many lists share one.
    func perform(group: [DiskCommands]) -> [DiskFailure?]
    /// The same for lists that each begin with a new file: they change no other. A disk may run them in step, so that
    /// those that wait for it at the same place wait together. A directory that a list makes is durable with the
    /// list's next sync.
    func perform(births group: [DiskCommands]) -> [DiskFailure?]
    /// Bytes that may still be written to the data directory.
    func freeBytes() throws(DiskError) -> ByteCount
}

extension Disk {
    public func readCached(
        _ file: DiskPath, at position: FilePosition, upTo limit: ByteCount, end: FilePosition
    ) throws(DiskError) -> ByteBuffer? { nil }

    public func perform(group: [DiskCommands]) -> [DiskFailure?] { self.performEach(group) }
    public func perform(births group: [DiskCommands]) -> [DiskFailure?] { self.performEach(group) }
}

/// Why the disk refused, on what.
public struct DiskError: Error, Hashable, Sendable, CustomStringConvertible {
    public enum Reason: Hashable, Sendable {
        case notFound
        case exists
        /// No space or quota left (ENOSPC, EDQUOT). Writing may work again later.
        case full
        /// The file system went read-only, or we may not write there (EROFS, EACCES, EPERM).
        case forbidden
        /// The device failed (EIO and everything unnamed), with the system's error number.
        case failed(Int32)
        /// An earlier sync of this file failed, so nothing written to it can be trusted any more.
        case dead
    }

    public var reason: Reason
    public var operation: String
    public var path: DiskPath

    public init(_ reason: Reason, _ operation: String, _ path: DiskPath) {
        self.reason = reason
        self.operation = operation
        self.path = path
    }

    public var description: String { "\(self.operation) \(self.path): \(self.reason)" }
}
