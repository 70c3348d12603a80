package import ApusCore

/// Who was not heard of for too long.
extension PresenceCoordinator {
    /// When ``tick(at:wall:into:)`` has something to do; nil while nobody attends.
    package var deadline: Instant? {
        if !self.ending.isEmpty { return self.pendingBytes == 0 ? self.tickedAt : nil }
        guard let first = self.lives.values.map(\.deadline).min() else { return nil }
        // More often than that: a coordinator that could not listen must notice it.
        return self.tickedAt.map { min(first, $0.advanced(by: self.lease / 3)) } ?? first
    }

    /// Time has passed.
    package mutating func tick(at now: Instant, wall: Timestamp, into actions: inout PresenceActions) {
        // We were held up ourselves (a stopped process, a machine that slept): what was said meanwhile was not heard.
        if let last = self.tickedAt, now.since(last) > self.lease * 2 / 3 {
            for life in self.lives.keys { self.lives[life]?.deadline = now.advanced(by: self.lease) }
        }
        self.tickedAt = now
        for (life, state) in self.lives where state.deadline <= now { self.end(life, .lease) }
        self.dismissSome(at: wall, into: &actions)
    }

    /// Nothing that this life says counts any more; its clients leave, some at a time.
    mutating func end(_ life: NodeLife, _ reason: PresenceLeave) {
        guard let state = self.lives.removeValue(forKey: life), !state.seats.isEmpty else { return }
        self.ending.append((life, reason, state.seats.sorted(by: >)))
    }

    private mutating func dismissSome(at wall: Timestamp, into actions: inout PresenceActions) {
        while !self.ending.isEmpty, self.pendingBytes <= Limits.presenceWritesBytesMax.rawValue {
            let last = self.ending.count - 1
            let numbers = Array(self.ending[last].seats.suffix(Limits.presenceLeavesPerWriteMax).reversed())
            self.ending[last].seats.removeLast(numbers.count)
            let reason = self.ending[last].reason
            if self.ending[last].seats.isEmpty { self.ending.removeLast() }
            let groups = numbers.compactMap { number in
                self.seats[number].map { Self.records(of: $0, leaving: reason, at: wall) }
            }
            self.removeSeats(numbers)
            _ = self.write(groups, into: &actions)
        }
    }
}
