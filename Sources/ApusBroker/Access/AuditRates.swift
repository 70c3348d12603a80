import ApusAccess
import ApusCore

/// How much of what each principal does is written down: so much a second of each kind, and of the rest its number. A
/// client that does something in a loop fills no disk, and hides nobody else's records.
struct AuditRates {
    enum Kind: Hashable {
        case denial
        case failedLogin
        case login
        case change

        var perSecondMax: Int {
            switch self {
            case .denial, .failedLogin: Limits.auditedDenialsPerSecondMax
            case .login: Limits.auditedLoginsPerSecondMax
            case .change: Limits.auditedChangesPerSecondMax
            }
        }
    }

    enum Verdict: Equatable {
        /// `omitted`: how many of the same kind and principal before it were not.
        case write(omitted: Int)
        /// Counted; the next of its kind says so.
        case omit
        /// Too many principals at a time, this one is not counted by name.
        case lose
    }

    private struct Account: Hashable {
        let principal: Principal
        let kind: Kind
    }

    private struct Count {
        var second: Int64
        var written = 0
        var omitted = 0
    }

    private var counts: [Account: Count] = [:]
    /// Omitted records of principals that were forgotten since it was last taken.
    private var forgotten = 0

    mutating func judge(_ kind: Kind, of principal: Principal, at now: Timestamp) -> Verdict {
        let second = now.rawValue / 1000
        let account = Account(principal: principal, kind: kind)
        // Principals that logged in are few; those that only say a name are one, the anonymous.
        if self.counts[account] == nil, self.counts.count >= Limits.auditedPrincipalsMax {
            self.forget(before: second)
            guard self.counts.count < Limits.auditedPrincipalsMax else { return .lose }
        }
        var count = self.counts[account] ?? Count(second: second)
        if count.second != second {
            count.second = second
            count.written = 0
        }
        defer { self.counts[account] = count }
        guard count.written < kind.perSecondMax else {
            count.omitted += 1
            return .omit
        }
        count.written += 1
        defer { count.omitted = 0 }
        return .write(omitted: count.omitted)
    }

    mutating func takeForgotten() -> Int {
        defer { self.forgotten = 0 }
        return self.forgotten
    }

    private mutating func forget(before second: Int64) {
        self.counts = self.counts.filter { entry in
            if entry.value.second != second { self.forgotten += entry.value.omitted }
            return entry.value.second == second
        }
    }
}
