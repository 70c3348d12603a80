import Glibc

/// A lock that threads can wait at: a pthread mutex and condition variable, at addresses that never move.
///
/// Swift's own `Mutex` has nothing to wait on. Unchecked because the two are made to be shared, and nothing else is in
/// here. Every result is checked: a failure is our own misuse.
final class ThreadGate: @unchecked Sendable {
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

    init() {
        Self.check(pthread_mutex_init(self.mutex, nil))
        Self.check(pthread_cond_init(self.condition, nil))
    }

    deinit {
        pthread_cond_destroy(self.condition)
        pthread_mutex_destroy(self.mutex)
        self.condition.deallocate()
        self.mutex.deallocate()
    }

    func lock() { Self.check(pthread_mutex_lock(self.mutex)) }
    func unlock() { Self.check(pthread_mutex_unlock(self.mutex)) }

    /// Lets go of the lock until told, or for no reason at all: the caller looks again at what it waits for.
    func wait() { Self.check(pthread_cond_wait(self.condition, self.mutex)) }
    func wakeOne() { Self.check(pthread_cond_signal(self.condition)) }
    func wakeAll() { Self.check(pthread_cond_broadcast(self.condition)) }

    private static func check(_ result: Int32) {
        precondition(result == 0, "a pthread call failed")
    }
}

/// A value and the lock that guards it, for state that many threads touch often.
///
/// Not `Synchronization.Mutex`: on Linux that spins before it sleeps and then queues by priority inheritance, which on
/// a busy core, with sixteen disk threads, took half of the processor (perf, 1,000 lanes of 1 KB writes).
///
/// Unchecked because `value` is touched only between `lock` and `unlock`.
final class Guarded<Value>: @unchecked Sendable {
    private let gate = ThreadGate()
    private var value: Value

    init(_ value: Value) {
        self.value = value
    }

    func withLock<Answer, Failure: Error>(
        _ body: (inout Value) throws(Failure) -> Answer
    ) throws(Failure) -> Answer {
        self.gate.lock()
        defer { self.gate.unlock() }
        return try body(&self.value)
    }
}
