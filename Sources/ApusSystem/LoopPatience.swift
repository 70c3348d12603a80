import ApusCore
import Synchronization

/// Lets event loops do short disk work themselves, as long as that is quick.
///
/// A small write into the page cache takes microseconds; handing it to a thread and back takes four system calls and
/// two changes of thread, several times as much. But a kernel that must write back first, or a file system that waits
/// for its journal, makes the same write wait. The first that takes longer than `Limits.shortWorkMax` is the last for
/// `Limits.shortWorkRest`; meanwhile the disk threads do it.
final class LoopPatience: Sendable {
    private let clock: any Clock
    /// Nanoseconds of the clock until which nothing runs here.
    private let restsUntil = Atomic<UInt64>(0)

    init(clock: any Clock = SystemClock()) {
        self.clock = clock
    }

    /// Nil, and nothing was run, while it rests.
    func run<Answer>(_ work: () -> Answer) -> Answer? {
        let began = self.clock.now
        guard began.nanoseconds >= self.restsUntil.load(ordering: .relaxed) else { return nil }
        let answer = work()
        let ended = self.clock.now
        if ended > began.advanced(by: Limits.shortWorkMax) {
            self.restsUntil.store(ended.advanced(by: Limits.shortWorkRest).nanoseconds, ordering: .relaxed)
        }
        return answer
    }
}
