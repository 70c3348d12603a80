package import ApusCore
import DequeModule
package import NIOCore
import Synchronization

/// Memory for requests that are being read or handled, all connections together (promise P6).
///
/// A door reserves a frame's bytes before it reads the frame's body, and stops reading its socket while it waits, so
/// the pressure reaches the client instead of our heap. First come, first served. Owner of its count; any thread.
package final class MemoryBudget: Sendable {
    package let limit: ByteCount
    private let state = Mutex(State())

    private struct State {
        var used = ByteCount.zero
        var waiting = Deque<Waiter>()
    }

    private struct Waiter {
        var bytes: ByteCount
        var loop: any EventLoop
        var resume: @Sendable () -> Void
    }

    package init(limit: ByteCount) {
        precondition(limit > .zero)
        self.limit = limit
    }

    package var used: ByteCount { self.state.withLock { $0.used } }

    /// True: the bytes are the caller's until ``release(_:)``. False: `resume` is called on `loop`, once, when they
    /// are the caller's; a caller that is gone by then must release them all the same.
    ///
    /// More than the whole budget is granted when nothing else is, so that no frame waits for ever.
    package func reserve(_ bytes: ByteCount, on loop: any EventLoop, resume: @escaping @Sendable () -> Void) -> Bool {
        self.state.withLock { state in
            if state.waiting.isEmpty, self.fits(bytes, beside: state.used) {
                state.used = state.used + bytes
                return true
            }
            state.waiting.append(Waiter(bytes: bytes, loop: loop, resume: resume))
            return false
        }
    }

    package func release(_ bytes: ByteCount) {
        let granted: [Waiter] = self.state.withLock { state in
            precondition(bytes <= state.used, "released what was not reserved")
            state.used = state.used - bytes
            var granted: [Waiter] = []
            while let next = state.waiting.first, self.fits(next.bytes, beside: state.used) {
                state.used = state.used + next.bytes
                state.waiting.removeFirst()
                granted.append(next)
            }
            return granted
        }
        for waiter in granted { waiter.loop.execute(waiter.resume) }
    }

    private func fits(_ bytes: ByteCount, beside used: ByteCount) -> Bool {
        used == .zero || used.rawValue + bytes.rawValue <= self.limit.rawValue
    }
}
