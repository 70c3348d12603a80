package import ApusCore
import HeapModule

/// Deadlines by key, of which the earliest is found at once and each may be put off for nearly nothing.
///
/// Nearly every deadline of a group is put off before it comes: with each heartbeat. So a later deadline is only noted;
/// the heap keeps the earlier one, and looks the key up when that comes. A member then costs one turn of the heap in a
/// session timeout, however often it sends a heartbeat. Entries whose key has gone or got an earlier deadline stay in
/// the heap until their time, but never more of them than there are keys: then the heap is made anew.
package struct DeadlineQueue<Key: Hashable & Sendable>: Sendable {
    private struct Entry: Comparable, Sendable {
        let deadline: Instant
        let key: Key

        static func < (left: Entry, right: Entry) -> Bool { left.deadline < right.deadline }
        static func == (left: Entry, right: Entry) -> Bool { left.deadline == right.deadline }
    }

    private struct State: Sendable {
        var deadline: Instant
        /// When the heap will look at the key; never later than `deadline`.
        var look: Instant
    }

    private var heap = Heap<Entry>()
    private var states: [Key: State] = [:]

    package init() {}

    package var isEmpty: Bool { self.states.isEmpty }

    /// Nothing is due before this; nil when there is no deadline at all. May be earlier than the earliest deadline.
    package var earliest: Instant? { self.states.isEmpty ? nil : self.heap.min?.deadline }

    package subscript(key: Key) -> Instant? { self.states[key]?.deadline }

    /// Sets the deadline of `key`, earlier or later than the one it may have.
    package mutating func set(_ key: Key, _ deadline: Instant) {
        if let look = self.states[key]?.look, look <= deadline {
            self.states[key]?.deadline = deadline
            return
        }
        self.states[key] = State(deadline: deadline, look: deadline)
        self.heap.insert(Entry(deadline: deadline, key: key))
        if self.heap.count > 2 * self.states.count + 64 { self.rebuild() }
    }

    package mutating func remove(_ key: Key) {
        self.states[key] = nil
        if self.heap.count > 2 * self.states.count + 64 { self.rebuild() }
    }

    package mutating func removeAll() {
        self.heap = Heap()
        self.states = [:]
    }

    /// Takes out a key whose deadline is `now` or was before it; nil when there is none (any more).
    package mutating func popDue(_ now: Instant) -> Key? {
        while let entry = self.heap.min, entry.deadline <= now {
            self.heap.removeMin()
            guard let state = self.states[entry.key], state.look == entry.deadline else { continue }
            guard state.deadline > now else {
                self.states[entry.key] = nil
                return entry.key
            }
            self.states[entry.key]?.look = state.deadline
            self.heap.insert(Entry(deadline: state.deadline, key: entry.key))
        }
        return nil
    }

    private mutating func rebuild() {
        self.states = self.states.mapValues { State(deadline: $0.deadline, look: $0.deadline) }
        self.heap = Heap(self.states.map { Entry(deadline: $0.value.deadline, key: $0.key) })
    }
}
