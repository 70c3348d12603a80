package import ApusCore
#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// How much of the machine's memory a process of this machine has.
package enum ProcessMemory {
    /// Its resident set; nil when there is no such process, or no such file system.
    package static func resident(of process: Int32) -> ByteCount? {
        let file = open("/proc/\(process)/statm", O_RDONLY)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: 256)
        let count = read(file, &bytes, bytes.count)
        guard count > 0 else { return nil }
        // Pages in all, then those that are resident.
        let fields = String(decoding: bytes.prefix(count), as: UTF8.self).split(separator: " ")
        guard fields.count > 1, let pages = Int(fields[1]) else { return nil }
        return .bytes(pages * Int(getpagesize()))
    }
}
