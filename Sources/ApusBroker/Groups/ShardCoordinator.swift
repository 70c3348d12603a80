import ApusCore
import ApusGroups
import DequeModule
import NIOCore

/// Runs the coordinator of one partition of `__consumer_offsets`: gives it requests and the time, appends what it
/// writes through the shard's own produce path, and lets its answers go.
///
/// What it writes in one tick, and while a batch is under way, goes into the next batch together: a hundred thousand
/// commits a second are a few thousand batches.
///
/// Unchecked because: owned by its shard, and touched on its loop only.
final class ShardCoordinator: @unchecked Sendable {
    enum Phase {
        case loading
        case live
        /// Waits to be loaded (again).
        case resting(until: Instant)
        case closed
    }

    unowned let groups: ShardGroups
    let partition: PartitionIndex
    let topicID: TopicID
    var phase = Phase.loading
    var coordinator: GroupCoordinator
    /// What is appended next, in order.
    var queue = Deque<GroupWrite>()
    /// The writes of the batch that is under way; empty when none is.
    var writing: [GroupWrite] = []
    var isFlushScheduled = false
    /// When the consumer manager last heard of a group.
    var seenAt: [GroupID: Instant] = [:]
    /// Records that were passed over, and why the last of them.
    var unreadable: (count: Int, last: String) = (0, "")
    /// Set while the partition is read over damage that an operator accepted.
    var salvage: GroupSalvage?
    /// Doubles with each failure in a row.
    var reloadPause = Limits.groupReloadPause.lowerBound

    private var waiting: [RequestToken: (GroupReply) -> Void] = [:]
    private var tokenNext: UInt64 = 1
    /// What all coordinators' sum has of this one, in bytes.
    private var memoryCounted = 0
    /// Heartbeats of KIP-848 that came in this tick.
    private var heartbeats: [(request: ConsumerGroupHeartbeat, token: RequestToken)] = []

    init(groups: ShardGroups, topic: Topic, partition: PartitionIndex) {
        self.groups = groups
        self.partition = partition
        self.topicID = topic.id
        self.coordinator = groups.shard.world.newCoordinator()
    }

    var shard: Shard { self.groups.shard }
    var world: ShardWorld { self.groups.shard.world }
    var topics: GroupTopics { GroupTopics(snapshot: self.world.topics(), access: self.world.access) }
    var now: Moment {
        let clock = self.world.ports.clock
        return Moment(instant: clock.now, wall: clock.wallTime, retention: self.shard.readRetentionClock())
    }

    /// For people and logs.
    var label: String { "\(OffsetsTopic.name)-\(self.partition)" }

    // MARK: What is asked

    /// Runs a verb of the coordinator; `then` gets the answer to its token, once.
    func ask(
        then: @escaping (GroupReply) -> Void,
        _ verb: (inout GroupCoordinator, RequestToken, Moment, inout GroupActions) -> Void
    ) {
        let token = self.token(then)
        self.act { coordinator, now, actions in verb(&coordinator, token, now, &actions) }
    }

    /// Something happens to the coordinator; what it wants done is done.
    func act(_ event: (inout GroupCoordinator, Moment, inout GroupActions) -> Void) {
        self.shard.loop.assertInEventLoop()
        var actions = GroupActions()
        self.coordinator.room = self.world.groupMemory.room
        event(&self.coordinator, self.now, &actions)
        self.countMemory()
        self.carryOut(actions)
    }

    private func countMemory() {
        let held = self.coordinator.bytesHeld.rawValue
        guard held != self.memoryCounted else { return }
        self.world.groupMemory.add(held - self.memoryCounted)
        self.memoryCounted = held
    }

    /// A heartbeat of KIP-848. All that come in one tick are heard together, at its end.
    func heartbeat(_ request: ConsumerGroupHeartbeat, then: @escaping (GroupReply) -> Void) {
        self.heartbeats.append((request, self.token(then)))
        guard self.heartbeats.count == 1 else { return }
        self.shard.loop.execute { self.hear() }
    }

    private func hear() {
        let heartbeats = self.heartbeats
        self.heartbeats.removeAll(keepingCapacity: heartbeats.count < 1024)
        let topics = self.topics
        self.act { $0.heartbeats(heartbeats, topics: topics, at: $1, into: &$2) }
    }

    private func token(_ then: @escaping (GroupReply) -> Void) -> RequestToken {
        let token = RequestToken(rawValue: self.tokenNext)
        self.tokenNext += 1
        self.waiting[token] = then
        return token
    }

    // MARK: What is done

    private func carryOut(_ actions: GroupActions) {
        // First the writes, then the answers: an answer may bring the next request at once, and its writes come later.
        self.queue.append(contentsOf: actions.writes)
        self.flushSoon()
        for work in actions.patternWork { self.resolve(work) }
        for (token, reply) in actions.replies { self.waiting.removeValue(forKey: token)?(reply) }
        if actions.isLost { self.startOver() }
        if let deadline = self.coordinator.deadline { self.groups.wake(at: deadline) }
    }

    /// Holds a pattern against all topics, off the loop.
    private func resolve(_ work: PatternWork) {
        let topics = self.topics
        self.world.ports.disk.run(in: self.shard.newLane(givesWay: true), on: self.shard.loop) { _ in
            work.run(over: topics)
        } then: { outcome in
            let topics = self.topics
            self.act { $0.resolved(outcome, topics: topics, at: $1, into: &$2) }
        }
    }

    // MARK: Time

    /// When ``tick()`` has something to do.
    var deadline: Instant? {
        switch self.phase {
        case .loading, .closed: nil
        case .live: self.coordinator.deadline
        case .resting(let until): until
        }
    }

    func tick() {
        switch self.phase {
        case .loading, .closed: break
        case .live:
            guard let deadline = self.coordinator.deadline, deadline <= self.world.ports.clock.now else { return }
            let topics = self.topics
            self.act { $0.tick(topics: topics, at: $1, into: &$2) }
        case .resting(let until):
            if until <= self.world.ports.clock.now { self.load() }
        }
    }

    // MARK: Topics

    func topicsChanged(_ names: [String]?) { self.coordinator.topicsChanged(names) }

    func topicDeleted(_ name: String, _ id: TopicID) {
        guard case .live = self.phase else { return }
        self.act { coordinator, _, actions in coordinator.topicDeleted(name, id, into: &actions) }
    }

    // MARK: Ending

    /// The memory is ahead of the partition: who waits is sent away, and the groups are read again.
    private func startOver() {
        var actions = GroupActions()
        self.coordinator.resign(into: &actions)
        self.countMemory()
        self.queue.removeAll()
        self.rest()
        for (token, reply) in actions.replies { self.waiting.removeValue(forKey: token)?(reply) }
    }

    /// Waits to be loaded again, longer each time.
    func rest() {
        let until = self.world.ports.clock.now.advanced(by: self.reloadPause)
        self.reloadPause = min(self.reloadPause * 2, Limits.groupReloadPause.upperBound)
        self.phase = .resting(until: until)
        self.groups.wake(at: until)
    }

    func close() {
        var actions = GroupActions()
        self.coordinator.dismiss(into: &actions)
        self.phase = .closed
        for (token, reply) in actions.replies { self.waiting.removeValue(forKey: token)?(reply) }
    }
}
