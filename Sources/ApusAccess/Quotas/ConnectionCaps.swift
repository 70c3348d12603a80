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
    }

    package enum Refusal: Hashable, Sendable {
        case total
        case perAddress
        case unauthenticated
        case rate
        case ratePerAddress
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
    private var swept: Instant

    package init(_ rules: Rules = Rules(), at now: Instant) {
        precondition(rules.acceptsPerSecond > 0 && rules.acceptsPerSecondPerAddress > 0)
        self.rules = rules
        self.bucket = TokenBucket(rate: rules.acceptsPerSecond, burst: Limits.acceptBurst, at: now)
        self.swept = now
    }

    /// Addresses that something is remembered of.
    package var addressCount: Int { self.addresses.count }

    /// Counts a new connection, or says why it is to be closed at once. `acceptRate` is a rule for its address alone
    /// (``QuotaRules/acceptRate(of:)``). `mustLogIn`: the listener asks for it.
    package mutating func accept(
        from host: HostAddress, mustLogIn: Bool, acceptRate: Double? = nil, at now: Instant
    ) -> Refusal? {
        self.sweep(now)
        if self.connections >= self.rules.total { return .total }
        if mustLogIn, self.unauthenticated >= self.rules.unauthenticated { return .unauthenticated }
        if !host.isLoopback {
            let key = host.payer
            let rate = acceptRate ?? self.rules.acceptsPerSecondPerAddress
            var address =
                self.addresses[key] ?? Address(bucket: TokenBucket(rate: rate, burst: Limits.acceptBurst, at: now))
            if address.bucket.rate != rate { address.bucket.set(rate: rate, burst: Limits.acceptBurst, at: now) }
            guard address.connections < self.rules.perAddress else { return .perAddress }
            let isInTime = address.bucket.takeIfThere(1, at: now)
            // The overall rate is asked last, so that one address at its own bound takes nothing from the others.
            guard isInTime else { return .ratePerAddress }
            guard self.bucket.takeIfThere(1, at: now) else { return .rate }
            address.connections += 1
            self.addresses[key] = address
        }
        self.connections += 1
        if mustLogIn { self.unauthenticated += 1 }
        return nil
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
    }
}
