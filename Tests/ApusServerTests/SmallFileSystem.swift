import Foundation

/// A real file system of a test's own, small enough to be filled, that can be made read-only. Gone when the test lets
/// go.
final class SmallFileSystem: Sendable {
    let path: String

    init(bytes: Int, in directory: TemporaryDirectory) throws {
        self.path = directory.file("small")
        try FileManager.default.createDirectory(atPath: self.path, withIntermediateDirectories: false)
        try Command.run("mount", "-t", "tmpfs", "-o", "size=\(bytes),mode=700", "tmpfs", self.path)
    }

    // Lazily: a server that did not stop may still have a file there.
    deinit { try? Command.run("umount", "-l", self.path) }

    func file(_ name: String) -> String { "\(self.path)/\(name)" }

    /// Until not one byte more fits.
    func fill() throws {
        let name = self.file("filling")
        try Data().write(to: URL(fileURLWithPath: name))
        let file = try FileHandle(forWritingTo: URL(fileURLWithPath: name))
        for size in [65_536, 4096, 1] {
            // The end of it is what is wanted.
            while (try? file.write(contentsOf: Data(repeating: 1, count: size))) != nil {}
        }
        try file.close()
    }

    func makeRoom() throws { try FileManager.default.removeItem(atPath: self.file("filling")) }

    /// Refused by the kernel while a file is open for writing.
    func remount(isReadOnly: Bool) throws {
        try Command.run("mount", "-o", isReadOnly ? "remount,ro" : "remount,rw", self.path)
    }

    /// Whether there can be one: not without root, and not in every container.
    static let isPossible: Bool = {
        guard geteuid() == 0, let directory = try? TemporaryDirectory() else { return false }
        return (try? SmallFileSystem(bytes: 65_536, in: directory)) != nil
    }()
}

/// A program that is run to its end.
enum Command {
    struct Failed: Error {
        let words: [String]
        let status: Int32
        let output: String
    }

    static func run(_ words: String...) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = words
        let output = Pipe()
        process.standardOutput = output
        process.standardError = output
        try process.run()
        let text = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            throw Failed(
                words: words, status: process.terminationStatus, output: String(decoding: text, as: UTF8.self))
        }
    }
}

/// Another process that has a database for itself.
final class LockHolder: Sendable {
    private let process: Process
    private let input: Pipe

    /// - Parameter isWhole: nobody else may even read; otherwise nobody else may write.
    init(_ path: String, isWhole: Bool) throws {
        let script = """
            import sqlite3, sys
            c = sqlite3.connect(sys.argv[1], isolation_level=None)
            if sys.argv[2] == 'True':
                c.execute('PRAGMA locking_mode = EXCLUSIVE')
            c.execute('BEGIN EXCLUSIVE')
            c.execute('CREATE TABLE held (x)')
            print('held', flush=True)
            sys.stdin.readline()
            c.execute('ROLLBACK')
            c.close()
            """
        self.process = Process()
        self.input = Pipe()
        self.process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        self.process.arguments = ["python3", "-c", script, path, isWhole ? "True" : "False"]
        self.process.standardInput = self.input
        let output = Pipe()
        self.process.standardOutput = output
        try self.process.run()
        let word = output.fileHandleForReading.availableData
        guard String(decoding: word, as: UTF8.self).hasPrefix("held") else {
            throw Command.Failed(words: ["python3", path], status: 0, output: String(decoding: word, as: UTF8.self))
        }
    }

    func letGo() throws {
        try self.input.fileHandleForWriting.write(contentsOf: Data("\n".utf8))
        self.process.waitUntilExit()
    }

    deinit { if self.process.isRunning { self.process.terminate() } }

    static let isPossible = (try? Command.run("python3", "-c", "import sqlite3")) != nil
}
