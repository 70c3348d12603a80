import ApusCore

extension Shard {
    /// Lets go of a deleted topic: who waits for it hears that it is gone, and `then` is told when nothing of it is
    /// with the disk any more.
    func drop(_ topic: TopicID, partitionCount: Int32, then: @escaping @Sendable () -> Void) {
        // Its own count: what is left to rest, and one for this walk.
        let rest = Rest(then)
        for index in 0..<partitionCount {
            let id = TopicPartition(topic: topic, partition: PartitionIndex(rawValue: index))
            guard let slot = self.slots[id] else { continue }
            let isWithDisk: Bool
            switch slot.state {
            case .opening, .closing: isWithDisk = true
            case .open: isWithDisk = slot.isInFlight
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
        }
        rest.done()
        self.tellIfClosed()
    }

    /// Refuses new work, lets what is under way end, closes every log; then tells whether all closed cleanly.
    func close(then: @escaping (Bool) -> Void) {
        self.whenClosed = then
        self.beginClosing()
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
