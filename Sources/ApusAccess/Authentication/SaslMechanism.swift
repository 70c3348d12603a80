/// The ways to log in, by the names that clients know.
package enum SaslMechanism: String, CaseIterable, Comparable, Sendable {
    case scramSHA512 = "SCRAM-SHA-512"
    case scramSHA256 = "SCRAM-SHA-256"
    case oauthBearer = "OAUTHBEARER"
    case plain = "PLAIN"

    package static func < (left: SaslMechanism, right: SaslMechanism) -> Bool {
        left.strength < right.strength
    }

    /// The order in which they are offered.
    private var strength: Int { Self.allCases.firstIndex(of: self) ?? 0 }

    var scramHash: ScramHash? {
        switch self {
        case .scramSHA256: .sha256
        case .scramSHA512: .sha512
        case .oauthBearer, .plain: nil
        }
    }
}

/// What lies between a client and this broker, as far as a login cares.
package enum Transport: Hashable, Sendable {
    case tls
    /// In clear, but it never leaves the machine.
    case loopback
    /// In clear, and others may listen.
    case open
}

/// Which mechanisms a listener offers to whom.
package struct MechanismRules: Hashable, Sendable {
    /// What the operator turned on.
    package var enabled: Set<SaslMechanism>
    /// The operator said, in so many words, that SCRAM may be used in clear. It shows no password, but who listens can
    /// try passwords against what was said, and takes over the connection after the login.
    package var allowsScramInClear: Bool

    package init(enabled: Set<SaslMechanism>, allowsScramInClear: Bool = false) {
        self.enabled = enabled
        self.allowsScramInClear = allowsScramInClear
    }

    /// In the order in which a client should try them. PLAIN and OAUTHBEARER show the password or the token itself, so
    /// there is no word that allows them where others may listen.
    package func offered(over transport: Transport) -> [SaslMechanism] {
        self.enabled.filter { mechanism in
            switch transport {
            case .tls, .loopback: true
            case .open: mechanism.scramHash != nil && self.allowsScramInClear
            }
        }.sorted()
    }
}
