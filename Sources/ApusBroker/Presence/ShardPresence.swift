import ApusCore
import ApusPresence
import DequeModule
import KafkaWire
import Logging
import NIOCore

/// Runs the coordinator of presence on the shard that leads the partition of `__presence`: gives it reports and the
/// time, appends what it writes through the shard's own produce path, and lets its answers go.
///
/// What it writes in one tick, and while a batch is under way, goes into the next batch together. After a start it
/// reads the partition from its beginning. Unlike positions of groups, presence is about what is so now: where records
/// are damaged it goes on without them, and says so.
///
/// Unchecked because: owned by its shard, and touched on its loop only.
final class ShardPresence: @unchecked Sendable {
    enum Phase {
        /// Nobody asked yet.
        case asleep
        case loading
        case live
        /// Waits to be loaded (again).
        case resting(until: Instant)
        case closed
    }

    unowned let shard: Shard
    var phase = Phase.asleep
    var coordinator: PresenceCoordinator
    var topicID: TopicID?
    var queue = Deque<PresenceWrite>()
    /// The writes of the batch that is under way; empty when none is.
    var writing: [PresenceWrite] = []
    var isFlushScheduled = false
    /// Records that were passed over while loading.
    var unreadable = 0
    private var waiting: [PresenceToken: (Result<PresenceAnswer, PresenceError>) -> Void] = [:]
    private var tokenNext: UInt64 = 1
    /// Doubles with each failure in a row.
    private var reloadPause = Limits.groupReloadPause.lowerBound
    private var timer: NIOScheduledCallback?
    private var timerAt: Instant?

    init(shard: Shard) {
        self.shard = shard
        self.coordinator = PresenceCoordinator(start: shard.world.settings.incarnation)
    }

    var world: ShardWorld { self.shard.world }
    var now: Instant { self.world.ports.clock.now }
    var label: String { "\(PresenceTopic.name)-\(PresenceTopic.partition)" }

    // MARK: What is asked

    /// Makes it known which topic it is. Begins to read it, if nobody did.
    func wake(_ topic: Topic) {
        self.shard.loop.assertInEventLoop()
        guard case .asleep = self.phase else { return }
        self.topicID = topic.id
        self.load()
    }

    func report(_ report: PresenceReport, then: @escaping (Result<PresenceAnswer, PresenceError>) -> Void) {
        switch self.phase {
        case .live: break
        case .asleep, .loading: return then(.failure(.loading))
        case .resting, .closed: return then(.failure(.unavailable))
        }
        let token = PresenceToken(rawValue: self.tokenNext)
        self.tokenNext += 1
        self.waiting[token] = then
        self.act { coordinator, now, actions in coordinator.report(report, token, at: now, into: &actions) }
    }

    func page(
        of channel: String, behind place: Int64?, upTo limit: Int, withReceipts: Bool
    ) throws(PresenceError) -> PresencePage {
        switch self.phase {
        case .live:
            return self.coordinator.page(of: channel, behind: place, upTo: limit, withReceipts: withReceipts)
        case .asleep, .loading: throw .loading
        case .resting, .closed: throw .unavailable
        }
    }

    /// Something happens to the coordinator; what it wants done is done.
    func act(_ event: (inout PresenceCoordinator, Instant, inout PresenceActions) -> Void) {
        self.shard.loop.assertInEventLoop()
        var actions = PresenceActions()
        event(&self.coordinator, self.now, &actions)
        // First the writes, then the answers: an answer may bring the next report at once.
        self.queue.append(contentsOf: actions.writes)
        self.flushSoon()
        self.answer(actions)
        if actions.isLost { self.startOver() }
        if let deadline = self.coordinator.deadline { self.wake(at: deadline) }
    }

    private func answer(_ actions: PresenceActions) {
        for (token, answer) in actions.replies { self.waiting.removeValue(forKey: token)?(answer) }
    }

    // MARK: Time

    private func wake(at deadline: Instant) {
        if case .closed = self.phase { return }
        let now = self.now
        let at = max(deadline, now.advanced(by: Limits.groupDeadlineGrain))
        if let timerAt = self.timerAt, timerAt <= at { return }
        self.timer?.cancel()
        self.timerAt = at
        // An event loop that refuses a timer is shutting down, and the shard's work with it.
        self.timer = try? self.shard.loop.scheduleCallback(
            in: .nanoseconds(at.since(now).wholeNanoseconds), handler: ShardPresenceTimer(presence: self))
    }

    fileprivate func tick() {
        self.timer = nil
        self.timerAt = nil
        switch self.phase {
        case .live:
            let wall = self.world.ports.clock.wallTime
            self.act { coordinator, now, actions in
                guard let deadline = coordinator.deadline, deadline <= now else { return }
                coordinator.tick(at: now, wall: wall, into: &actions)
            }
        case .resting(let until):
            if until <= self.now { self.load() } else { self.wake(at: until) }
        case .asleep, .loading, .closed: break
        }
    }

    // MARK: Beginning and ending

    /// All is read.
    func finish() {
        self.phase = .live
        self.reloadPause = Limits.groupReloadPause.lowerBound
        if self.unreadable > 0 {
            self.world.ports.logger.warning(
                "records of presence say nothing to us and are left alone",
                metadata: ["partition": "\(self.label)", "count": "\(self.unreadable)"])
        }
        self.act { coordinator, now, _ in coordinator.loaded(at: now) }
    }

    func failed(_ reason: String) {
        if case .closed = self.phase { return }
        self.world.ports.logger.error(
            "presence can not be loaded; tried again", metadata: ["partition": "\(self.label)", "reason": "\(reason)"])
        self.rest()
    }

    /// The memory is ahead of the partition: whoever waits says it again later, and all is read anew.
    private func startOver() {
        var actions = PresenceActions()
        self.coordinator.resign(into: &actions)
        self.queue.removeAll()
        self.rest()
        self.answer(actions)
    }

    private func rest() {
        if case .closed = self.phase { return }
        let until = self.now.advanced(by: self.reloadPause)
        self.reloadPause = min(self.reloadPause * 2, Limits.groupReloadPause.upperBound)
        self.phase = .resting(until: until)
        self.wake(at: until)
    }

    /// Takes no more reports. What is being written goes on, and is answered.
    func close() {
        self.phase = .closed
        self.timer?.cancel()
        self.timer = nil
        var actions = PresenceActions()
        if self.writing.isEmpty { self.coordinator.resign(into: &actions) }
        self.answer(actions)
    }
}

private struct ShardPresenceTimer: NIOScheduledCallbackHandler {
    let presence: ShardPresence

    func handleScheduledCallback(eventLoop: some EventLoop) { self.presence.tick() }
}
