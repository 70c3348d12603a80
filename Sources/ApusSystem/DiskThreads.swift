package import ApusCore
package import NIOCore

/// Threads of their own for disk work, since every call of a ``Disk`` may block.
///
/// Work of lanes that give way has a pool to itself, half as large and of a lower priority: however many clients read
/// what is long past, they take no thread from a write, and an event loop that a write has woken gets its processor
/// before they do (`docs/decisions/0012-cold-reads-give-way.md`).
package final class DiskThreads: DiskQueue {
    package let disk: any Disk
    private let prompt: DiskPool
    private let patient: DiskPool
    private let patience = LoopPatience()

    /// Starts `count` threads, 1 or more, and half as many for what gives way.
    package init(count: Int = Limits.diskThreadsDefault, disk: any Disk) {
        self.disk = disk
        self.prompt = DiskPool("apus-disk", count: count, disk: disk)
        self.patient = DiskPool(
            "apus-read", count: max(1, count / Limits.diskThreadsPerColdReader), niceness: Limits.coldReaderNiceness,
            disk: disk)
    }

    package func run<Answer: Sendable>(
        in lane: DiskLane,
        on loop: any EventLoop,
        _ work: @escaping @Sendable (any Disk) -> Answer,
        then: @escaping @Sendable (Answer) -> Void
    ) {
        let pool = lane.givesWay ? self.patient : self.prompt
        pool.run(in: lane, on: loop, work, then: then)
    }

    package func runShort<Answer>(_ work: (any Disk) -> Answer) -> Answer? {
        self.patience.run { work(self.disk) }
    }

    /// Lets everything queued run, ends the threads, then tells, on the last of them or at once.
    package func shutdown(then: @escaping @Sendable () -> Void) {
        self.patient.shutdown { self.prompt.shutdown(then: then) }
    }

    package func shutdown() async {
        await withCheckedContinuation { continuation in
            self.shutdown { continuation.resume() }
        }
    }
}
