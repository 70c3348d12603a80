import ApusCore
import ApusPresence
import Logging
import NIOCore

/// Tells who is in the channels of this endpoint server: runs its ``PresenceNode``. Owner: one event loop of the door,
/// which it is touched on only.
final class EndpointPresence {
    /// What happened on a loop of the door.
    enum Event: Sendable {
        case joined(PresencePlace, PresenceGuest, at: Timestamp)
        case left(PresencePlace, PresenceLeave, at: Timestamp)
        case confirmed(PresencePlace, PresenceGuest, [PresenceSeen])
    }

    private let eventLoop: any EventLoop
    private let upstream: any EdgePresence
    private let clock: any Clock
    private let logger: Logger
    private var node: PresenceNode
    private var timer: Scheduled<Void>?
    private var timerAt: Instant?
    /// Set when all have gone, and that is being told.
    private var drained: EventLoopPromise<Void>?
    private var omittedTold = 0
    /// It was said that what is told is not taken.
    private var hasComplained = false

    init(
        _ eventLoop: any EventLoop, _ upstream: any EdgePresence, name: String, isAlone: Bool, clock: any Clock,
        logger: Logger
    ) {
        self.eventLoop = eventLoop
        self.upstream = upstream
        self.clock = clock
        self.logger = logger
        self.node = PresenceNode(name: name, isAlone: isAlone)
    }

    /// All that happened on one loop in one tick.
    func take(_ events: [Event]) {
        for event in events {
            switch event {
            case .joined(let place, let guest, let at): self.node.joined(place, guest, at: at)
            case .left(let place, let reason, let at): self.node.left(place, reason, at: at)
            case .confirmed(let place, let guest, let seen): self.node.confirmed(place, guest, seen)
            }
        }
        self.goOn()
    }

    /// Answers when all that happened was told, or after that long.
    func drain(within patience: Duration) -> EventLoopFuture<Void> {
        if let drained = self.drained { return drained.futureResult }
        let drained = self.eventLoop.makePromise(of: Void.self)
        self.drained = drained
        let cut = self.eventLoop.assumeIsolated().scheduleTask(in: .nanoseconds(patience.wholeNanoseconds)) {
            drained.succeed()
        }
        drained.futureResult.assumeIsolated().whenComplete { _ in cut.cancel() }
        self.goOn()
        return drained.futureResult
    }

    private func goOn() {
        while let report = self.node.nextReport(at: self.clock.now) {
            let bound = NIOLoopBound(self, eventLoop: self.eventLoop)
            self.upstream.report(report, on: self.eventLoop) { answer in
                let presence = bound.value
                // Not at once: it may be answered before the call has returned.
                presence.eventLoop.assumeIsolated().execute { presence.answered(report, answer) }
            }
        }
        if self.node.isTold { self.drained?.succeed() }
        self.wait()
    }

    private func answered(_ report: PresenceReport, _ answer: Result<PresenceAnswer, PresenceError>) {
        switch answer {
        case .success: self.hasComplained = false
        // Ordinary after a start, and after a while of silence.
        case .failure(.loading), .failure(.fenced): break
        case .failure(let error):
            if !self.hasComplained {
                self.logger.warning(
                    "who is here is not taken, and told again and again", metadata: ["reason": "\(error)"])
            }
            self.hasComplained = true
        }
        self.node.answered(report, answer, at: self.clock.now)
        if self.node.omittedCount > 0, self.omittedTold == 0 {
            self.omittedTold = self.node.omittedCount
            self.logger.warning("there is no room for everybody who is in a channel: some are not recorded")
        }
        self.goOn()
    }

    private func wait() {
        guard let deadline = self.node.deadline else { return }
        let now = self.clock.now
        if let at = self.timerAt, at <= deadline, at > now { return }
        self.timer?.cancel()
        self.timerAt = deadline
        let pause = max(deadline.since(now), Limits.presenceTimerGrain)
        self.timer = self.eventLoop.assumeIsolated().scheduleTask(in: .nanoseconds(pause.wholeNanoseconds)) {
            self.timer = nil
            self.timerAt = nil
            self.goOn()
        }
    }
}
