import ApusCore
import CApus
import Glibc
import NIOCore

/// Threads of one priority, and the disk work that waits for them.
///
/// A lane's jobs run in order, one at a time, on whichever thread is free; other lanes run beside it. So a partition
/// whose disk is slow takes one thread, never the queue. Answers go back through one ``LoopMailbox`` for each loop.
///
/// Waking a thread is a system call on the event loop's account, so a burst wakes one thread, and each thread that
/// takes work wakes the next if there is more. Nobody spins. Threads are woken after the lock is let go of: one that is
/// woken under it runs into it and sleeps again.
///
/// Unchecked because the state below `gate` is touched only between `gate.lock()` and `gate.unlock()`.
final class DiskPool: @unchecked Sendable {
    private let disk: any Disk
    private let name: String
    private let niceness: Int32
    private let gate = ThreadGate()
    /// A lane is in here while one of its jobs runs or is about to; the value is what waits behind that job.
    private var lanes: [DiskLane: CircularBuffer<DiskJob>?] = [:]
    /// The first job of each lane that no thread has taken yet.
    private var ready = CircularBuffer<DiskJob>(initialCapacity: 64)
    private var mailboxes: [ObjectIdentifier: LoopMailbox] = [:]
    private var idle = 0
    /// Threads that were woken and have not yet got the lock.
    private var waking = 0
    private var threads: Int
    private var isStopping = false
    private var stopped: [@Sendable () -> Void] = []

    /// Starts `count` threads, 1 or more, with names that begin with `name`. With a `niceness` above 0 they give way to
    /// others.
    init(_ name: String, count: Int, niceness: Int32 = 0, disk: any Disk) {
        precondition(count > 0)
        self.name = name
        self.niceness = niceness
        self.disk = disk
        self.threads = count
        for number in 0..<count { self.startThread(number) }
    }

    func run<Answer: Sendable>(
        in lane: DiskLane,
        on loop: any EventLoop,
        _ work: @escaping @Sendable (any Disk) -> Answer,
        then: @escaping @Sendable (Answer) -> Void
    ) {
        self.gate.lock()
        let job = TypedDiskJob(lane: lane, mailbox: self.mailbox(of: loop), work: work, then: then)
        if self.threads == 0 {
            self.gate.unlock()
            // A straggler of a shutdown: nobody else is left to do it, and it is owed an answer.
            job.run(on: self.disk)
            job.mailbox.put(job)
            return
        }
        self.enqueue(job)
        let mustWake = self.mustWakeOne()
        self.gate.unlock()
        if mustWake { self.gate.wakeOne() }
    }

    /// Lets everything queued run, ends the threads, then tells, on the last of them or at once.
    func shutdown(then: @escaping @Sendable () -> Void) {
        self.gate.lock()
        self.isStopping = true
        let isOver = self.threads == 0
        if !isOver { self.stopped.append(then) }
        self.gate.wakeAll()
        self.gate.unlock()
        if isOver { then() }
    }

    // MARK: Under the lock

    private func mailbox(of loop: any EventLoop) -> LoopMailbox {
        if let mailbox = self.mailboxes[ObjectIdentifier(loop)] { return mailbox }
        // The mailbox keeps the loop alive, so this identity is never given to another.
        let mailbox = LoopMailbox(loop)
        self.mailboxes[ObjectIdentifier(loop)] = mailbox
        return mailbox
    }

    private func enqueue(_ job: DiskJob) {
        guard let waiting = self.lanes[job.lane] else {
            self.lanes[job.lane] = .some(nil)
            self.ready.append(job)
            return
        }
        if waiting == nil {
            self.lanes[job.lane] = CircularBuffer([job])
        } else {
            self.lanes[job.lane]??.append(job)
        }
    }

    /// Whatever is ready has a thread that will see it: one that is waking, or one that has the lock now. True if that
    /// takes a wake-up, which the caller owes once it has let go of the lock.
    private func mustWakeOne() -> Bool {
        guard !self.ready.isEmpty, self.idle > 0, self.waking == 0 else { return false }
        self.waking += 1
        return true
    }

    /// The lane's job has ended: the next one of it is ready, or the lane is at rest.
    private func advance(_ lane: DiskLane) {
        guard let waiting = self.lanes[lane] else { preconditionFailure("a job of no lane has ended") }
        if waiting?.isEmpty ?? true {
            self.lanes[lane] = nil
        } else if let next = self.lanes[lane]??.removeFirst() {
            self.ready.append(next)
        }
    }

    /// The next job to run; nil when the threads are to end. Waits while there is none.
    private func nextJob() -> DiskJob? {
        while true {
            if let job = self.ready.popFirst() { return job }
            if self.isStopping { return nil }
            self.idle += 1
            self.gate.wait()
            self.idle -= 1
            // A wake-up for no reason may take another's; that one finds nothing and waits again.
            self.waking = max(0, self.waking - 1)
        }
    }

    // MARK: On a thread

    private func work() {
        self.gate.lock()
        while let job = self.nextJob() {
            let mustWake = self.mustWakeOne()
            self.gate.unlock()
            if mustWake { self.gate.wakeOne() }
            job.run(on: self.disk)
            // Before the lane goes on, so that answers of a lane come in its order.
            job.mailbox.put(job)
            self.gate.lock()
            self.advance(job.lane)
        }
        self.threads -= 1
        let stopped = self.threads == 0 ? self.stopped : []
        if self.threads == 0 { self.stopped = [] }
        self.gate.unlock()
        for then in stopped { then() }
    }

    private func startThread(_ number: Int) {
        var thread = pthread_t()
        let box = Unmanaged.passRetained(ThreadStart(pool: self, name: "\(self.name)-\(number)"))
        let result = pthread_create(
            &thread, nil,
            { context in
                guard let context else { return nil }
                let start = Unmanaged<ThreadStart>.fromOpaque(context).takeRetainedValue()
                capus_name_thread(start.name)
                if start.pool.niceness > 0 { capus_give_way(start.pool.niceness) }
                start.pool.work()
                return nil
            }, box.toOpaque())
        precondition(result == 0, "cannot start a disk thread: \(systemText(result))")
        pthread_detach(thread)
    }
}

private final class ThreadStart {
    let pool: DiskPool
    let name: String

    init(pool: DiskPool, name: String) {
        self.pool = pool
        self.name = name
    }
}
