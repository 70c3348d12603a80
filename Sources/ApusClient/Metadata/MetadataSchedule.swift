import ApusCore

/// When to ask for metadata, and whom: at most one question at a time, after failures a growing wait and another
/// server.
struct MetadataSchedule: Sendable {
    enum Action: Hashable, Sendable {
        /// Ask number `attempt` of the servers, in turn.
        case ask(attempt: Int)
        case wait(until: Instant)
        case nothing
    }

    private let backoff: Backoff
    private var isAsking = false
    private var isWanted = false
    private var failures = 0
    private var attempts = 0
    private var notBefore = Instant(nanoseconds: 0)

    init(backoff: Backoff) {
        self.backoff = backoff
    }

    /// Somebody needs what is not known, or learned that what is known is wrong.
    mutating func wanted(at now: Instant) -> Action {
        self.isWanted = true
        return self.next(at: now)
    }

    mutating func next(at now: Instant) -> Action {
        guard self.isWanted, !self.isAsking else { return .nothing }
        guard now >= self.notBefore else { return .wait(until: self.notBefore) }
        self.isAsking = true
        self.isWanted = false
        self.attempts += 1
        return .ask(attempt: self.attempts - 1)
    }

    /// - Parameter isEnough: everything that was asked for is known now.
    mutating func answered(isEnough: Bool, at now: Instant, chance: UInt64) -> Action {
        self.isAsking = false
        self.failures = isEnough ? 0 : self.failures + 1
        // Even after success not at once again: a wrong answer must not make a storm of questions.
        self.notBefore = now.advanced(by: self.backoff.wait(afterFailures: max(self.failures, 1), chance: chance))
        if !isEnough { self.isWanted = true }
        return self.next(at: now)
    }

    mutating func failed(at now: Instant, chance: UInt64) -> Action {
        self.answered(isEnough: false, at: now, chance: chance)
    }

    /// Nobody waits any more.
    mutating func dropped() {
        self.isWanted = false
    }
}
