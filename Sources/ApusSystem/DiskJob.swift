import ApusCore
import NIOCore

/// One piece of disk work on its way: waiting in its lane, run by a disk thread, then waiting to be told on its loop.
///
/// Unchecked because `answer` is written by one disk thread and read on the loop, in that order: the mailbox's lock
/// lies between.
class DiskJob: @unchecked Sendable {
    let lane: DiskLane
    let mailbox: LoopMailbox

    init(lane: DiskLane, mailbox: LoopMailbox) {
        self.lane = lane
        self.mailbox = mailbox
    }

    func run(on disk: any Disk) { preconditionFailure("a job without work") }
    func tell() { preconditionFailure("a job without an answer") }
}

/// One allocation carries the work, its answer and the way back.
final class TypedDiskJob<Answer: Sendable>: DiskJob, @unchecked Sendable {
    private let work: @Sendable (any Disk) -> Answer
    private let then: @Sendable (Answer) -> Void
    private var answer: Answer?

    init(
        lane: DiskLane, mailbox: LoopMailbox,
        work: @escaping @Sendable (any Disk) -> Answer, then: @escaping @Sendable (Answer) -> Void
    ) {
        self.work = work
        self.then = then
        super.init(lane: lane, mailbox: mailbox)
    }

    override func run(on disk: any Disk) {
        self.answer = self.work(disk)
    }

    override func tell() {
        guard let answer = self.answer else { preconditionFailure("told before it was run") }
        self.answer = nil
        self.then(answer)
    }
}

/// Finished jobs on their way back to one event loop: a list, and at most one `execute` under way for all of it.
///
/// However many jobs end while the loop is busy, they cost it one task. Order is kept: jobs are told in the order in
/// which they were put in.
final class LoopMailbox: Sendable {
    private struct State {
        var finished: [DiskJob] = []
        var isScheduled = false
    }

    let loop: any EventLoop
    private let state = Guarded(State())

    init(_ loop: any EventLoop) {
        self.loop = loop
    }

    func put(_ job: DiskJob) {
        let mustSchedule = self.state.withLock { state in
            state.finished.append(job)
            defer { state.isScheduled = true }
            return !state.isScheduled
        }
        if mustSchedule { self.loop.execute { self.tellAll() } }
    }

    private func tellAll() {
        let finished = self.state.withLock { state in
            state.isScheduled = false
            let finished = state.finished
            state.finished = []
            return finished
        }
        for job in finished { job.tell() }
    }
}
