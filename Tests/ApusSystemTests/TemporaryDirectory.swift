import ApusCore
import ApusSystem
import Glibc

/// A directory of its own for one test, removed with everything in it when the test lets go.
final class TemporaryDirectory: Sendable {
    let path: String

    init() throws {
        let base = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        var template = Array("\(base)/apus-test-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw DiskError(.failed(errno), "mkdtemp", .root) }
        self.path = template.withUnsafeBufferPointer { buffer in
            String(decoding: buffer.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        }
    }

    deinit {
        // Nothing depends on a clean /tmp.
        guard let slash = self.path.lastIndex(of: "/") else { return }
        let parent = try? PosixDisk(below: String(self.path[..<slash]))
        try? parent?.removeDirectory(DiskPath(String(self.path[self.path.index(after: slash)...])))
    }
}
