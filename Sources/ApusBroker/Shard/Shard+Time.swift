import ApusCore
import ApusLog
import Logging
import NIOCore

extension Shard {
    // MARK: Ticks of the wheel

    /// The wheel turns only while something is in it.
    func keepTicking() {
        guard !self.isTicking else { return }
        self.isTicking = true
        self.scheduleTick()
    }

    private func scheduleTick() {
        self.schedule(in: Limits.wheelTick, .tick)
    }

    fileprivate func tick() {
        for due in self.wheel.advance(to: self.world.ports.clock.now) {
            switch due {
            case .produce(let operation):
                operation.timer = nil
                operation.timedOut()
            case .fetch(let part):
                part.timer = nil
                self.wake(part, isTimeOver: true)
            case .deletion(let deletion):
                deletion.answer(.failure(.timedOut))
            }
        }
        guard !self.wheel.isEmpty else {
            self.isTicking = false
            return
        }
        self.scheduleTick()
    }

    // MARK: Seconds

    /// Housekeeping once a second, as long as the shard lives.
    func startSeconds() {
        self.schedule(in: .seconds(1), .second)
    }

    fileprivate func second() {
        self.seconds &+= 1
        let mending = self.mending
        self.mending.removeAll()
        for slot in mending where self.slots[slot.id] === slot { self.submit(slot) }
        self.sweepSome()
        self.patrolSome()
        self.freeMoved()
        self.countKeys()
        if self.index == 0 {
            self.lookAtSpace()
            self.world.subscriptions.second()
        }
        guard !self.slots.isEmpty || !self.isClosing else { return }
        self.startSeconds()
    }

    /// Looks at as many slots as it takes to see each once a retention period.
    private func sweepSome() {
        guard !self.sweep.isEmpty else { return }
        let period = max(1, Int(self.world.table().duration(.retentionCheck).components.seconds))
        let wall = self.readRetentionClock()
        for _ in 0..<(self.sweep.count + period - 1) / period {
            guard !self.sweep.isEmpty else { return }
            self.sweepCursor = (self.sweepCursor + 1) % self.sweep.count
            let slot = self.sweep[self.sweepCursor]
            self.look(after: slot, wall: wall)
        }
    }

    func readRetentionClock() -> Timestamp {
        self.retentionClock.read(wall: self.world.ports.clock.wallTime, now: self.world.ports.clock.now)
    }

    func look(after slot: PartitionSlot, wall: Timestamp) {
        switch slot.state {
        case .unopenable: self.closeIfQuiet(slot)
        case .opening, .closing, .failed, .gone: break
        case .open:
            if let topic = self.world.topic(slot.id.topic) { self.refresh(slot, topic) }
            if let dropped = slot.partition?.applyRetention(wall: wall) {
                if dropped.segments > 0 {
                    self.world.ports.logger.info(
                        "retention removed segments",
                        metadata: [
                            "partition": "\(slot.label)", "segments": "\(dropped.segments)",
                            "bytes": "\(dropped.byteCount.rawValue)",
                        ])
                }
                self.markDirty(slot)
                self.freeConsumed(slot)
            }
            self.considerCompaction(of: slot, wall: wall)
            let idle = Int64(self.seconds &- slot.usedAt)
            if idle > Limits.partitionIdleMax.components.seconds { self.closeIfQuiet(slot) }
        }
    }

    /// Keeps the number of open partitions within its limit: the first few of the sweep that nobody used for a moment
    /// are closed. A partition in use now is never closed, so many hot ones may go over the limit.
    func closeUnused() {
        let limit = self.world.settings.partitionsOpenPerShardMax
        guard self.sweep.count > limit else { return }
        for _ in 0..<16 {
            self.closeCursor = (self.closeCursor + 1) % self.sweep.count
            let slot = self.sweep[self.closeCursor]
            // What was used this second is spared while there are not twice as many as should be.
            let isOverfull = self.sweep.count > 2 * limit
            guard case .open = slot.state, slot.usedAt != self.seconds || isOverfull else { continue }
            self.closeIfQuiet(slot)
            if self.sweep.count <= limit { return }
        }
    }

    private func lookAtSpace() {
        let floor = self.world.settings.freeBytesFloor
        let world = self.world
        self.world.ports.disk.run(in: DiskLane(rawValue: 1), on: self.loop) { disk -> ByteCount? in
            // A disk that does not say is taken as having room; the write itself will tell.
            try? disk.freeBytes()
        } then: { free in
            guard let free else { return }
            let isLow = free < floor
            guard isLow != world.space.isLow else { return }
            world.space.isLow = isLow
            if isLow {
                world.ports.logger.error("the disk is nearly full: produce is refused", metadata: ["free": "\(free)"])
            } else {
                world.ports.logger.notice("the disk has room again: produce goes on", metadata: ["free": "\(free)"])
            }
        }
    }

    // MARK: Timers

    func schedule(in delay: Duration, _ kind: ShardTimer.Kind) {
        let timer = ShardTimer(shard: self, kind: kind)
        // An event loop that refuses a timer is shutting down, and the shard's work with it.
        _ = try? self.loop.scheduleCallback(in: .nanoseconds(delay.wholeNanoseconds), handler: timer)
    }
}

/// One scheduled call of a shard.
struct ShardTimer: NIOScheduledCallbackHandler {
    enum Kind {
        case tick
        case second
        /// The log that is compacted may be gone on with.
        case compaction
    }

    let shard: Shard
    let kind: Kind

    func handleScheduledCallback(eventLoop: some EventLoop) {
        switch self.kind {
        case .tick: self.shard.tick()
        case .second: self.shard.second()
        case .compaction: self.shard.goOnCompacting()
        }
    }
}
