import NIOCore

/// Runs the tasks of a connection's requests on the connection's own event loop.
///
/// What a small request waits for comes from that loop: its bytes, the broker's answer, room to write. On a thread of
/// Swift's pool each of those would wake the other thread, which costs more than all else of the request. What takes
/// long goes to the pool: see ``WebResponder``.
///
/// Any thread.
final class LoopExecutor: TaskExecutor {
    private let loop: any EventLoop

    init(_ loop: any EventLoop) {
        self.loop = loop
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        self.loop.execute { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}
