package import ApusCore

/// What everybody has used, against what they may: the buckets behind ``QuotaRules``.
///
/// Clients choose their ids, so buckets are bounded: full ones are forgotten, and when `Limits.quotaBucketsMax` are in
/// use all the same, a client id without a bucket shares one with its user's other newcomers. Somebody who invents ids
/// to get around a quota ends up in that one.
package struct QuotaLedger: Sendable {
    private struct Account: Hashable {
        let kind: QuotaKind
        let user: ExactText?
        let clientID: ExactText?
    }

    private var buckets: [Account: TokenBucket] = [:]
    private var swept: Instant

    package init(at now: Instant) {
        self.swept = now
    }

    package var count: Int { self.buckets.count }

    /// Counts what was done (bytes, partitions, for ``QuotaKind/requestTime`` seconds of a thread) and says how long
    /// the client has to wait: the `throttle_time_ms` of the answer, and how long its connection is not read (KIP-219).
    package mutating func charge(
        _ kind: QuotaKind, _ amount: Double, to subject: QuotaSubject, rules: QuotaRules, at now: Instant
    ) -> Duration {
        let amount = kind == .requestTime ? amount * 100 : amount
        return self.with(kind, subject, rules, now) { $0.take(amount, at: now) }
    }

    /// How long the client still has to wait for what it did before: a fetch is answered empty then, and reads nothing.
    package mutating func wait(
        _ kind: QuotaKind, of subject: QuotaSubject, rules: QuotaRules, at now: Instant
    ) -> Duration {
        self.with(kind, subject, rules, now) { $0.wait(at: now) }
    }

    private mutating func with(
        _ kind: QuotaKind, _ subject: QuotaSubject, _ rules: QuotaRules, _ now: Instant,
        _ use: (inout TokenBucket) -> Duration
    ) -> Duration {
        guard let limit = rules.limit(kind, for: subject) else { return .zero }
        let account = self.account(Account(kind: kind, user: limit.user, clientID: limit.clientID), now)
        var bucket =
            self.buckets[account] ?? TokenBucket(rate: limit.rate, burst: Limits.quotaBurst, at: now)
        if bucket.rate != limit.rate { bucket.set(rate: limit.rate, burst: Limits.quotaBurst, at: now) }
        let wait = use(&bucket)
        self.buckets[account] = bucket
        return wait
    }

    private mutating func account(_ account: Account, _ now: Instant) -> Account {
        guard self.buckets[account] == nil, self.buckets.count >= Limits.quotaBucketsMax else { return account }
        // Looking at all of them at every newcomer would be a gift to whoever invents ids.
        if now.since(self.swept) >= Limits.quotaSweepPeriod {
            self.swept = now
            self.buckets = self.buckets.filter { entry in
                var bucket = entry.value
                return !bucket.isFull(at: now)
            }
            if self.buckets.count < Limits.quotaBucketsMax { return account }
        }
        let shared = Account(kind: account.kind, user: account.user, clientID: Self.newcomers)
        // Users are made by the operator, so these few may go over the limit.
        return shared
    }

    /// No client's: ids with a control character get no rule of their own.
    private static let newcomers: ExactText = "\u{0}"
}
