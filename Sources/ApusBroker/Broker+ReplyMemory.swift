package import ApusCore
import DequeModule
package import NIOCore
import Synchronization

/// Memory for what fetches read and clients have not taken yet, all connections together (promise P6).
///
/// A fetch sets aside what it may read before it reads, gives it back when it parks, and hands it over to its answer,
/// which holds what it really takes until the socket has it. First come, first served. Owner of its count; any thread.
///
/// While memory is short answers get shorter, not only later: a short answer fits into the kernel's buffer of its
/// socket even if the client does not read, so it holds nothing, and those who do read go on beside those who do not.
package final class ReplyMemory: Sendable {
    /// What one fetch would read.
    package struct Wish: Sendable {
        /// All that it may read.
        var most: ByteCount
        /// What it may read however little it is granted: the first batch of an answer comes whole (KIP-74).
        var least: ByteCount

        package init(most: ByteCount, least: ByteCount) {
            self.most = most
            self.least = least
        }
    }

    package struct Grant: Sendable {
        /// Set aside; to be released.
        package var bytes: ByteCount
        /// How much may be read: `most`, or less while memory is short.
        package var share: ByteCount
    }

    package enum Reservation: Sendable {
        case granted(Grant)
        case waiting(Ticket)
    }

    /// A place among those who wait.
    package struct Ticket: Hashable, Sendable {
        fileprivate var number: UInt64
    }

    package let limit: ByteCount
    private let state = Mutex(State())

    private struct State {
        /// Set aside for reads under way.
        var reading = 0
        /// Taken by answers that are there.
        var held = 0
        /// In the order of their numbers.
        var waiting = Deque<Waiter>()
        var lastNumber: UInt64 = 0

        var used: Int { self.reading + self.held }
    }

    private struct Waiter {
        var ticket: Ticket
        var wish: Wish
        var loop: any EventLoop
        var resume: @Sendable (Grant) -> Void
    }

    package init(limit: ByteCount) {
        precondition(limit > .zero)
        self.limit = limit
    }

    package var used: ByteCount { self.state.withLock { .bytes($0.used) } }
    package var waitingCount: Int { self.state.withLock { $0.waiting.count } }

    /// Answers that nobody reads are why others wait, or take all there is.
    package var isShort: Bool {
        self.state.withLock { state in
            state.held >= self.limit.rawValue || (state.held * 2 >= self.limit.rawValue && !state.waiting.isEmpty)
        }
    }

    // MARK: Reads

    /// Granted: the bytes are the caller's until ``release(_:)``. Waiting: `resume` is called on `loop`, once, when
    /// they are, unless the caller leaves before.
    package func reserve(
        _ wish: Wish, on loop: any EventLoop, resume: @escaping @Sendable (Grant) -> Void
    ) -> Reservation {
        self.state.withLock { state in
            if state.waiting.isEmpty, let grant = self.grant(wish, beside: state.used) {
                state.reading += grant.bytes.rawValue
                return .granted(grant)
            }
            state.lastNumber += 1
            let ticket = Ticket(number: state.lastNumber)
            state.waiting.append(Waiter(ticket: ticket, wish: wish, loop: loop, resume: resume))
            return .waiting(ticket)
        }
    }

    /// The caller waits no more. Too late when the grant is on its way: then `resume` is called, and must release.
    package func leave(_ ticket: Ticket) {
        self.change { state in
            guard let place = state.waiting.firstIndex(where: { $0.ticket == ticket }) else { return }
            state.waiting.remove(at: place)
        }
    }

    package func release(_ grant: Grant) {
        self.change { state in
            precondition(grant.bytes.rawValue <= state.reading, "released what was not reserved")
            state.reading -= grant.bytes.rawValue
        }
    }

    // MARK: Answers

    /// An answer is there: never refused, because its memory is taken already.
    package func hold(_ bytes: ByteCount) {
        self.state.withLock { $0.held += bytes.rawValue }
    }

    /// The socket has it, or nobody wants it any more.
    package func drop(_ bytes: ByteCount) {
        self.change { state in
            precondition(bytes.rawValue <= state.held, "dropped what was not held")
            state.held -= bytes.rawValue
        }
    }

    // MARK: Granting

    private func change(_ body: (inout State) -> Void) {
        let granted: [(Waiter, Grant)] = self.state.withLock { state in
            body(&state)
            var granted: [(Waiter, Grant)] = []
            while let next = state.waiting.first, let grant = self.grant(next.wish, beside: state.used) {
                state.reading += grant.bytes.rawValue
                state.waiting.removeFirst()
                granted.append((next, grant))
            }
            return granted
        }
        // Never at once: reading is quick and gives memory back, and each would go on inside the one before it.
        for (waiter, grant) in granted { waiter.loop.execute { waiter.resume(grant) } }
    }

    /// Nil when it must wait, which it never does while half of the memory is free: so somebody always goes on.
    private func grant(_ wish: Wish, beside used: Int) -> Grant? {
        let free = max(0, self.limit.rawValue - used)
        let isPlenty = used * 2 <= self.limit.rawValue
        let shareMax = isPlenty ? free : max(Limits.fetchBytesShort.rawValue, free / Limits.replyMemorySharesMin)
        let share = min(wish.most.rawValue, shareMax)
        let bytes = max(share, min(wish.least.rawValue, self.limit.rawValue / 2))
        guard bytes <= free else { return nil }
        return Grant(bytes: .bytes(bytes), share: .bytes(share))
    }
}
