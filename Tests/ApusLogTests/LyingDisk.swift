import ApusCore
import NIOCore

/// A disk that says it did one thing and does not: shows that the checks notice.
struct LyingDisk: Disk {
    enum Lie: Sendable {
        case sync, syncDirectory, truncate
    }

    private let disk: any Disk
    private let lie: Lie

    init(_ disk: any Disk, lie: Lie) {
        self.disk = disk
        self.lie = lie
    }

    func sync(_ file: DiskPath) throws(DiskError) {
        if self.lie != .sync { try self.disk.sync(file) }
    }
    func syncDirectory(_ directory: DiskPath) throws(DiskError) {
        if self.lie != .syncDirectory { try self.disk.syncDirectory(directory) }
    }
    func truncate(_ file: DiskPath, to size: ByteCount) throws(DiskError) {
        if self.lie != .truncate { try self.disk.truncate(file, to: size) }
    }
    func create(_ file: DiskPath) throws(DiskError) { try self.disk.create(file) }
    func allocate(_ file: DiskPath, upTo size: ByteCount) throws(DiskError) {
        try self.disk.allocate(file, upTo: size)
    }
    func write(_ bytes: [ByteBuffer], to file: DiskPath, at position: FilePosition) throws(DiskError) {
        try self.disk.write(bytes, to: file, at: position)
    }
    func read(_ file: DiskPath, at position: FilePosition, upTo limit: ByteCount) throws(DiskError) -> ByteBuffer {
        try self.disk.read(file, at: position, upTo: limit)
    }
    func size(of file: DiskPath) throws(DiskError) -> ByteCount { try self.disk.size(of: file) }
    func rename(_ file: DiskPath, to name: DiskPath) throws(DiskError) { try self.disk.rename(file, to: name) }
    func remove(_ file: DiskPath) throws(DiskError) { try self.disk.remove(file) }
    func createDirectory(_ directory: DiskPath) throws(DiskError) { try self.disk.createDirectory(directory) }
    func removeDirectory(_ directory: DiskPath) throws(DiskError) { try self.disk.removeDirectory(directory) }
    func list(_ directory: DiskPath) throws(DiskError) -> [String] { try self.disk.list(directory) }
    func close(_ file: DiskPath) { self.disk.close(file) }
    func freeBytes() throws(DiskError) -> ByteCount { try self.disk.freeBytes() }
}
