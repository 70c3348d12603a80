#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// CPU time of all the threads of a process, from `/proc/PID/task/*/schedstat` (Linux): nanoseconds on a CPU, which
/// counts what the 10 ms ticks of `/proc/PID/stat` miss.
package enum ProcessTime {
    /// Nil when there is no such process, or no such file system.
    package static func spent(by process: Int32) -> Duration? {
        let folder = "/proc/\(process)/task"
        guard let directory = opendir(folder) else { return nil }
        defer { closedir(directory) }
        var total: Int64 = 0
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { name in
                name.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            guard name.first != ".", let text = Self.text(of: "\(folder)/\(name)/schedstat") else { continue }
            total += Self.nanoseconds(in: text)
        }
        return .nanoseconds(total)
    }

    /// The first of the three numbers of a schedstat line.
    static func nanoseconds(in line: String) -> Int64 {
        Int64(line.prefix { $0 != " " && $0 != "\n" }) ?? 0
    }

    /// A short file, whole; nil when it is gone, as a thread's may be at any time.
    private static func text(of path: String) -> String? {
        let file = open(path, O_RDONLY)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: 256)
        let count = read(file, &bytes, bytes.count)
        return count > 0 ? String(decoding: bytes.prefix(count), as: UTF8.self) : nil
    }
}
