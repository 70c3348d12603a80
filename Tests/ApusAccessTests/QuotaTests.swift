import ApusCore
import ApusFakes
import Testing

@testable import ApusAccess

@Suite("Quotas")
struct QuotaTests {
    private let start = Instant(nanoseconds: 5_000_000_000)

    private func later(_ duration: Duration) -> Instant { self.start.advanced(by: duration) }

    private func subject(_ user: String, _ client: String? = "app") throws -> QuotaSubject {
        QuotaSubject(try #require(Principal(user: user)), clientID: client)
    }

    @Test("a bucket gives a burst, then its rate, and who overdrew waits until the debt is paid")
    func bucket() {
        let bucket = Bucket(rate: 1000, burst: .seconds(2), at: self.start)
        #expect(bucket.take(2000, at: self.start) == .zero)
        #expect(bucket.take(500, at: self.start) == .milliseconds(500))
        #expect(bucket.wait(at: self.later(.milliseconds(200))) == .milliseconds(300))
        #expect(bucket.wait(at: self.later(.milliseconds(500))) == .zero)
        #expect(bucket.take(1, at: self.later(.milliseconds(500))) == .milliseconds(1))
        // Saved up to the burst and no further.
        #expect(bucket.take(2000, at: self.later(.seconds(1000))) == .zero)
        #expect(bucket.take(1, at: self.later(.seconds(1000))) == .milliseconds(1))
        // A clock that stands still or goes back gives nothing.
        #expect(bucket.wait(at: self.start) == .milliseconds(1))
    }

    @Test("nobody waits longer than the longest wait, whatever was taken")
    func debtIsBounded() {
        let bucket = Bucket(rate: 1, burst: .seconds(2), at: self.start)
        #expect(bucket.take(1e15, at: self.start) == Limits.throttleMax)
        #expect(bucket.take(1e15, at: self.start) == Limits.throttleMax)
        #expect(bucket.wait(at: self.later(Limits.throttleMax)) == .zero)
    }

    @Test("another rate keeps what was saved or owed, as time")
    func newRate() {
        let bucket = Bucket(rate: 100, burst: .seconds(2), at: self.start)
        #expect(bucket.take(300, at: self.start) == .seconds(1))
        bucket.set(rate: 1000, burst: .seconds(2), at: self.start)
        #expect(bucket.wait(at: self.start) == .seconds(1))
        #expect(!bucket.isFull(at: self.later(.milliseconds(2999))))
        #expect(bucket.isFull(at: self.later(.seconds(3))))
    }

    @Test(
        "whatever rates and amounts are, a bucket's waits are bounded and it goes on",
        arguments: 0..<50 as Range<UInt64>)
    func nastyNumbers(seed: UInt64) {
        let nasty: [Double] = [
            .nan, .signalingNaN, .infinity, -.infinity, 0, -0.0, -1, 1e-300, 1e300, .leastNonzeroMagnitude,
            .greatestFiniteMagnitude, -.greatestFiniteMagnitude, 1e9, 1e15, 1e-3, 1, .ulpOfOne,
        ]
        var random = SplitMix64(seed: seed)
        func any() -> Double { nasty[random.below(nasty.count)] }
        let bucket = Bucket(rate: any(), burst: .seconds(2), at: self.start)
        var now = self.start
        for _ in 0..<300 {
            now = now.advanced(by: random.below(3) == 0 ? .seconds(1 << 20) : .milliseconds(random.below(1000)))
            if random.below(3) == 0 { bucket.set(rate: any(), burst: .seconds(2), at: now) }
            let wait = random.below(2) == 0 ? bucket.take(any(), at: now) : bucket.wait(at: now)
            #expect(wait >= .zero && wait <= Limits.throttleMax)
            if bucket.takeIfThere(any(), at: now) { #expect(bucket.wait(at: now) == .zero) }
        }
        // And it still is a bucket.
        bucket.set(rate: 1000, burst: .seconds(2), at: now)
        let later = now.advanced(by: Limits.throttleMax + .seconds(2))
        #expect(bucket.isFull(at: later))
        #expect(bucket.take(2500, at: later) == .milliseconds(500))
    }

    @Test("over any time a bucket gives no more than burst and rate", arguments: 0..<20 as Range<UInt64>)
    func conservation(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        let rate = Double(1 + random.below(10_000))
        let bucket = Bucket(rate: rate, burst: .seconds(2), at: self.start)
        var now = self.start
        var given = 0.0
        for _ in 0..<500 {
            now = now.advanced(by: .milliseconds(random.below(300)))
            let amount = Double(random.below(2000))
            if bucket.takeIfThere(amount, at: now) { given += amount }
            #expect(given <= rate * (2 + now.since(self.start).inSeconds) + 0.001)
        }
        #expect(given > 0)
    }

    @Test("the rules go by Kafka's precedence, and say who shares a rate")
    func precedence() throws {
        let named = { (name: ExactText) in QuotaEntity.Who.named(name) }
        // Each wins over all that stand behind it.
        let order: [(QuotaEntity, user: ExactText?, client: ExactText?)] = [
            (try QuotaEntity(user: named("alice"), clientID: named("app")), "alice", "app"),
            (try QuotaEntity(user: named("alice"), clientID: .others), "alice", "app"),
            (try QuotaEntity(user: named("alice")), "alice", nil),
            (try QuotaEntity(user: .others, clientID: named("app")), "alice", "app"),
            (try QuotaEntity(user: .others, clientID: .others), "alice", "app"),
            (try QuotaEntity(user: .others), "alice", nil),
            (try QuotaEntity(clientID: named("app")), nil, "app"),
            (try QuotaEntity(clientID: .others), nil, "app"),
        ]
        let alice = try self.subject("alice")
        for first in order.indices {
            var rules = QuotaRules(fallback: [:])
            for index in order.indices[first...].reversed() {
                try rules.set(.producedBytes, of: order[index].0, to: Double(index + 1))
            }
            let expected = QuotaLimit(rate: Double(first + 1), user: order[first].user, clientID: order[first].client)
            #expect(rules.limit(.producedBytes, for: alice) == expected)
            #expect(rules.limit(.fetchedBytes, for: alice) == nil)
        }
        var rules = QuotaRules(fallback: [.producedBytes: 7])
        try rules.set(.producedBytes, of: QuotaEntity(user: named("bob")), to: 1)
        #expect(rules.limit(.producedBytes, for: alice) == QuotaLimit(rate: 7, user: "alice", clientID: nil))
        try rules.set(.producedBytes, of: QuotaEntity(user: named("bob")), to: nil)
        #expect(rules.isEmpty)
    }

    @Test("entities and rates that make no sense are refused by name")
    func refusals() throws {
        #expect(throws: QuotaEntity.Refusal.combination) { _ = try QuotaEntity() }
        #expect(throws: QuotaEntity.Refusal.combination) { _ = try QuotaEntity(user: .others, address: .others) }
        #expect(throws: QuotaEntity.Refusal.name("a\nb")) { _ = try QuotaEntity(user: .named("a\nb")) }
        #expect(throws: QuotaEntity.Refusal.name("host")) { _ = try QuotaEntity(address: .named("host")) }
        #expect(throws: QuotaEntity.Refusal.name("\u{0}")) { _ = try QuotaEntity(clientID: .named("\u{0}")) }
        let user = try QuotaEntity(user: .others)
        let address = try QuotaEntity(address: .named("10.0.0.1"))
        var rules = QuotaRules()
        for rate in [0, -1, .infinity, .nan, 1e16, 1e-300, 0.0009] {
            #expect(throws: QuotaEntity.Refusal.value) { try rules.set(.producedBytes, of: user, to: rate) }
        }
        #expect(throws: QuotaEntity.Refusal.kind(.accepts)) { try rules.set(.accepts, of: user, to: 1) }
        #expect(throws: QuotaEntity.Refusal.kind(.mutations)) { try rules.set(.mutations, of: address, to: 1) }
        try rules.set(.accepts, of: address, to: 5)
        let named = rules.acceptQuota(of: try #require(HostAddress("::ffff:10.0.0.1")))
        #expect(named == ConnectionCaps.Quota(rate: 5, isNamed: true))
        let other = try #require(HostAddress("10.0.0.2"))
        #expect(rules.acceptQuota(of: other) == nil)
        try rules.set(.accepts, of: QuotaEntity(address: .others), to: 7)
        #expect(rules.acceptQuota(of: other) == ConnectionCaps.Quota(rate: 7, isNamed: false))
    }

    @Test(
        "however an address is written, its quota is the same one, is kept to and is found",
        arguments: [
            ("2001:DB8:0:0::1", "2001:db8::1"), ("::ffff:10.0.0.7", "10.0.0.7"), ("2001:db8:0::0001", "2001:db8::1"),
        ])
    func addresses(written: String, usual: String) throws {
        let entity = try QuotaEntity(address: .named(ExactText(written)))
        #expect(entity == (try QuotaEntity(address: .named(ExactText(usual)))))
        var rules = QuotaRules(fallback: [:])
        try rules.set(.accepts, of: entity, to: 5)
        let address = try #require(HostAddress(usual))
        #expect(rules.acceptQuota(of: address) == ConnectionCaps.Quota(rate: 5, isNamed: true))
        var filter = QuotaFilter()
        for text in [written, usual] {
            filter.address = .exactly(.named(ExactText(text)))
            #expect(filter.shows(entity))
        }
        filter.address = .exactly(.named("10.0.0.8"))
        #expect(!filter.shows(entity))
    }

    @Test("a user's clients share the user's rate; other users and other kinds do not")
    func sharing() throws {
        var rules = QuotaRules(fallback: [:])
        try rules.set(.producedBytes, of: QuotaEntity(user: .others), to: 1000)
        let ledger = Ledger(at: self.start)
        func charge(_ user: String, _ client: String, _ kind: QuotaKind = .producedBytes) throws -> Duration {
            ledger.charge(kind, 2000, to: try self.subject(user, client), rules: rules, at: self.start)
        }
        #expect(try charge("alice", "one") == .zero)
        #expect(try charge("alice", "two") == .seconds(2))
        #expect(try charge("bob", "one") == .zero)
        #expect(try charge("alice", "one", .fetchedBytes) == .zero)
        let alice = try self.subject("alice", "three")
        #expect(ledger.wait(.producedBytes, of: alice, rules: rules, at: self.later(.seconds(1))) == .seconds(1))
        #expect(ledger.count == 2)
    }

    @Test("request time is counted in percent of a thread")
    func requestTime() throws {
        var rules = QuotaRules(fallback: [:])
        try rules.set(.requestTime, of: QuotaEntity(user: .others), to: 50)
        let ledger = Ledger(at: self.start)
        let alice = try self.subject("alice")
        // Half a thread, saved for two seconds: one second of work; a tenth more costs a fifth of a second.
        #expect(ledger.charge(.requestTime, 1, to: alice, rules: rules, at: self.start) == .zero)
        #expect(ledger.charge(.requestTime, 0.1, to: alice, rules: rules, at: self.start) == .milliseconds(200))
    }

    @Test("who invents client ids gets no more than one rate for all that are too many")
    func inventedIDs() throws {
        var rules = QuotaRules(fallback: [:])
        try rules.set(.producedBytes, of: QuotaEntity(clientID: .others), to: 1000)
        let ledger = Ledger(at: self.start)
        for number in 0..<Limits.quotaBucketsMax {
            let subject = try self.subject("alice", "client-\(number)")
            #expect(ledger.charge(.producedBytes, 2000, to: subject, rules: rules, at: self.start) == .zero)
        }
        var waits: [Duration] = []
        for number in 0..<20 {
            let subject = try self.subject("alice", "more-\(number)")
            waits.append(ledger.charge(.producedBytes, 1000, to: subject, rules: rules, at: self.start))
        }
        #expect(waits[0] == .zero)
        #expect(waits[19] == .seconds(18))
        #expect(ledger.count == Limits.quotaBucketsMax + 1)
        // Once the others have paid, their buckets are forgotten.
        let subject = try self.subject("alice", "late")
        let late = self.later(.seconds(100))
        #expect(ledger.charge(.producedBytes, 1, to: subject, rules: rules, at: late) == .zero)
        #expect(ledger.count < 10)
    }
}

@Suite("Connection caps")
struct ConnectionCapsTests {
    private let start = Instant(nanoseconds: 5_000_000_000)

    private func host(_ text: String) throws -> HostAddress { try #require(HostAddress(text)) }

    private func rules(_ change: (inout ConnectionCaps.Rules) -> Void) -> ConnectionCaps.Rules {
        var rules = ConnectionCaps.Rules()
        change(&rules)
        return rules
    }

    @Test("connections are bounded in all, by address and before the login; closing makes room")
    func bounds() throws {
        let rules = self.rules {
            $0.total = 6
            $0.perAddress = 2
            $0.unauthenticated = 3
        }
        let caps = Caps(rules, at: self.start)
        let hosts = try ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"].map { try self.host($0) }
        func accept(_ index: Int, mustLogIn: Bool = false) -> ConnectionCaps.Refusal? {
            caps.accept(from: hosts[index], mustLogIn: mustLogIn, at: self.start)
        }
        #expect(accept(0, mustLogIn: true) == nil)
        #expect(accept(0, mustLogIn: true) == nil)
        #expect(accept(0, mustLogIn: true) == .perAddress)
        #expect(accept(1, mustLogIn: true) == nil)
        #expect(accept(1, mustLogIn: true) == .unauthenticated)
        caps.loggedIn()
        #expect(accept(1, mustLogIn: true) == nil)
        #expect(accept(2) == nil)
        #expect(accept(2) == nil)
        #expect(accept(3) == .total)
        caps.closed(from: hosts[0], isWaiting: true)
        #expect(caps.unauthenticated == 2)
        #expect(accept(0, mustLogIn: true) == nil)
        #expect(caps.connections == 6)
    }

    @Test("one address can not connect faster than its rate, and takes nothing from the others")
    func rates() throws {
        let rules = self.rules {
            $0.acceptsPerSecondPerAddress = 10
            $0.acceptsPerSecond = 20
            $0.perAddress = 1000
        }
        let caps = Caps(rules, at: self.start)
        let loud = try self.host("10.0.0.1")
        var taken = 0
        for _ in 0..<500 where caps.accept(from: loud, mustLogIn: false, at: self.start) == nil { taken += 1 }
        #expect(taken == 30)
        #expect(caps.accept(from: loud, mustLogIn: false, at: self.start) == .ratePerAddress)
        for number in 0..<30 {
            #expect(caps.accept(from: try self.host("10.0.1.\(number)"), mustLogIn: false, at: self.start) == nil)
        }
        #expect(caps.accept(from: try self.host("10.0.2.1"), mustLogIn: false, at: self.start) == .rate)
        let later = self.start.advanced(by: .seconds(1))
        #expect(caps.accept(from: loud, mustLogIn: false, at: later) == nil)
    }

    @Test("over a quota connections wait their turn, and are turned away when that would take too long")
    func quotas() throws {
        let caps = Caps(self.rules { $0.acceptsPerSecondPerAddress = 1 }, at: self.start)
        let quota = ConnectionCaps.Quota(rate: 2, isNamed: true)
        for host in try [self.host("10.0.0.1"), self.host("127.0.0.1"), self.host("2001:db8::1")] {
            func wait(at now: Instant) -> Duration? {
                try? caps.take(from: host, quota: quota, at: now)
            }
            // Three seconds' worth at once, in place of the listener's own rate; then one each half second.
            #expect((0..<6).map { _ in wait(at: self.start) } == Array(repeating: .zero, count: 6))
            let waits = (1...10).map { Duration.milliseconds(500 * $0) }
            #expect((0..<10).map { _ in wait(at: self.start) } == waits)
            #expect(wait(at: self.start) == nil, "5.5 s")
            let later = self.start.advanced(by: .seconds(4))
            #expect(wait(at: later) == .milliseconds(1500))
        }
        let other = try self.host("10.0.0.2")
        #expect(try caps.take(from: other, quota: quota, at: self.start) == .zero)
    }

    @Test(
        "an address that may have more connections may come as much faster, and not faster than all together",
        arguments: [(1, 100.0), (256, 100), (2560, 1000), (1_000_000, 2000)])
    func ratesInProportion(perAddress: Int, perSecond: Double) {
        let rules = ConnectionCaps.Rules(total: 1_000_000, perAddress: perAddress)
        #expect(rules.perAddress == perAddress)
        #expect(rules.acceptsPerSecondPerAddress == perSecond)
    }

    @Test("however low a quota is, it lets one in at a time")
    func lowQuota() throws {
        let caps = Caps(at: self.start)
        let (slow, quota) = (try self.host("10.0.3.1"), ConnectionCaps.Quota(rate: 0.1, isNamed: false))
        #expect(try caps.take(from: slow, quota: quota, at: self.start) == .zero)
        #expect(throws: ConnectionCaps.Refusal.ratePerAddress) {
            try caps.take(from: slow, quota: quota, at: self.start)
        }
        let later = self.start.advanced(by: .seconds(6))
        #expect(try caps.take(from: slow, quota: quota, at: later) == .seconds(4))
        #expect(caps.quotaCount == 1)
        // When its debt is paid it is forgotten.
        _ = try caps.take(from: self.host("127.0.0.1"), quota: nil, at: later.advanced(by: .seconds(60)))
        #expect(caps.quotaCount == 0)
    }

    @Test("a quota for all shares one rate in a /64, a quota for an address is that address' own")
    func quotaPayers() throws {
        let caps = Caps(at: self.start)
        let hosts = try (1...2).map { try self.host("2001:db8::\($0)") }
        let all = ConnectionCaps.Quota(rate: 0.5, isNamed: false)
        #expect(try hosts.map { try caps.take(from: $0, quota: all, at: self.start) } == [.zero, .seconds(1)])
        let own = ConnectionCaps.Quota(rate: 0.5, isNamed: true)
        #expect(try hosts.map { try caps.take(from: $0, quota: own, at: self.start) } == [.zero, .zero])
    }

    @Test("who is turned away at another bound uses up nothing of his quota")
    func quotaAndBounds() throws {
        let caps = Caps(self.rules { $0.perAddress = 1 }, at: self.start)
        let (host, quota) = (try self.host("10.0.0.1"), ConnectionCaps.Quota(rate: 0.4, isNamed: true))
        #expect(try caps.take(from: host, quota: quota, at: self.start) == .zero)
        for _ in 0..<5 {
            #expect(throws: ConnectionCaps.Refusal.perAddress) {
                try caps.take(from: host, quota: quota, at: self.start)
            }
        }
        caps.closed(from: host, isWaiting: false)
        #expect(try caps.take(from: host, quota: quota, at: self.start) == .seconds(2))
    }

    @Test("a /64 of IPv6 is one address, loopback is none")
    func addresses() throws {
        let caps = Caps(self.rules { $0.perAddress = 2 }, at: self.start)
        for number in 1...2 {
            #expect(caps.accept(from: try self.host("2001:db8::\(number)"), mustLogIn: false, at: self.start) == nil)
        }
        #expect(caps.accept(from: try self.host("2001:db8::ffff:3"), mustLogIn: false, at: self.start) == .perAddress)
        #expect(caps.accept(from: try self.host("2001:db8:0:1::3"), mustLogIn: false, at: self.start) == nil)
        for _ in 0..<1000 {
            #expect(caps.accept(from: try self.host("127.0.0.1"), mustLogIn: false, at: self.start) == nil)
        }
        #expect(caps.connections == 1003)
    }

    @Test("addresses that are gone are forgotten")
    func forgetting() throws {
        let caps = Caps(at: self.start)
        for number in 0..<200 {
            let host = try self.host("10.0.\(number).1")
            #expect(caps.accept(from: host, mustLogIn: true, at: self.start) == nil)
            caps.closed(from: host, isWaiting: true)
        }
        #expect(caps.addressCount == 200)
        let later = self.start.advanced(by: .seconds(60))
        #expect(caps.accept(from: try self.host("10.1.0.1"), mustLogIn: true, at: later) == nil)
        #expect(caps.addressCount == 1)
        #expect(caps.connections == 1)
    }
}

/// Mutating calls have no place in an expectation: these stand in for the values.
private final class Bucket {
    private var bucket: TokenBucket

    init(rate: Double, burst: Duration, at now: Instant) {
        self.bucket = TokenBucket(rate: rate, burst: burst, at: now)
    }

    func set(rate: Double, burst: Duration, at now: Instant) { self.bucket.set(rate: rate, burst: burst, at: now) }
    func take(_ amount: Double, at now: Instant) -> Duration { self.bucket.take(amount, at: now) }
    func takeIfThere(_ amount: Double, at now: Instant) -> Bool { self.bucket.takeIfThere(amount, at: now) }
    func wait(at now: Instant) -> Duration { self.bucket.wait(at: now) }
    func isFull(at now: Instant) -> Bool { self.bucket.isFull(at: now) }
}

private final class Ledger {
    private var ledger: QuotaLedger
    var count: Int { self.ledger.count }

    init(at now: Instant) {
        self.ledger = QuotaLedger(at: now)
    }

    func charge(
        _ kind: QuotaKind, _ amount: Double, to subject: QuotaSubject, rules: QuotaRules, at now: Instant
    ) -> Duration {
        self.ledger.charge(kind, amount, to: subject, rules: rules, at: now)
    }

    func wait(_ kind: QuotaKind, of subject: QuotaSubject, rules: QuotaRules, at now: Instant) -> Duration {
        self.ledger.wait(kind, of: subject, rules: rules, at: now)
    }
}

private final class Caps {
    private var caps: ConnectionCaps
    var connections: Int { self.caps.connections }
    var unauthenticated: Int { self.caps.unauthenticated }
    var addressCount: Int { self.caps.addressCount }

    init(_ rules: ConnectionCaps.Rules = ConnectionCaps.Rules(), at now: Instant) {
        self.caps = ConnectionCaps(rules, at: now)
    }

    /// Nil: it was taken, and at once.
    func accept(from host: HostAddress, mustLogIn: Bool, at now: Instant) -> ConnectionCaps.Refusal? {
        do throws(ConnectionCaps.Refusal) {
            let wait = try self.caps.accept(from: host, mustLogIn: mustLogIn, at: now)
            if wait != .zero { Issue.record("waits \(wait) without a quota") }
            return nil
        } catch {
            return error
        }
    }

    func take(
        from host: HostAddress, quota: ConnectionCaps.Quota?, at now: Instant
    ) throws(ConnectionCaps.Refusal) -> Duration {
        try self.caps.accept(from: host, mustLogIn: false, quota: quota, at: now)
    }

    var quotaCount: Int { self.caps.quotaCount }

    func loggedIn() { self.caps.loggedIn() }
    func closed(from host: HostAddress, isWaiting: Bool) { self.caps.closed(from: host, isWaiting: isWaiting) }
}
