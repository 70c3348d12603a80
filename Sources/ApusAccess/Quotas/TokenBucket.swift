package import ApusCore

/// How much may be done in a time: a bucket that fills at a rate up to a burst, and that may go into debt. Whoever took
/// too much waits until the debt is paid, as KIP-219 has it: the answer goes out at once and says how long.
///
/// Total: rates and amounts may be any `Double`. What is no number, or too far from one, counts as the nearest that
/// makes sense, and the level always is between the longest debt and the burst.
package struct TokenBucket: Hashable, Sendable {
    /// A second; `Limits.quotaRateMin` to `Limits.quotaRateMax`.
    package private(set) var rate: Double
    package private(set) var burst: Double
    private var level: Double
    private var seen: Instant

    /// Full. `burst` is what may be done at once, given as the time in which that much flows in; at least one thing.
    package init(rate: Double, burst: Duration, at now: Instant) {
        self.rate = Self.sensible(rate)
        self.burst = max(1, self.rate * burst.inSeconds)
        self.level = self.burst
        self.seen = now
    }

    /// Another rate from now on. What was saved or owed is worth the same time as before.
    package mutating func set(rate: Double, burst: Duration, at now: Instant) {
        self.fill(at: now)
        let rate = Self.sensible(rate)
        self.level *= rate / self.rate
        self.rate = rate
        self.burst = max(1, rate * burst.inSeconds)
        self.hold()
    }

    /// Takes it, there or not, and says how long to wait then. Debt is bounded: nobody waits longer than
    /// `Limits.throttleMax`.
    package mutating func take(_ amount: Double, at now: Instant) -> Duration {
        self.fill(at: now)
        self.level -= Self.positive(amount)
        self.hold()
        return self.debt
    }

    /// Takes it only if all of it is there.
    package mutating func takeIfThere(_ amount: Double, at now: Instant) -> Bool {
        self.fill(at: now)
        let amount = Self.positive(amount)
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
        guard self.level < 0 else { return .zero }
        // Rounded up to the milliseconds that the wire has, so that who waited that long owes nothing.
        let milliseconds = (-self.level / self.rate * 1000).rounded(.up)
        return .milliseconds(Int64(min(milliseconds, Limits.throttleMax.inSeconds * 1000)))
    }

    private mutating func fill(at now: Instant) {
        self.level += self.rate * now.since(self.seen).inSeconds
        self.hold()
        self.seen = max(self.seen, now)
    }

    private mutating func hold() {
        self.level = min(self.burst, max(self.level, -self.rate * Limits.throttleMax.inSeconds))
    }

    /// No number is the lowest rate: who can not say how much he allows does not allow much.
    private static func sensible(_ rate: Double) -> Double {
        rate >= Limits.quotaRateMin ? min(rate, Limits.quotaRateMax) : Limits.quotaRateMin
    }

    /// No number is nothing.
    private static func positive(_ amount: Double) -> Double { amount > 0 ? amount : 0 }
}

extension Duration {
    var inSeconds: Double { Double(self.wholeNanoseconds) / 1e9 }
}
