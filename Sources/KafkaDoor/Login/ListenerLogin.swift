package import ApusAccess
package import ApusCore

/// What a listener's logins are decided by and done with: the same for all its connections, and never changed. What its
/// closures answer does change. Any thread.
package struct ListenerLogin: Sendable {
    /// Mechanisms, users and keys as they are now.
    package var rules: @Sendable () -> LoginRules
    /// Runs slow work on a thread that is no event loop. No kind waits for another.
    package var elsewhere: @Sendable (_ kind: LoginWork, _ work: @escaping @Sendable () -> Void) -> Void
    package var clock: any Clock
    package var randomness: any Randomness

    package init(
        clock: any Clock, randomness: any Randomness, rules: @escaping @Sendable () -> LoginRules,
        elsewhere: @escaping @Sendable (_ kind: LoginWork, _ work: @escaping @Sendable () -> Void) -> Void
    ) {
        self.rules = rules
        self.elsewhere = elsewhere
        self.clock = clock
        self.randomness = randomness
    }

    var moment: LoginMoment { LoginMoment(now: self.clock.now, wall: self.clock.wallTime) }

    func nonce() -> ScramNonce {
        ScramNonce(random: (self.randomness.next(), self.randomness.next(), self.randomness.next()))
    }
}

/// How a login ended, for the audit trail.
package struct LoginReport: Sendable {
    package enum Outcome: Sendable {
        case loggedIn(SaslSession)
        /// By its certificate.
        case certified(Principal)
        case failed(LoginFailure)
    }

    package var outcome: Outcome
    /// The client's numeric address.
    package var address: String
}
