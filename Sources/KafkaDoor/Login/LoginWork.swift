import ApusCore

/// What of a login takes so long that another thread does it.
///
/// Each kind has places and threads of its own. A password costs many times what a token does: behind a crowd of
/// clients that send passwords, those that come with tokens would wait, or be turned away, and the other way round.
package enum LoginWork: CaseIterable, Hashable, Sendable {
    /// Hashing a password: milliseconds, or a second where somebody made so many rounds of it.
    case password
    /// Checking the signature of a token: below a millisecond.
    case token
}

/// Who is judged elsewhere, of the connections of one event loop. Owner: its ``DoorLoop``.
struct LoginPlaces {
    private var passwords = 0
    private var tokens = 0

    /// Whether one more may begin. It ends with ``end(_:)``.
    mutating func begin(_ work: LoginWork) -> Bool {
        switch work {
        case .password: Self.take(&self.passwords, of: Limits.passwordChecksPerLoopMax)
        case .token: Self.take(&self.tokens, of: Limits.tokenChecksPerLoopMax)
        }
    }

    mutating func end(_ work: LoginWork) {
        switch work {
        case .password: Self.giveBack(&self.passwords)
        case .token: Self.giveBack(&self.tokens)
        }
    }

    private static func take(_ taken: inout Int, of limit: Int) -> Bool {
        guard taken < limit else { return false }
        taken += 1
        return true
    }

    private static func giveBack(_ taken: inout Int) {
        precondition(taken > 0)
        taken -= 1
    }
}
