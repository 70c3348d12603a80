import ApusCore

/// Deadlines of one shard: parked fetches and produces that wait for the disk. Inserting and cancelling are O(1), which
/// an event loop's own timers are not, and one callback for each tick serves all of them.
///
/// A ring of slots, each a doubly linked list through a slab. A deadline beyond one turn of the ring stays in its slot
/// and is looked at once a turn. Deadlines fire up to one tick late and never early. Pure; owner: ``Shard``.
struct TimerWheel<Payload> {
    /// Names one timer; a used one never names another.
    struct Timer: Hashable, Sendable {
        fileprivate var index: Int32
        fileprivate var generation: UInt32
    }

    private struct Entry {
        var payload: Payload?
        var dueTick: UInt64 = 0
        var generation: UInt32 = 0
        var previous: Int32 = -1
        var next: Int32 = -1
    }

    private let tickNanoseconds: UInt64
    /// The first entry of each slot; -1 when there is none.
    private var slots: [Int32]
    private var entries: [Entry] = []
    private var free: [Int32] = []
    /// All ticks before this one were fired.
    private var tick: UInt64
    private(set) var count = 0

    /// - Parameter slots: a power of two; one turn is this many ticks.
    init(tick: Duration, slots: Int = 512, now: Instant) {
        precondition(slots > 0 && slots & (slots - 1) == 0, "a power of two")
        precondition(tick.wholeNanoseconds > 0)
        self.tickNanoseconds = UInt64(tick.wholeNanoseconds)
        self.slots = [Int32](repeating: -1, count: slots)
        self.tick = now.nanoseconds / self.tickNanoseconds
    }

    var isEmpty: Bool { self.count == 0 }

    mutating func insert(_ payload: Payload, at deadline: Instant) -> Timer {
        // Rounded up, so that it never fires early.
        let due = deadline.nanoseconds / self.tickNanoseconds + 1
        let index: Int32
        if let reused = self.free.popLast() {
            index = reused
        } else {
            index = Int32(self.entries.count)
            self.entries.append(Entry())
        }
        let dueTick = max(due, self.tick)
        let slot = self.slot(of: dueTick)
        let head = self.slots[slot]
        self.entries[Int(index)].payload = payload
        self.entries[Int(index)].dueTick = dueTick
        self.entries[Int(index)].previous = -1
        self.entries[Int(index)].next = head
        if head >= 0 { self.entries[Int(head)].previous = index }
        self.slots[slot] = index
        self.count += 1
        return Timer(index: index, generation: self.entries[Int(index)].generation)
    }

    /// Nothing when it has fired or was cancelled.
    @discardableResult
    mutating func cancel(_ timer: Timer) -> Payload? {
        guard self.entries[Int(timer.index)].generation == timer.generation else { return nil }
        return self.remove(timer.index)
    }

    /// Takes out everything that is due by `now`.
    mutating func advance(to now: Instant) -> [Payload] {
        let target = now.nanoseconds / self.tickNanoseconds
        guard target >= self.tick else { return [] }
        guard self.count > 0 else {
            self.tick = target + 1
            return []
        }
        var due: [Payload] = []
        // After a long pause one turn sees every slot.
        let steps = min(target - self.tick + 1, UInt64(self.slots.count))
        for step in 0..<steps {
            var index = self.slots[self.slot(of: self.tick + step)]
            while index >= 0 {
                let next = self.entries[Int(index)].next
                if self.entries[Int(index)].dueTick <= target, let payload = self.remove(index) { due.append(payload) }
                index = next
            }
        }
        self.tick = target + 1
        return due
    }

    private mutating func remove(_ index: Int32) -> Payload? {
        let entry = self.entries[Int(index)]
        if entry.previous >= 0 {
            self.entries[Int(entry.previous)].next = entry.next
        } else {
            self.slots[self.slot(of: entry.dueTick)] = entry.next
        }
        if entry.next >= 0 { self.entries[Int(entry.next)].previous = entry.previous }
        self.entries[Int(index)].payload = nil
        self.entries[Int(index)].generation &+= 1
        self.free.append(index)
        self.count -= 1
        return entry.payload
    }

    private func slot(of tick: UInt64) -> Int { Int(tick & UInt64(self.slots.count - 1)) }
}
