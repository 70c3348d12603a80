import ApusCommand
import Foundation
import NIOCore

/// Data on its way out, gathered so that a fast stream costs few system calls. Owner: the task that prints.
struct StandardOutput {
    static let isTerminal = isatty(STDOUT_FILENO) == 1
    /// A pipe takes 64 KiB at a time; larger pieces save system calls on files.
    private static let flushBytes = 256 * 1024

    var buffer = ByteBufferAllocator().buffer(capacity: 2 * Self.flushBytes)

    /// Stands in while another is worked with: has no buffer of its own.
    static var none: StandardOutput { StandardOutput(buffer: ByteBuffer()) }

    /// Writes when much has gathered.
    mutating func flushIfLarge() throws {
        if self.buffer.readableBytes >= Self.flushBytes { try self.flush() }
    }

    /// Blocks while the reader of a pipe is slow: that is how it slows us.
    mutating func flush() throws {
        guard self.buffer.readableBytes > 0 else { return }
        try self.buffer.withUnsafeReadableBytes { try FileDescriptor.writeAll($0, to: STDOUT_FILENO) }
        self.buffer.clear()
    }

    static func write(_ text: String) throws {
        try FileDescriptor.writeAll(Array(text.utf8), to: STDOUT_FILENO)
    }
}
