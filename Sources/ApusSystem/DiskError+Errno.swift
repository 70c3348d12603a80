import ApusCore
import Glibc

extension DiskError.Reason {
    /// What an error number of the system means to a log: may it be tried again, is it our permission, or the device?
    init(errno number: Int32) {
        switch number {
        case ENOENT: self = .notFound
        case EEXIST: self = .exists
        case ENOSPC, EDQUOT: self = .full
        case EROFS, EACCES, EPERM: self = .forbidden
        default: self = .failed(number)
        }
    }
}

extension DiskError {
    init(errno number: Int32, _ operation: String, _ path: DiskPath) {
        self.init(Reason(errno: number), operation, path)
    }
}

/// Makes a system call, again when a signal interrupted it. Answers the call's value, or throws what its error number
/// means for this operation on this path.
///
/// Never wrapped around fdatasync: what an interrupted sync did is unknown, so it counts as failed.
@discardableResult
func systemCall<Value: SignedInteger>(
    _ operation: String, _ path: DiskPath, _ call: () -> Value
) throws(DiskError) -> Value {
    while true {
        let value = call()
        if value >= 0 { return value }
        let number = errno
        if number != EINTR { throw DiskError(errno: number, operation, path) }
    }
}

/// What the system says about an error number: `No space left on device`.
func systemText(_ number: Int32) -> String {
    String(cString: strerror(number))
}
