package import ApusCore
package import NIOCore

/// A disk in front of another one that does everything as that one does. A test writes the one method that lies, fails
/// or looks on. Lists and groups run through these methods, one command at a time.
package protocol ForwardingDisk: Disk {
    var base: any Disk { get }
}

extension ForwardingDisk {
    package func create(_ file: DiskPath) throws(DiskError) { try self.base.create(file) }
    package func allocate(_ file: DiskPath, upTo size: ByteCount) throws(DiskError) {
        try self.base.allocate(file, upTo: size)
    }
    package func write(_ bytes: [ByteBuffer], to file: DiskPath, at position: FilePosition) throws(DiskError) {
        try self.base.write(bytes, to: file, at: position)
    }
    package func sync(_ file: DiskPath) throws(DiskError) { try self.base.sync(file) }
    package func read(
        _ file: DiskPath, at position: FilePosition, upTo limit: ByteCount
    ) throws(DiskError) -> ByteBuffer {
        try self.base.read(file, at: position, upTo: limit)
    }
    package func size(of file: DiskPath) throws(DiskError) -> ByteCount { try self.base.size(of: file) }
    package func truncate(_ file: DiskPath, to size: ByteCount) throws(DiskError) {
        try self.base.truncate(file, to: size)
    }
    package func punchHole(
        in file: DiskPath, from start: FilePosition, upTo end: FilePosition
    ) throws(DiskError) -> Bool {
        try self.base.punchHole(in: file, from: start, upTo: end)
    }
    package func rename(_ file: DiskPath, to name: DiskPath) throws(DiskError) {
        try self.base.rename(file, to: name)
    }
    package func remove(_ file: DiskPath) throws(DiskError) { try self.base.remove(file) }
    package func createDirectory(_ directory: DiskPath) throws(DiskError) { try self.base.createDirectory(directory) }
    package func removeDirectory(_ directory: DiskPath) throws(DiskError) { try self.base.removeDirectory(directory) }
    package func syncDirectory(_ directory: DiskPath) throws(DiskError) { try self.base.syncDirectory(directory) }
    package func list(_ directory: DiskPath) throws(DiskError) -> [String] { try self.base.list(directory) }
    package func close(_ file: DiskPath) { self.base.close(file) }
    package func freeBytes() throws(DiskError) -> ByteCount { try self.base.freeBytes() }
}
