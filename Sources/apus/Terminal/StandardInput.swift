import ApusCommand
import Foundation
import NIOCore
import NIOPosix

/// Bytes from standard input or a file, read on a thread of its own so that no task is blocked by a slow writer.
/// Owner: the one task that reads.
struct InputFile {
    /// The first read; doubled while reads fill it. Slices of a chunk keep all of it alive, so it must not be much
    /// larger than what a pipe gives.
    private static let chunkBytesMin = 64 * 1024
    private static let chunkBytesMax = 1024 * 1024

    private let file: Int32
    private let name: String
    private var chunkBytes = Self.chunkBytesMin

    static var standard: InputFile { InputFile(file: STDIN_FILENO, name: "standard input") }
    static var standardIsTerminal: Bool { isatty(STDIN_FILENO) == 1 }

    private init(file: Int32, name: String) {
        self.file = file
        self.name = name
        Pipe.widen(file)
    }

    /// The process reads one file and ends: nothing closes it.
    init(path: String) throws(CommandFailure) {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else {
            throw CommandFailure(.badData, code: "no_input", "\(path): \(String(cString: strerror(errno)))")
        }
        self.init(file: file, name: path)
    }

    /// The next bytes; none at the end.
    mutating func chunk() async throws -> ByteBuffer {
        let (file, name, size) = (self.file, self.name, self.chunkBytes)
        let chunk = try await NIOThreadPool.singleton.runIfActive { try Self.read(file, name, upTo: size) }
        if chunk.readableBytes == size { self.chunkBytes = min(2 * size, Self.chunkBytesMax) }
        return chunk
    }

    /// Everything, up to a limit.
    mutating func contents(upTo limit: Int) async throws -> ByteBuffer {
        var contents = ByteBuffer()
        while true {
            var chunk = try await self.chunk()
            if chunk.readableBytes == 0 { return contents }
            contents.writeBuffer(&chunk)
            guard contents.readableBytes <= limit else {
                throw CommandFailure(
                    .badData, code: "record_too_large", "\(self.name) has more than \(limit) bytes",
                    next: "send it as many records: -D '\\n'"
                )
            }
        }
    }

    private static func read(_ file: Int32, _ name: String, upTo size: Int) throws -> ByteBuffer {
        var buffer = ByteBufferAllocator().buffer(capacity: size)
        while true {
            let count = buffer.withUnsafeMutableWritableBytes { Foundation.read(file, $0.baseAddress, size) }
            if count >= 0 {
                buffer.moveWriterIndex(forwardBy: count)
                return buffer
            }
            guard errno == EINTR else {
                throw CommandFailure(
                    .badData, code: "no_input", "can not read \(name): \(String(cString: strerror(errno)))")
            }
        }
    }
}

/// Pipes hold 64 KiB; a megabyte halves the cost of `cat file | apus pub t`.
enum Pipe {
    static func widen(_ file: Int32) {
        #if os(Linux)
        // F_SETPIPE_SZ of fcntl(2), which the C library's module does not export. On what is no pipe it fails, and
        // nothing is lost.
        let setPipeSize: Int32 = 1031
        _ = fcntl(file, setPipeSize, 1024 * 1024)
        #endif
    }
}
