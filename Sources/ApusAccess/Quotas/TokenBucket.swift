package import ApusCore

/// How much may be done in a time: a bucket that fills at a rate up to a burst, and that may go into debt. Whoever took
/// too much waits until the debt is paid, as KIP-219 has it: the answer goes out at once and says how long.
package struct TokenBucket: Hashable, Sendable {
    /// A second; above zero.
    package private(set) var rate: Double
    package private(set) var burst: Double
    private var level: Double
    private var seen: Instant

    /// Full. `burst` is what may be done at once, given as the time in which that much flows in; at least one thing.
    package init(rate: Double, burst: Duration, at now: Instant) {
        precondition(rate > 0 && rate.isFinite && burst > .zero)
        self.rate = rate
        self.burst = max(1, rate * burst.inSeconds)
        self.level = self.burst
        self.seen = now
    }

    /// Another rate from now on. What was saved or owed is worth the same time as before.
    package mutating func set(rate: Double, burst: Duration, at now: Instant) {
        precondition(rate > 0 && rate.isFinite && burst > .zero)
        self.fill(at: now)
        self.level *= rate / self.rate
        self.rate = rate
        self.burst = max(1, rate * burst.inSeconds)
        self.level = min(self.level, self.burst)
    }

    /// Takes it, there or not, and says how long to wait then. Debt is bounded: nobody waits longer than
    /// `Limits.throttleMax`.
    package mutating func take(_ amount: Double, at now: Instant) -> Duration {
        precondition(amount >= 0 && amount.isFinite)
        self.fill(at: now)
        self.level = max(self.level - amount, -self.rate * Limits.throttleMax.inSeconds)
        return self.debt
    }

    /// Takes it only if all of it is there.
    package mutating func takeIfThere(_ amount: Double, at now: Instant) -> Bool {
        self.fill(at: now)
        guard self.level >= amount else { return false }
        self.level -= amount
        return true
    }

    /// How long until the debt is paid.
    package mutating func wait(at now: Instant) -> Duration {
        self.fill(at: now)
        return self.debt
    }

    /// A full bucket is as good as a new one: it can be forgotten.
    package mutating func isFull(at now: Instant) -> Bool {
        self.fill(at: now)
        return self.level >= self.burst
    }

    private var debt: Duration {
        // Rounded up to the milliseconds that the wire has, so that who waited that long owes nothing.
        self.level >= 0 ? .zero : .milliseconds(Int64((-self.level / self.rate * 1000).rounded(.up)))
    }

    private mutating func fill(at now: Instant) {
        self.level = min(self.burst, self.level + self.rate * now.since(self.seen).inSeconds)
        self.seen = max(self.seen, now)
    }
}

extension Duration {
    var inSeconds: Double { Double(self.wholeNanoseconds) / 1e9 }
}
