import ApusCore
import ApusLog

extension Shard {
    /// Lets go of a deleted topic: who waits for it hears that it is gone, and `then` is told when nothing of it is
    /// with the disk any more.
    func drop(_ topic: TopicID, partitionCount: Int32, then: @escaping @Sendable () -> Void) {
        // Its own count: what is left to rest, and one for this walk.
        let rest = Rest(then)
        for index in 0..<partitionCount {
            let id = TopicPartition(topic: topic, partition: PartitionIndex(rawValue: index))
            // Its files go. A topic that is made anew with the same id begins at zero.
            if self.ends[id] != nil || self.world.settings.ends[id] != nil { self.ends[id] = .zero }
            self.readers.drop(id)
            guard let slot = self.slots[id] else { continue }
            let isWithDisk: Bool
            switch slot.state {
            case .opening, .closing: isWithDisk = true
            case .open: isWithDisk = slot.isInFlight || slot.isCompacting
            case .unopenable, .failed, .gone: isWithDisk = false
            }
            slot.state = .gone
            self.wakeAll(slot)
            self.refuseAcks(slot, above: Offset(rawValue: -1), .unknownTopicOrPartition)
            for deletion in slot.partition?.dropDeletions() ?? [] {
                deletion.answer(.failure(.unknownTopicOrPartition))
            }
            slot.partition = nil
            self.remove(slot, reopening: nil)
            if isWithDisk {
                rest.wait()
                slot.whenAtRest = { rest.done() }
            }
            self.hurryCompaction(of: slot)
        }
        rest.done()
        self.tellIfClosed()
    }

    /// Refuses new work, lets what is under way end, closes every log; then tells whether all closed cleanly.
    func close(then: @escaping (Bool) -> Void) {
        self.whenClosed = then
        self.groups.close()
        self.presence.close()
        self.beginClosing()
        if let slot = self.compaction?.slot { self.hurryCompaction(of: slot) }
        let mending = self.mending
        self.mending.removeAll()
        for slot in self.sweep {
            self.wakeAll(slot, isTimeOver: true)
            self.closeIfQuiet(slot)
        }
        // They wait for a full disk. Recovery will do at the next start what they could not.
        for slot in mending where self.slots[slot.id] === slot { self.closed(slot, isClean: false) }
        self.tellIfClosed()
    }

    // MARK: Ends

    /// Where the log ended when it was last closed cleanly. It never ends below, unless records were lost.
    func notedEnd(of id: TopicPartition, _ topic: Topic) -> NotedEnd {
        if let end = self.ends[id] { return NotedEnd(end, in: self.world.settings.incarnation) }
        guard let noted = self.world.settings.ends[id], topic.wasThere(in: noted.life) else { return .none }
        return noted
    }

    /// The log was closed cleanly, or is as damaged as it was found.
    func noteEnd(of slot: PartitionSlot) {
        guard let log = slot.partition?.log else { return }
        let noted = self.notedEnd(of: slot.id, slot.topic)
        var end = log.endOffset
        switch log.failure {
        case nil, .closed, .disk: break
        // It has a file of its own that says so; that may be gone with what is put back.
        case .endLost(let damage, _), .endUnknown(let damage, _):
            end = max(end, noted.end, damage.offsets.upperBound)
        }
        if !self.world.settings.wasCleanShutdown || noted.end != end { self.ends[slot.id] = end }
    }

    /// The log was found damaged at its end, and nothing was written to it since; it has a file of its own that says
    /// so. One bad log must not keep all the others from being vouched for.
    func isUntouched(_ failure: LogFailure) -> Bool {
        switch failure {
        case .endUnknown, .endLost: true
        case .disk, .closed: false
        }
    }

    /// Counts what is still with the disk; its shard's loop only.
    private final class Rest {
        private var count = 1
        private let then: () -> Void

        init(_ then: @escaping () -> Void) {
            self.then = then
        }

        func wait() { self.count += 1 }

        func done() {
            self.count -= 1
            if self.count == 0 { self.then() }
        }
    }
}
