import ApusCore
import ApusFakes

/// A disk that says it did one thing and does not: shows that the checks notice.
struct LyingDisk: ForwardingDisk {
    enum Lie: Sendable {
        case sync, syncDirectory, truncate
    }

    let base: any Disk
    private let lie: Lie

    init(_ disk: any Disk, lie: Lie) {
        self.base = disk
        self.lie = lie
    }

    func sync(_ file: DiskPath) throws(DiskError) {
        if self.lie != .sync { try self.base.sync(file) }
    }
    func syncDirectory(_ directory: DiskPath) throws(DiskError) {
        if self.lie != .syncDirectory { try self.base.syncDirectory(directory) }
    }
    func truncate(_ file: DiskPath, to size: ByteCount) throws(DiskError) {
        if self.lie != .truncate { try self.base.truncate(file, to: size) }
    }
}
