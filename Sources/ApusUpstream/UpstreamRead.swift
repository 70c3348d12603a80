import ApusBroker
import ApusCore
import EdgeDoor
import NIOCore

/// One fetch of the endpoint server, on its way. Answers once, on the loop that asked.
///
/// Unchecked because: all but ``cancel()`` is touched on the client's loop only.
final class UpstreamRead: EdgeTicket, @unchecked Sendable {
    let entries: [FetchEntry]
    let limits: FetchLimits
    let deadline: Instant
    private let home: any EventLoop
    private let loop: any EventLoop
    private var results: [FetchResult]
    private var missing: Int
    private var then: (@Sendable ([FetchResult]) -> Void)?
    /// Is told when nobody waits for it any more.
    var onCancel: (() -> Void)?

    /// - Parameters:
    ///   - home: the client's loop.
    ///   - loop: that of whoever asked.
    init(
        _ entries: [FetchEntry], _ limits: FetchLimits, at now: Instant, home: any EventLoop, on loop: any EventLoop,
        then: @escaping @Sendable ([FetchResult]) -> Void
    ) {
        self.entries = entries
        self.limits = limits
        self.deadline = now.advanced(by: limits.waitMax)
        self.home = home
        self.loop = loop
        self.results = Array(repeating: FetchResult(), count: entries.count)
        self.missing = entries.count
        self.then = then
    }

    var isWanted: Bool { self.then != nil }

    /// A reader of one partition at its end: it waits with all others of its broker in one request.
    var isParked: Bool {
        self.entries.count == 1 && self.limits.bytesMin > .zero && self.limits.waitMax > Limits.connectionSweepPeriod
    }

    func put(_ result: FetchResult, at index: Int) {
        guard self.then != nil else { return }
        self.results[index] = result
        self.missing -= 1
        if self.missing == 0 { self.end() }
    }

    func fail(_ error: BrokerError) {
        for index in self.results.indices { self.results[index] = FetchResult(error: error) }
        self.end()
    }

    /// Nothing was found, and whoever asked was willing to wait for it; or it can not be read, and he will ask again.
    private var isEarly: Bool {
        guard self.limits.waitMax > .zero, !self.isParked else { return false }
        return self.results.allSatisfy { $0.batches.isEmpty && $0.error.map(\.passes) ?? true }
    }

    private func end() {
        guard let then = self.then.take() else { return }
        self.onCancel = nil
        let results = self.results
        guard self.isEarly else { return self.loop.execute { then(results) } }
        let wait = min(self.limits.waitMax, UpstreamLimits.failureWait)
        self.loop.scheduleTask(in: .nanoseconds(wait.wholeNanoseconds)) { then(results) }
    }

    func cancel() {
        self.home.execute {
            self.then = nil
            self.onCancel.take()?()
        }
    }
}

extension BrokerError {
    /// The same may be asked again soon.
    var passes: Bool {
        switch self {
        case .overloaded, .timedOut, .notLeader, .fencedLeaderEpoch, .unknownLeaderEpoch: true
        default: false
        }
    }
}
