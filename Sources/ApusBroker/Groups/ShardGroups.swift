import ApusCore
import ApusGroups
import NIOCore

/// The coordinators of one shard: those of the partitions of `__consumer_offsets` that it owns. Makes each when it is
/// first needed, loads the others one after the other in the background, and looks at their deadlines.
///
/// Unchecked because: owned by its shard, and touched on its loop only.
final class ShardGroups: @unchecked Sendable {
    unowned let shard: Shard
    private(set) var coordinators: [PartitionIndex: ShardCoordinator] = [:]
    private(set) var isClosed = false
    /// Partitions that nobody asked for yet, and that are loaded all the same.
    private var background: [PartitionIndex] = []
    private var backgroundTopic: Topic?
    private var timer: NIOScheduledCallback?
    private var timerAt: Instant?

    init(shard: Shard) {
        self.shard = shard
    }

    /// The coordinator of a partition; one that is new begins to load.
    func coordinator(of topic: Topic, _ partition: PartitionIndex) -> ShardCoordinator {
        self.shard.loop.assertInEventLoop()
        if let known = self.coordinators[partition] { return known }
        let new = ShardCoordinator(groups: self, topic: topic, partition: partition)
        self.coordinators[partition] = new
        new.load()
        return new
    }

    // MARK: In the background

    /// Loads all coordinators of this shard: sessions end and positions expire although nobody asks, and whoever lists
    /// groups finds all of them.
    func loadAll(of topic: Topic) {
        self.backgroundTopic = topic
        self.background = topic.partitions.map(\.index).filter { partition in
            self.shard.world.shardIndex(of: TopicPartition(topic: topic.id, partition: partition)) == self.shard.index
        }
        self.loadNext()
    }

    /// A coordinator is loaded, or could not be.
    func loadNext() {
        guard !self.isClosed, let topic = self.backgroundTopic else { return }
        while let next = self.background.popLast() {
            guard self.coordinators[next] == nil else { continue }
            _ = self.coordinator(of: topic, next)
            return
        }
    }

    // MARK: Topics

    func topicsChanged(_ names: [String]?) {
        for coordinator in self.coordinators.values { coordinator.topicsChanged(names) }
    }

    func topicDeleted(_ name: String, _ id: TopicID) {
        for coordinator in self.coordinators.values { coordinator.topicDeleted(name, id) }
    }

    // MARK: Deadlines

    /// A coordinator wants to be looked at then, or soon after.
    func wake(at deadline: Instant) {
        guard !self.isClosed else { return }
        let now = self.shard.world.ports.clock.now
        let at = max(deadline, now.advanced(by: Limits.groupDeadlineGrain))
        if let timerAt = self.timerAt, timerAt <= at { return }
        self.timer?.cancel()
        self.timerAt = at
        // An event loop that refuses a timer is shutting down, and the shard's work with it.
        self.timer = try? self.shard.loop.scheduleCallback(
            in: .nanoseconds(at.since(now).wholeNanoseconds), handler: ShardGroupsTimer(groups: self)
        )
    }

    fileprivate func tick() {
        self.timer = nil
        self.timerAt = nil
        guard !self.isClosed else { return }
        for coordinator in Array(self.coordinators.values) { coordinator.tick() }
        if let next = self.coordinators.values.compactMap(\.deadline).min() { self.wake(at: next) }
    }

    // MARK: Ending

    /// Takes no more requests, and sends those away who wait for other members. What is being written goes on, and is
    /// answered. Groups go on with the next life of the broker.
    func close() {
        guard !self.isClosed else { return }
        self.isClosed = true
        self.timer?.cancel()
        self.timer = nil
        for coordinator in Array(self.coordinators.values) { coordinator.close() }
    }
}

private struct ShardGroupsTimer: NIOScheduledCallbackHandler {
    let groups: ShardGroups

    func handleScheduledCallback(eventLoop: some EventLoop) { self.groups.tick() }
}
