import ApusCore
import ApusLog
import ApusSubscriptions
import Logging

/// What subscriptions mean for the partitions of a shard: how long records stay, and who may read how far back.
extension Shard {
    /// Derives what follows from the topic and from the subscriptions as they are now.
    func derive(_ slot: PartitionSlot) {
        let view = self.world.subscriptions.view
        let (name, policy) = (slot.topic.name, slot.topic.configuration.retentionPolicy)
        slot.generation = view.generation
        slot.windowsOfReaders.removeAll(keepingCapacity: true)
        slot.usesNotedUntil.removeAll(keepingCapacity: true)
        slot.retention = view.retention(of: name, policy)
        slot.isWindowed = view.isWindowed(name)
    }

    /// How far back somebody may read here; nil: all that is there.
    private func period(of reader: WindowReader, _ slot: PartitionSlot) -> Duration? {
        if let known = slot.windowsOfReaders[reader] { return known.period }
        let index = self.world.subscriptions.view.index
        let (name, policy) = (slot.topic.name, slot.topic.configuration.retentionPolicy)
        let window: ReadWindow? =
            switch reader {
            case .principal(let owner): index.window(of: owner, topic: name, policy)
            case .subscription(let subscription): index.window(of: subscription, topic: name, policy)
            case .broker: nil
            }
        if slot.windowsOfReaders.count >= Limits.windowReadersPerPartitionMax { slot.windowsOfReaders.removeAll() }
        slot.windowsOfReaders[reader] = window ?? .unrestricted
        return window?.period
    }

    /// Goes on with where the reader's window begins, or with why that can not be told; at once when it is known. Who
    /// can not be told reads nothing: all that is there would be more than its window.
    func withWindow(of reader: WindowReader, _ slot: PartitionSlot, _ body: @escaping PartitionSlot.WindowWaiter) {
        guard slot.isWindowed, let period = self.period(of: reader, slot), let partition = slot.partition else {
            return body(.success(.zero))
        }
        let cutoff = self.readRetentionClock().earlier(by: period)
        switch slot.windows.answer(
            for: period, cutoff: cutoff, end: partition.highWatermark, second: self.seconds)
        {
        case .known(let start): body(.success(start))
        case .old(let start):
            self.findStart(of: period, slot) { _ in }
            body(.success(start))
        case .unknown: self.findStart(of: period, slot, then: body)
        }
    }

    /// Reading is a use of the principal's subscriptions on the topic, also where nobody names one: any of them may be
    /// the one. Told once a minute of each partition and principal, and when subscriptions have changed.
    func noteUse(by reader: WindowReader, _ slot: PartitionSlot) {
        guard case .principal(let owner) = reader else { return }
        if let next = slot.usesNotedUntil[owner], Int32(bitPattern: self.seconds &- next) < 0 { return }
        if slot.usesNotedUntil.count >= Limits.windowReadersPerPartitionMax { slot.usesNotedUntil.removeAll() }
        slot.usesNotedUntil[owner] = self.seconds &+ self.world.subscriptions.used(by: owner, of: slot.topic.name)
    }

    // MARK: Asking the time index

    /// How often a search goes on behind what can not be read; then who asked is refused.
    private static let windowSearchesMax = 16

    /// A search for where a window begins, with what it met on its way.
    private struct WindowSearch {
        let period: Duration
        /// What is below is not looked at any more.
        var from = Offset.zero
        /// The first offset whose time can not be told.
        var damagedFrom: Offset?
        /// The segment that was not there.
        var gone: Offset?
        var attempts = 0
    }

    /// Asks the time index where the last `period` begins. Who asks meanwhile waits for the same answer.
    func findStart(of period: Duration, _ slot: PartitionSlot, then: @escaping PartitionSlot.WindowWaiter) {
        if slot.windowWaiters[period] != nil {
            slot.windowWaiters[period]?.append(then)
            return
        }
        slot.windowWaiters[period] = [then]
        self.look(for: WindowSearch(period: period), slot)
    }

    private func look(for search: WindowSearch, _ slot: PartitionSlot) {
        guard let partition = slot.partition else {
            return self.answer(.failure(.unknownTopicOrPartition), search.period, slot)
        }
        let cutoff = self.readRetentionClock().earlier(by: search.period)
        let end = partition.highWatermark
        guard let lookup = partition.log.lookup(windowFrom: cutoff, below: end) else {
            // No batch says that it is younger.
            return self.found(nil, end, search, slot)
        }
        let box = SlotBox(slot)
        self.world.ports.disk.run(in: slot.readLane, on: self.loop) { disk -> Result<LogLookup.Answer?, LogError> in
            do throws(LogError) { return .success(try lookup.from(search.from).run(on: disk)) } catch {
                return .failure(error)
            }
        } then: { outcome in
            switch outcome {
            case .success(let answer): self.found(answer, end, search, box.slot)
            case .failure(let error): self.goOn(search, behind: error, box.slot)
            }
        }
    }

    private func found(_ answer: LogLookup.Answer?, _ end: Offset, _ search: WindowSearch, _ slot: PartitionSlot) {
        let finding = PartitionWindows.Finding(
            start: answer?.offset ?? end, timestamp: answer?.timestamp, damagedFrom: search.damagedFrom)
        let start = slot.windows.found(finding, for: search.period, second: self.seconds)
        self.answer(.success(start), search.period, slot)
    }

    private func answer(_ result: Result<Offset, BrokerError>, _ period: Duration, _ slot: PartitionSlot) {
        for waiter in slot.windowWaiters.removeValue(forKey: period) ?? [] { waiter(result) }
    }

    /// What can not be read may be older than the window: it goes on behind it.
    private func goOn(_ search: WindowSearch, behind error: LogError, _ slot: PartitionSlot) {
        var search = search
        search.attempts += 1
        var unreadable: Range<Offset>?
        switch error {
        case .gone(let base) where search.gone == base:
            // Not faster retention, then: the file is lost.
            unreadable = slot.partition?.log.segments.first { $0.offsets.contains(base) }?.offsets
        case .gone(let base):
            search.gone = base
            unreadable = search.from..<search.from
        case .damaged(let damage) where damage.offsets.lowerBound < slot.partition?.log.startOffset ?? .zero:
            // A hole that came meanwhile.
            unreadable = search.from..<max(search.from, damage.offsets.upperBound)
        case .damaged(let damage):
            self.world.ports.logger.error(
                "damaged records", metadata: ["partition": "\(slot.label)", "damage": "\(damage)"])
            unreadable = damage.offsets
        case .disk, .failed, .outOfRange: break
        }
        guard let unreadable, search.attempts < Self.windowSearchesMax else {
            self.world.ports.logger.error(
                "where a window begins can not be told, and nothing is read in it",
                metadata: ["partition": "\(slot.label)", "reason": "\(error)"])
            return self.answer(.failure(.storage("\(slot.id): \(error)")), search.period, slot)
        }
        if unreadable.upperBound > search.from {
            search.damagedFrom = min(search.damagedFrom ?? unreadable.lowerBound, unreadable.lowerBound)
            search.from = unreadable.upperBound
        }
        self.look(for: search, slot)
    }
}

extension ReadWindow {
    /// Nil: all that is there.
    var period: Duration? {
        switch self {
        case .unrestricted: nil
        case .last(let period): period
        }
    }
}
