import ApusCore
import ApusGroups
import ApusLog
import ApusReplication
import DequeModule
import Logging
import NIOCore

/// The partitions of one event loop, and all that is done for them: opening, appending, disk jobs, parked requests,
/// the tail cache, retention, closing.
///
/// One partition belongs to one shard for the life of the process, so nothing here is locked and requests of one
/// partition keep their order. What ``Partition`` decides, this does.
///
/// Unchecked because: all state is touched on `loop` only; other threads come in through ``mailbox``.
final class Shard: @unchecked Sendable {
    let index: Int
    let mailbox: ShardMailbox
    let world: ShardWorld
    var slots: [TopicPartition: PartitionSlot] = [:]
    /// The slots in the order of the sweep; a slot knows its index.
    var sweep: [PartitionSlot] = []
    var sweepCursor = 0
    var closeCursor = 0
    /// Slots whose log may have a job; emptied once at the end of each tick.
    var dirty: [PartitionSlot] = []
    var isFlushScheduled = false
    /// Jobs of many logs that are with the disk together, in a lane of their own.
    var isGroupInFlight = false
    let groupLane: DiskLane
    /// Logs that wait for their first files, and the groups of such that are with the disk.
    var births = Deque<ShardBirth>()
    var birthGroupsInFlight = 0
    var mending: [PartitionSlot] = []
    var tail: TailCache
    var wheel: TimerWheel<ShardDeadline>
    var isTicking = false
    /// Since the shard began, counted by its own timer.
    var seconds: UInt32 = 0
    var retentionClock: RetentionClock
    var readers = ShardReaders()
    var keys = ShardKeys()
    private(set) var isClosing = false
    /// Tells that the last slot is closed, and whether all of them closed cleanly.
    var whenClosed: ((Bool) -> Void)?
    /// All that was closed so far was closed cleanly.
    var isClean = true
    /// A life that began after a crash and did not look at every log can not vouch for those it did not open.
    var vouchesForAll: Bool
    /// Where logs ended that were closed cleanly in this life. After a clean start only those that ended elsewhere
    /// before; zero for those that are gone.
    var ends: [TopicPartition: Offset] = [:]
    /// Where the patrol over all topics is; nil between two of them.
    var patrol: ShardPatrol?
    /// When the last one began.
    var patrolAt: UInt32?
    /// The coordinators of groups whose partitions are here.
    private(set) lazy var groups = ShardGroups(shard: self)
    /// The coordinator of presence, if its partition is here.
    private(set) lazy var presence = ShardPresence(shard: self)
    /// The one log that is compacted now, and those that should be.
    var compaction: ShardCompaction?
    var compactionWaiting: [TopicPartition: CompactionNeed] = [:]
    let compactionLane: DiskLane
    private var lanesUsed: UInt64 = 0

    init(index: Int, loop: any EventLoop, world: ShardWorld, tailCache: ByteCount) {
        self.index = index
        self.groupLane = DiskLane(rawValue: UInt64(index + 1) << 48)
        // Behind every lane that could ever be given out.
        self.compactionLane = DiskLane(rawValue: UInt64(index + 2) << 48 - 1, givesWay: true)
        self.mailbox = ShardMailbox(loop: loop)
        self.world = world
        self.tail = TailCache(limit: tailCache)
        self.vouchesForAll = world.settings.wasCleanShutdown
        let now = world.ports.clock.now
        self.wheel = TimerWheel(tick: Limits.wheelTick, now: now)
        self.retentionClock = RetentionClock(wall: world.ports.clock.wallTime, now: now)
    }

    var loop: any EventLoop { self.mailbox.loop }

    // MARK: Slots

    /// Goes on with the open partition: at once when it is open, else when the disk has it. In order of the calls.
    func withSlot(of topic: Topic, _ partition: PartitionIndex, _ body: @escaping PartitionSlot.Waiter) {
        self.loop.assertInEventLoop()
        let id = TopicPartition(topic: topic.id, partition: partition)
        if let slot = self.openSlot(id, topic) { return body(.success(slot)) }
        guard !self.isClosing else { return body(.failure(.shuttingDown)) }
        if let slot = self.slots[id] {
            switch slot.state {
            case .unopenable(let error), .failed(let error): return body(.failure(error))
            case .gone: return body(.failure(.unknownTopicOrPartition))
            case .open, .opening, .closing:
                guard slot.waiters.count < Limits.openWaitersPerPartitionMax else {
                    return body(.failure(.overloaded("too many requests wait for \(id) to be opened")))
                }
                return slot.waiters.append(body)
            }
        }
        self.begin(id, topic, waiters: [body])
    }

