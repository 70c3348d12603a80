import ApusAccess
import ApusCore

/// How many denials of each principal are written down: so many a second, and of the rest their number. A client that
/// is denied in a loop fills no disk, and hides nobody else's.
struct DenialCounts {
    private struct Count {
        var second: Int64
        var written = 0
        var omitted = 0
    }

    private var counts: [Principal: Count] = [:]

    /// Nil: not to be written. Else how many before it were not.
    mutating func denied(_ principal: Principal, at now: Timestamp) -> Int? {
        let second = now.rawValue / 1000
        // Principals that logged in are few; those that only say a name are one, the anonymous.
        if self.counts[principal] == nil, self.counts.count >= Limits.auditedPrincipalsMax {
            self.counts = self.counts.filter { $0.value.second == second }
            guard self.counts.count < Limits.auditedPrincipalsMax else { return nil }
        }
        var count = self.counts[principal] ?? Count(second: second)
        if count.second != second {
            count.second = second
            count.written = 0
        }
        defer { self.counts[principal] = count }
        guard count.written < Limits.auditedDenialsPerSecondMax else {
            count.omitted += 1
            return nil
        }
        count.written += 1
        defer { count.omitted = 0 }
        return count.omitted
    }
}
