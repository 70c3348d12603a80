import ApusCore
import CApus
import Glibc

/// One sync of all that a file system has not written yet, where that is worth as much as a sync of each file.
///
/// It is on ext4 and XFS since Linux 5.8: from then on syncfs(2) tells, once to each descriptor, of every failed
/// write-back since that descriptor was opened. Others (overlayfs for one) lose failures on the way up, and older
/// kernels tell of none.
final class WholeFileSystem {
    private let descriptor: Int32

    /// Nil where it can not be trusted.
    init?(below root: Int32) {
        guard Self.tells(root) else { return nil }
        self.descriptor = openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard self.descriptor >= 0 else { return nil }
    }

    deinit {
        _ = Glibc.close(self.descriptor)
    }

    func sync() throws(DiskError) {
        let number = capus_sync_file_system(self.descriptor)
        guard number == 0 else { throw DiskError(errno: number, "sync file system", .root) }
    }

    private static func tells(_ root: Int32) -> Bool {
        let ext4: Int64 = 0xEF53
        let xfs: Int64 = 0x5846_5342
        return [ext4, xfs].contains(capus_file_system_kind(root)) && Self.kernel >= (5, 8)
    }

    private static let kernel: (Int, Int) = {
        var name = utsname()
        guard uname(&name) == 0 else { return (0, 0) }
        let release = withUnsafeBytes(of: &name.release) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        let numbers = release.split(separator: ".").prefix(2).map { Int($0.prefix { $0.isNumber }) ?? 0 }
        return numbers.count == 2 ? (numbers[0], numbers[1]) : (0, 0)
    }()
}
