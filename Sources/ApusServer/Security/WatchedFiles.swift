import ApusCore
import Foundation

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

/// Files that somebody else may replace while they are used. Blocking.
struct WatchedFiles: Sendable {
    /// What tells one state of a file from the next.
    struct Stamp: Hashable, Sendable {
        var seconds = 0
        var nanoseconds = 0
        var inode: UInt64 = 0
        var size: Int64 = -1
    }

    let paths: [String]

    /// As the files are now; a missing one has a stamp of its own.
    var stamps: [Stamp] {
        self.paths.map { path in
            var status = stat()
            guard stat(path, &status) == 0 else { return Stamp() }
            #if canImport(Darwin)
            let time = status.st_mtimespec
            #else
            let time = status.st_mtim
            #endif
            return Stamp(
                seconds: Int(time.tv_sec), nanoseconds: Int(time.tv_nsec), inode: UInt64(status.st_ino),
                size: Int64(status.st_size))
        }
    }

    /// What is in a file, if it is no longer than it may be.
    static func read(_ path: String, upTo limit: ByteCount = Limits.secretFileBytesMax) throws(ServerError) -> [UInt8] {
        let file: FileHandle
        let data: Data
        do {
            file = try FileHandle(forReadingFrom: URL(filePath: path))
            data = try file.read(upToCount: limit.rawValue + 1) ?? Data()
        } catch {
            throw ServerError(.configuration, "\(path) can not be read: \(error.localizedDescription)", cause: error)
        }
        guard data.count <= limit.rawValue else {
            throw ServerError(.configuration, "\(path) is longer than \(limit)")
        }
        return Array(data)
    }

    /// Whether others than its owner may read a file that holds a secret.
    static func isOpenToOthers(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & 0o077 != 0
    }
}
