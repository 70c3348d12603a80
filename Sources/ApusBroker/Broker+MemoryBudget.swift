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
        var lastNumber: UInt64 = 0
    }

    /// A place among those who wait.
    package struct Ticket: Hashable, Sendable {
        fileprivate var number: UInt64
    }

    private struct Waiter {
        var ticket: Ticket
        var bytes: ByteCount
        var loop: any EventLoop
        var resume: @Sendable () -> Void
    }

    package init(limit: ByteCount) {
        precondition(limit > .zero)
        self.limit = limit
    }

    package var used: ByteCount { self.state.withLock { $0.used } }

    package var waitingCount: Int { self.state.withLock { $0.waiting.count } }

    /// Nil: the bytes are the caller's until ``release(_:)``. A ticket: `resume` is called on `loop`, once, when they
    /// are the caller's, unless it leaves before; a caller that is gone by then must release them all the same.
    ///
    /// More than the whole budget is granted when nothing else is, so that no frame waits for ever.
    package func reserve(_ bytes: ByteCount, on loop: any EventLoop, resume: @escaping @Sendable () -> Void) -> Ticket?
    {
        self.state.withLock { state in
            if state.waiting.isEmpty, self.fits(bytes, beside: state.used) {
                state.used = state.used + bytes
                return nil
            }
            state.lastNumber += 1
            let ticket = Ticket(number: state.lastNumber)
            state.waiting.append(Waiter(ticket: ticket, bytes: bytes, loop: loop, resume: resume))
            return ticket
        }
    }

    /// The caller waits no more, so that nobody waits behind it. False: too late, the grant is on its way; `resume` is
    /// called, and must release.
    @discardableResult
    package func leave(_ ticket: Ticket) -> Bool {
        var hasLeft = false
        self.change { state in
            guard let place = state.waiting.firstIndex(where: { $0.ticket == ticket }) else { return }
            state.waiting.remove(at: place)
            hasLeft = true
        }
        return hasLeft
    }

    package func release(_ bytes: ByteCount) {
        self.change { state in
            precondition(bytes <= state.used, "released what was not reserved")
            state.used = state.used - bytes
        }
    }

    private func change(_ body: (inout State) -> Void) {
        let granted: [Waiter] = self.state.withLock { state in
            body(&state)
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
