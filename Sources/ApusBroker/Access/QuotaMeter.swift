package import ApusAccess
package import ApusCore

/// Counts what one client of one connection uses, in plain numbers, and tells ``BrokerQuotas`` when it is worth while:
/// after 10 ms of its rate. Under the default of 4 GiB/s that is once in 40 MiB, so the way of a request has no lock
/// and no lookup; a narrow quota is asked at every request, which it makes rare.
///
/// Owner: its connection.
package struct QuotaMeter {
    private struct Tally {
        var uncounted = 0.0
        /// Nil: there is no quota.
        var grain: Double?
    }

    private let principal: Principal
    private let clientID: String
    private let subject: QuotaSubject
    private let quotas: BrokerQuotas
    private var version: StoreRevision
    private var produced = Tally()
    private var fetched = Tally()
    private var time = Tally()

    package init(_ principal: Principal, clientID: String, _ quotas: BrokerQuotas) {
        self.principal = principal
        self.clientID = clientID
        self.subject = QuotaSubject(principal, clientID: clientID)
        self.quotas = quotas
        self.version = quotas.version
        self.learn()
    }

    /// Whether it counts for this client: a connection logs in, and may call itself by several names.
    package func isFor(_ principal: Principal, clientID: String) -> Bool {
        self.clientID == clientID && self.principal == principal
    }

    /// Whether the time of requests is to be measured.
    package mutating func countsTime() -> Bool {
        self.renew()
        return self.time.grain != nil
    }

    /// How long the client has to wait: after its answer, before it is read again (KIP-219).
    package mutating func produced(_ bytes: ByteCount) -> Duration {
        self.count(.producedBytes, Double(bytes.rawValue), \.produced)
    }

    package mutating func fetched(_ bytes: ByteCount) -> Duration {
        self.count(.fetchedBytes, Double(bytes.rawValue), \.fetched)
    }

    package mutating func worked(_ duration: Duration) -> Duration {
        self.count(.requestTime, Double(duration.wholeNanoseconds) / 1e9, \.time)
    }

    /// Charges what was counted and not charged yet, for when the client calls itself something else, or is gone: else
    /// whoever changes his name often enough uses what he likes. How long it has to wait for it.
    package mutating func settle() -> Duration {
        let rest = [(QuotaKind.producedBytes, \Self.produced), (.fetchedBytes, \.fetched), (.requestTime, \.time)]
        var longest = Duration.zero
        for (kind, tally) in rest where self[keyPath: tally].uncounted > 0 {
            let uncounted = self[keyPath: tally].uncounted
            self[keyPath: tally].uncounted = 0
            longest = max(longest, self.quotas.charge(kind, uncounted, to: self.subject))
        }
        return longest
    }

    private mutating func count(
        _ kind: QuotaKind, _ amount: Double, _ tally: WritableKeyPath<QuotaMeter, Tally>
    ) -> Duration {
        self.renew()
        guard let grain = self[keyPath: tally].grain else { return .zero }
        self[keyPath: tally].uncounted += amount
        guard self[keyPath: tally].uncounted >= grain else { return .zero }
        let uncounted = self[keyPath: tally].uncounted
        self[keyPath: tally].uncounted = 0
        return self.quotas.charge(kind, uncounted, to: self.subject)
    }

    private mutating func renew() {
        guard self.version != self.quotas.version else { return }
        self.version = self.quotas.version
        self.learn()
    }

    private mutating func learn() {
        self.produced.grain = self.grain(of: .producedBytes)
        self.fetched.grain = self.grain(of: .fetchedBytes)
        self.time.grain = self.grain(of: .requestTime)
    }

    private func grain(of kind: QuotaKind) -> Double? {
        // A rate of time is in percent of one thread, an amount in seconds.
        let unit = kind == .requestTime ? 0.01 : 1
        return self.quotas.rate(of: kind, for: self.subject).map { $0 * unit * Self.grainSeconds }
    }

    private static let grainSeconds = 0.01
}
