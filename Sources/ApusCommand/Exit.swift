/// How `apus` ends, for scripts to branch on. The numbers are those of sysexits.h.
package enum Exit: Int32, Sendable, CaseIterable {
    case success = 0
    /// Anything that has no number of its own.
    case failure = 1
    /// The command line is wrong; nothing was tried.
    case usage = 64
    /// The input or the stored data is not what it should be.
    case badData = 65
    /// No broker answers at that address.
    case unreachable = 69
    /// The same command may succeed later, unchanged.
    case retryable = 75
    /// Authentication or authorization refused it.
    case denied = 77
}
