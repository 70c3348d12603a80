import Glibc

/// How many files and sockets this process may have open.
package enum DescriptorLimit {
    /// Raises the soft limit to the hard one: the soft one is 1024 on most machines, for programs that use select().
    /// Answers what it is now.
    @discardableResult
    package static func raise() -> Int {
        var limit = rlimit()
        let kind = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        guard getrlimit(kind, &limit) == 0 else { return 0 }
        if limit.rlim_cur < limit.rlim_max {
            limit.rlim_cur = limit.rlim_max
            // Refused: we go on with what there is.
            if setrlimit(kind, &limit) != 0 { _ = getrlimit(kind, &limit) }
        }
        return Int(clamping: limit.rlim_cur)
    }
}
