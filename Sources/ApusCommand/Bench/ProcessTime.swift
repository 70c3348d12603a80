#if canImport(Glibc)
import Glibc
#endif

/// CPU time of a process of this machine, its threads that have ended included, in nanoseconds (`clock_getcpuclockid`
/// of POSIX, which Darwin lacks); the ticks of `/proc/PID/stat` are 10 ms.
package enum ProcessTime {
    /// Nil when there is no such process, or no such clock.
    package static func spent(by process: Int32) -> Duration? {
        #if canImport(Glibc)
        var clock = clockid_t()
        var time = timespec()
        guard process > 0, clock_getcpuclockid(process, &clock) == 0, clock_gettime(clock, &time) == 0 else {
            return nil
        }
        return .seconds(Int64(time.tv_sec)) + .nanoseconds(Int64(time.tv_nsec))
        #else
        return nil
        #endif
    }
}