    /// The slot if it is open and needs nothing first: the hot path.
    func openSlot(_ id: TopicPartition, _ topic: Topic) -> PartitionSlot? {
        guard let slot = self.slots[id], case .open = slot.state, !slot.isProceeding else { return nil }
        slot.usedAt = self.seconds
        if slot.topic !== topic || slot.generation != self.world.subscriptions.generation {
            self.refresh(slot, topic)
        }
        return slot
    }

    /// Makes a changed configuration and changed subscriptions hold. Nothing when the slot has seen these, or newer.
    func refresh(_ slot: PartitionSlot, _ topic: Topic) {
        let isNewer = slot.topic !== topic && slot.topic.revision <= topic.revision
        guard isNewer || slot.generation != self.world.subscriptions.generation else { return }
        if isNewer { slot.topic = topic }
        self.derive(slot)
        guard let action = slot.partition?.configured(slot.topic, retention: slot.retention) else { return }
        if case .raiseHighWatermark = action { self.highWatermarkMoved(slot) }
    }

    private func begin(_ id: TopicPartition, _ topic: Topic, waiters: Deque<PartitionSlot.Waiter>) {
        let slot = PartitionSlot(id: id, topic: topic, lane: self.newLane(), readLane: self.newLane(givesWay: true))
        slot.waiters = waiters
        slot.usedAt = self.seconds
        slot.sweepIndex = self.sweep.count
        self.sweep.append(slot)
        self.slots[id] = slot
        let configuration = LogConfiguration(topic.configuration)
        let wall = self.world.ports.clock.wallTime
        let seed = self.world.ports.randomness.next()
        let wasClosed = self.world.settings.wasCleanShutdown || self.ends[id] != nil
        let noted = self.notedEnd(of: id, topic)
        let box = SlotBox(slot)
        self.world.ports.disk.run(in: slot.lane, on: self.loop) { disk -> Result<OpenedLog, LogError> in
            Shard.open(
                id, configuration, on: disk, wasClosed: wasClosed, noted: noted, seed: seed, wall: wall)
        } then: { opened in
            self.opened(box.slot, opened)
        }
        self.closeUnused()
    }

    private static func open(
        _ id: TopicPartition, _ configuration: LogConfiguration, on disk: any Disk, wasClosed: Bool, noted: NotedEnd,
        seed: UInt64, wall: Timestamp
    ) -> Result<OpenedLog, LogError> {
        do throws(LogError) {
            return .success(
                try Log.open(
                    identity: LogIdentity(id), configuration: configuration, on: disk, cleanShutdown: wasClosed,
                    noted: noted, wall: wall, seed: seed
                )
            )
        } catch {
            return .failure(error)
        }
    }

    private func opened(_ slot: PartitionSlot, _ opened: Result<OpenedLog, LogError>) {
        if case .gone = slot.state { return self.atRest(slot) }
        switch opened {
        case .success(let opened):
            self.report(opened, of: slot)
            // The topic may have been changed while the disk was busy.
            slot.topic = self.world.topic(slot.id.topic) ?? slot.topic
            slot.partition = Partition(id: slot.id, topic: slot.topic, log: opened.log)
            slot.state = .open
            if opened.log.producers.keyedCount > 0 { self.keys.opened() }
            self.proceed(slot, .success(slot))
            self.markDirty(slot)
        case .failure(let error):
            self.world.ports.logger.error(
                "partition can not be opened", metadata: ["partition": "\(slot.label)", "reason": "\(error)"])
            let error = BrokerError.storage("\(slot.id): \(error)")
            slot.state = .unopenable(error)
            self.proceed(slot, .failure(error))
        }
        if self.isClosing { self.closeIfQuiet(slot) }
    }

    /// Lets those who waited for the slot go on.
    func proceed(_ slot: PartitionSlot, _ result: Result<PartitionSlot, BrokerError>) {
        // An answer may bring the next request of the same connection at once; it must not overtake the ones here.
        slot.isProceeding = true
        while let waiter = slot.waiters.popFirst() { waiter(result) }
        slot.isProceeding = false
    }

