import ApusCore
import NIOCore

/// How fast a body comes. Only time in which we wanted more is the client's; while we do not read, it waits for us.
struct BodyPace {
    private let isStream: Bool
    private var bytes = 0
    private var waited = TimeAmount.zero
    /// When more was asked for; nil while what came is enough.
    private var askedAt: NIODeadline?

    /// - Parameter isStream: of lines, which may come whenever there is one: bounded by how long none comes.
    init(isStream: Bool, at now: NIODeadline) {
        self.isStream = isStream
        self.askedAt = now
    }

    mutating func asked(at now: NIODeadline) {
        if self.askedAt == nil { self.askedAt = now }
    }

    mutating func arrived(_ count: Int, at now: NIODeadline) {
        self.bytes += count
        if let asked = self.askedAt { self.waited = self.isStream ? .zero : self.waited + (now - asked) }
        self.askedAt = nil
    }

    func isTooSlow(at now: NIODeadline) -> Bool {
        let waited = self.waited + (self.askedAt.map { now - $0 } ?? .zero)
        if self.isStream { return waited > .nanoseconds(Limits.webIdleMax.wholeNanoseconds) }
        let earned = Int64(self.bytes / Limits.webBodyBytesPerSecondMin.rawValue)
        return waited > .nanoseconds(Limits.webBodyWaitMax.wholeNanoseconds) + .seconds(earned)
    }
}
