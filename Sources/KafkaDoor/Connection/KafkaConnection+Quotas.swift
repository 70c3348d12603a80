import ApusBroker
import ApusCore
import NIOCore

extension KafkaConnection {
    /// Counts what the client that calls itself so has used. The answer says how long it is to wait, and the connection
    /// is not read for as long, because not every client keeps to that (KIP-219).
    func count(for clientID: String, _ count: (inout QuotaMeter) -> Duration) -> Duration {
        self.beginMeter(for: clientID)
        guard var meter = self.meter.take() else { return .zero }
        let wait = count(&meter)
        self.meter = meter
        // An answer that came too late for the connection's end: nobody else settles it.
        if self.phase == .closed { self.settleMeter() }
        if wait > .zero { self.mute(for: wait) }
        return wait
    }

    /// Whether there is a quota for the time that requests of this client take.
    func countsTime(for clientID: String?) -> Bool {
        self.beginMeter(for: clientID ?? "")
        return self.meter?.countsTime() ?? false
    }

    private func beginMeter(for clientID: String) {
        guard self.meter?.isFor(self.client.principal, clientID: clientID) != true else { return }
        self.settleMeter()
        self.meter = QuotaMeter(self.client.principal, clientID: clientID, self.door.broker.quotas)
    }

    /// Has what was counted charged to whom it was counted for. One connection may speak for many client ids, so it
    /// waits for the debts of all of them.
    func settleMeter() {
        guard var meter = self.meter.take() else { return }
        let wait = meter.settle()
        if wait > .zero { self.mute(for: wait) }
    }

    /// The time that the loop spent on a request. Who used too much of it is not read for a while; the answer may have
    /// gone out already, so it does not say so.
    func worked(since began: Instant, for clientID: String?) {
        let duration = self.door.broker.now.since(began)
        _ = self.count(for: clientID ?? "") { $0.worked(duration) }
    }

    private func mute(for wait: Duration) {
        let end = self.door.broker.now.advanced(by: wait)
        guard self.phase == .open, self.mutedUntil.map({ end > $0 }) ?? true else { return }
        let isMuted = self.mutedUntil != nil
        self.mutedUntil = end
        if !isMuted { self.waitToBeHeard(wait) }
    }

    private func waitToBeHeard(_ wait: Duration) {
        self.loop.eventLoop.assumeIsolated().scheduleTask(in: .nanoseconds(wait.wholeNanoseconds)) {
            guard self.phase == .open, let end = self.mutedUntil else { return }
            let now = self.door.broker.now
            // Another request may have made it longer.
            guard now >= end else { return self.waitToBeHeard(max(end.since(now), .milliseconds(1))) }
            self.mutedUntil = nil
            self.work()
            self.flushIfNeeded()
        }
    }
}