    /// Takes the slot out of the shard. Who waits for it gets a new one.
    func remove(_ slot: PartitionSlot, reopening topic: Topic?) {
        self.tail.removeAll(of: slot.tail)
        self.compactionWaiting[slot.id] = nil
        let last = self.sweep.removeLast()
        if last !== slot {
            self.sweep[slot.sweepIndex] = last
            last.sweepIndex = slot.sweepIndex
        }
        self.slots[slot.id] = nil
        let waiters = slot.waiters
        slot.waiters = []
        guard !waiters.isEmpty else { return }
        if let topic, !self.isClosing {
            self.begin(slot.id, topic, waiters: waiters)
        } else {
            for waiter in waiters { waiter(.failure(self.isClosing ? .shuttingDown : .unknownTopicOrPartition)) }
        }
    }

    func beginClosing() {
        self.isClosing = true
    }

    func newLane(givesWay: Bool = false) -> DiskLane {
        self.lanesUsed += 1
        return DiskLane(rawValue: UInt64(self.index + 1) << 48 | self.lanesUsed, givesWay: givesWay)
    }

    private func report(_ opened: OpenedLog, of slot: PartitionSlot) {
        let logger = self.world.ports.logger
        let report = opened.report
        if let failure = opened.log.failure {
            logger.critical(
                "partition takes no writes: its end is damaged",
                metadata: ["partition": "\(slot.label)", "reason": "\(failure)"])
        }
        for damage in report.damage {
            logger.error("damaged records", metadata: ["partition": "\(slot.label)", "damage": "\(damage)"])
        }
        if report.acceptedLoss {
            logger.warning(
                "a loss was accepted: the log goes on where its records end",
                metadata: ["partition": "\(slot.label)", "at": "\(opened.log.endOffset)"])
            self.world.access.audit.noteAtMachine(
                .acceptLoss, "\(slot.label): ends at \(opened.log.endOffset) from now on")
        }
        if let cut = report.cut {
            logger.notice(
                "the torn end of the last write was cut off",
                metadata: ["partition": "\(slot.label)", "at": "\(cut)", "bytes": "\(report.cutBytes.rawValue)"])
        }
        for file in report.unknownFiles {
            logger.warning("not one of our files, left alone", metadata: ["file": "\(file)"])
        }
    }
}

/// What all shards share.
final class ShardWorld: Sendable {
    let ports: BrokerPorts
    let settings: BrokerSettings
    let space = ShardSpace()
    let subscriptions: BrokerSubscriptions
    let access: BrokerAccess
    let shardCount: Int
    /// All topics as they are published now.
    let topics: @Sendable () -> TopicSnapshot
    /// The configuration of brokers and topics as it is now.
    let table: @Sendable () -> ConfigurationTable
    let groupMemory = BrokerGroupMemory()

    init(
        ports: BrokerPorts, settings: BrokerSettings, subscriptions: BrokerSubscriptions, access: BrokerAccess,
        shardCount: Int, topics: @escaping @Sendable () -> TopicSnapshot,
        table: @escaping @Sendable () -> ConfigurationTable
    ) {
        self.ports = ports
        self.settings = settings
        self.subscriptions = subscriptions
        self.access = access
        self.shardCount = shardCount
        self.topics = topics
        self.table = table
    }

    /// For one partition of `__consumer_offsets`, before its records are read.
    func newCoordinator() -> GroupCoordinator {
        let table = self.table()
        return GroupCoordinator(
            settings: GroupSettings(table), consumerSettings: ConsumerGroupSettings(table)
        )
    }

    func topic(_ id: TopicID) -> Topic? { self.topics().topic(id: id) }

    /// The shard that owns a partition: the partitions of one topic go around all of them.
    func shardIndex(of id: TopicPartition) -> Int {
        let start = (id.topic.low ^ id.topic.high) &+ UInt64(truncatingIfNeeded: id.partition.rawValue)
        return Int(start % UInt64(self.shardCount))
    }
}

/// Carries a slot through the disk queue's closures, which may be made on one thread and dropped on another.
///
/// Unchecked because only the shard's loop opens it.
struct SlotBox: @unchecked Sendable {
    let slot: PartitionSlot

    init(_ slot: PartitionSlot) {
        self.slot = slot
    }
}
