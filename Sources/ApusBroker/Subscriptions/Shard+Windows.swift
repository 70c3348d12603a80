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
        slot.retention = view.retention(of: name, policy)
        // Only who states a period is restricted, or makes bytes remain that others may not read.
        slot.isWindowed = view.knowledge == .read && view.index.widest(of: name).stated != nil
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

    /// Goes on with where the reader's window begins; at once when that is known.
    func withWindow(of reader: WindowReader, _ slot: PartitionSlot, _ body: @escaping (Offset) -> Void) {
        guard slot.isWindowed, let period = self.period(of: reader, slot), let partition = slot.partition else {
            return body(.zero)
        }
        let cutoff = self.readRetentionClock().earlier(by: period)
        switch slot.windows.answer(
            for: period, cutoff: cutoff, end: partition.highWatermark, second: self.seconds)
        {
        case .known(let start): body(start)
        case .old(let start):
            self.findStart(of: period, slot) { _ in }
            body(start)
        case .unknown: self.findStart(of: period, slot, then: body)
        }
    }

    /// Asks the time index where the last `period` begins. Who asks meanwhile waits for the same answer.
    func findStart(of period: Duration, _ slot: PartitionSlot, then: @escaping (Offset) -> Void) {
        if slot.windowWaiters[period] != nil {
            slot.windowWaiters[period]?.append(then)
            return
        }
        guard let partition = slot.partition else { return then(.zero) }
        let cutoff = self.readRetentionClock().earlier(by: period)
        let end = partition.highWatermark
        guard let lookup = partition.log.lookup(windowFrom: cutoff, below: end) else {
            // No batch says that it is younger.
            return then(slot.windows.found(.init(start: end), for: period, second: self.seconds))
        }
        slot.windowWaiters[period] = [then]
        let box = SlotBox(slot)
        self.world.ports.disk.run(in: slot.readLane, on: self.loop) { disk -> Result<LogLookup.Answer?, LogError> in
            do throws(LogError) { return .success(try lookup.run(on: disk)) } catch { return .failure(error) }
        } then: { outcome in
            self.foundStart(of: period, box.slot, end, outcome)
        }
    }

    private func foundStart(
        of period: Duration, _ slot: PartitionSlot, _ end: Offset, _ outcome: Result<LogLookup.Answer?, LogError>
    ) {
        var finding = PartitionWindows.Finding(start: end)
        switch outcome {
        case .success(let answer?): finding = .init(start: answer.offset, timestamp: answer.timestamp)
        case .success(nil): break
        case .failure(let error):
            // Whoever reads the damaged place is told of it there. What is before it is not known to be too old.
            finding = .init(start: slot.windows.last(period) ?? .zero)
            if case .damaged(let damage) = error {
                self.world.ports.logger.error(
                    "damaged records", metadata: ["partition": "\(slot.label)", "damage": "\(damage)"])
            }
        }
        let start = slot.windows.found(finding, for: period, second: self.seconds)
        for waiter in slot.windowWaiters.removeValue(forKey: period) ?? [] { waiter(start) }
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
