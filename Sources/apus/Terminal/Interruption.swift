import UnixSignals

/// Ctrl-C while reading: what was read is printed whole (a JSON array gets its end), then the process ends as one that
/// was interrupted.
struct Interruption: Error {
    /// As shells have it: 128 and the number of SIGINT.
    static let exitCode: Int32 = 130

    /// Throws at SIGINT. Returns when the task is cancelled.
    static func wait() async throws {
        for await _ in await UnixSignalsSequence(trapping: .sigint) { throw Interruption() }
    }
}
