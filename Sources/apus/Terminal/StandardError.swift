import ApusCommand
import Foundation

/// Everything that is not data goes here.
enum StandardError {
    static let isTerminal = isatty(STDERR_FILENO) == 1
    static let palette = Palette(isTerminal: Self.isTerminal, environment: ProcessInfo.processInfo.environment)

    static func write(_ text: String) {
        // Nobody is left to tell when standard error itself is gone.
        _ = try? FileDescriptor.writeAll(Array(text.utf8), to: STDERR_FILENO)
    }

    /// Rewrites the line that the cursor is on. Only on a terminal.
    static func rewriteLine(_ text: String) {
        guard Self.isTerminal else { return }
        Self.write("\r\u{1B}[2K" + text)
    }
}

/// write(2) until all of it is written.
enum FileDescriptor {
    static func writeAll(_ bytes: [UInt8], to file: Int32) throws {
        try bytes.withUnsafeBytes { try Self.writeAll($0, to: file) }
    }

    static func writeAll(_ bytes: UnsafeRawBufferPointer, to file: Int32) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = Foundation.write(file, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
            if count >= 0 {
                rest = rest.dropFirst(count)
            } else if errno == EPIPE {
                throw OutputClosed()
            } else if errno == EAGAIN {
                // Somebody made our terminal or pipe non-blocking: wait until it takes more.
                var waiting = pollfd(fd: file, events: Int16(POLLOUT), revents: 0)
                poll(&waiting, 1, -1)
            } else if errno != EINTR {
                throw CommandFailure(
                    .failure, code: "output_failed", "can not write the output: \(String(cString: strerror(errno)))")
            }
        }
    }
}
