import ApusCore
import Glibc

/// One process at a time: flock on the file `lock`, which the kernel lets go of however the process ends. It stays
/// where it is; only the lock on it means something. Held until ``release()``, or until the last reference goes.
final class DirectoryLock: Sendable {
    static let fileName = "lock"

    private let descriptor: Int32

    /// Takes the lock, or says who has it.
    init(_ path: String, below root: Int32) throws(DataDirectoryError) {
        let descriptor = openat(root, Self.fileName, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o640)
        guard descriptor >= 0 else { throw .failed(path: path, "lock: \(systemText(errno))") }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            let number = errno
            let holder = Self.holder(descriptor)
            _ = close(descriptor)
            throw number == EWOULDBLOCK
                ? .inUse(path: path, process: holder) : .failed(path: path, "lock: \(systemText(number))")
        }
        // For people: the lock holds without it, so a full disk may leave it out.
        let process = Array("\(getpid())\n".utf8)
        if ftruncate(descriptor, 0) == 0 { _ = pwrite(descriptor, process, process.count, 0) }
        self.descriptor = descriptor
    }

    /// Said in so many words, because to close is not enough: a process that was started meanwhile has our descriptor
    /// too until it becomes another program, and with it the lock.
    func release() {
        _ = flock(self.descriptor, LOCK_UN)
    }

    deinit {
        self.release()
        _ = close(self.descriptor)
    }

    private static func holder(_ descriptor: Int32) -> Int32? {
        var text = [UInt8](repeating: 0, count: 16)
        let count = pread(descriptor, &text, text.count, 0)
        return Int32(String(decoding: text.prefix(max(0, count)), as: UTF8.self).prefix { $0.isNumber })
    }
}
