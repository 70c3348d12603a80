import ApusCore
import Foundation

/// The first thing the process does.
enum ProcessStart {
    /// When the command began.
    static let moment = Instant.now

    static func note() {
        _ = Self.moment
        // A pipe that nobody reads any more is an error of the write that finds it, not the end of the process.
        signal(SIGPIPE, SIG_IGN)
    }
}
