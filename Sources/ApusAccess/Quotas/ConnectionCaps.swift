package import ApusCore

/// Which connections are taken: how many in all, from one address, not yet logged in, and how many a second.
///
/// An address is what somebody pays for: one IPv4 address, or a /64 of IPv6, of which every home has one. Loopback has
/// no bounds of its own, because there everybody has the same address.
package struct ConnectionCaps: Sendable {
    package struct Rules: Hashable, Sendable {
        package var total = Limits.connectionsMax
        package var perAddress = Limits.connectionsPerAddressMax
        package var unauthenticated = Limits.unauthenticatedConnectionsMax
        package var acceptsPerSecond = Limits.acceptsPerSecondMax
        package var acceptsPerSecondPerAddress = Limits.acceptsPerSecondPerAddressMax

        package init() {}

        /// Where an operator says how many there may be: who lets one address have more, a balancer, say, lets it come
        /// with them as much faster.
        package init(total: Int, perAddress: Int) {
            self.total = total
            self.perAddress = perAddress
            let share = Double(perAddress) / Double(Limits.connectionsPerAddressMax)
            self.acceptsPerSecondPerAddress = min(
                self.acceptsPerSecond, max(1, share) * Limits.acceptsPerSecondPerAddressMax)
        }
    }

    package enum Refusal: Error, Hashable, Sendable {
        case total
        case perAddress
        case unauthenticated
        case rate
        case ratePerAddress
    }

    /// A quota for new connections that somebody made (``QuotaRules/acceptQuota(of:)``).
    package struct Quota: Hashable, Sendable {
        /// A second.
        let rate: Double
        /// For this very address; else each of those that have none of their own has this rate.
        let isNamed: Bool
    }

    private struct Address {
        var connections = 0
        var bucket: TokenBucket
    }

    package let rules: Rules
    package private(set) var connections = 0
    package private(set) var unauthenticated = 0
    private var addresses: [HostAddress: Address] = [:]
    private var bucket: TokenBucket
    /// Of addresses with a quota.
    private var quotas: [HostAddress: TokenBucket] = [:]
    private var swept: Instant

    package init(_ rules: Rules = Rules(), at now: Instant) {
        precondition(rules.acceptsPerSecond > 0 && rules.acceptsPerSecondPerAddress > 0)
        self.rules = rules
        self.bucket = TokenBucket(rate: rules.acceptsPerSecond, burst: Limits.acceptBurst, at: now)
        self.swept = now
    }

    /// Addresses that something is remembered of.
    package var addressCount: Int { self.addresses.count }
    /// Addresses with a quota that something is remembered of.
    package var quotaCount: Int { self.quotas.count }

    /// Counts a new connection and says how long it has to wait until it is served, or why it is to be closed at once.
    ///
    /// Only a quota makes anybody wait (KIP-612), at most `Limits.acceptDelayMax`; it stands in the place of the
    /// listener's own rate for an address, and holds for loopback, too. `mustLogIn`: the listener asks for it.
    package mutating func accept(
        from host: HostAddress, mustLogIn: Bool, quota: Quota? = nil, at now: Instant
    ) throws(Refusal) -> Duration {
        self.sweep(now)
        if self.connections >= self.rules.total { throw .total }
        if mustLogIn, self.unauthenticated >= self.rules.unauthenticated { throw .unauthenticated }
        // All are asked before anything is kept: who is refused at one bound uses up nothing of the others.
        let address = host.isLoopback ? nil : try self.address(of: host, hasQuota: quota != nil, at: now)
        let paid = try quota.map { quota throws(Refusal) in try self.pay(quota, for: host, at: now) }
        if let address {
            guard self.bucket.takeIfThere(1, at: now) else { throw .rate }
            self.addresses[host.payer] = address
        }
        if let paid { self.quotas[paid.payer] = paid.bucket }
        self.connections += 1
        if mustLogIn { self.unauthenticated += 1 }
        return paid?.wait ?? .zero
    }

    /// The address with one connection more.
    private func address(of host: HostAddress, hasQuota: Bool, at now: Instant) throws(Refusal) -> Address {
        let rate = self.rules.acceptsPerSecondPerAddress
        var address =
            self.addresses[host.payer]
            ?? Address(bucket: TokenBucket(rate: rate, burst: Limits.acceptBurst, at: now))
        guard address.connections < self.rules.perAddress else { throw .perAddress }
        if !hasQuota, !address.bucket.takeIfThere(1, at: now) { throw .ratePerAddress }
        address.connections += 1
        return address
    }

    private struct Payment {
        let payer: HostAddress
        let bucket: TokenBucket
        let wait: Duration
    }

    /// What one more connection comes to by a quota.
    private func pay(_ quota: Quota, for host: HostAddress, at now: Instant) throws(Refusal) -> Payment {
        let payer = quota.isNamed ? host : host.payer
        var bucket = self.quotas[payer] ?? TokenBucket(rate: quota.rate, burst: Limits.acceptBurst, at: now)
        if bucket.rate != quota.rate { bucket.set(rate: quota.rate, burst: Limits.acceptBurst, at: now) }
        let wait = bucket.take(1, at: now)
        // Longer waits no client: it gives up, and comes again.
        guard wait <= Limits.acceptDelayMax else { throw .ratePerAddress }
        return Payment(payer: payer, bucket: bucket, wait: wait)
    }

    /// A connection that had to log in has done so.
    package mutating func loggedIn() {
        precondition(self.unauthenticated > 0)
        self.unauthenticated -= 1
    }

    /// A connection that was accepted is gone. `isWaiting`: it had to log in and never did.
    package mutating func closed(from host: HostAddress, isWaiting: Bool) {
        precondition(self.connections > 0)
        self.connections -= 1
        if isWaiting { self.loggedIn() }
        guard !host.isLoopback else { return }
        self.addresses[host.payer]?.connections -= 1
        precondition((self.addresses[host.payer]?.connections ?? 0) >= 0)
    }

    /// Forgets addresses that have no connection and a full bucket, now and then: the overall rate bounds how many
    /// there can be in between.
    private mutating func sweep(_ now: Instant) {
        guard now.since(self.swept) >= Limits.quotaSweepPeriod else { return }
        self.swept = now
        self.addresses = self.addresses.filter { entry in
            var bucket = entry.value.bucket
            return entry.value.connections > 0 || !bucket.isFull(at: now)
        }
        self.quotas = self.quotas.filter { entry in
            var bucket = entry.value
            return !bucket.isFull(at: now)
        }
    }
}
