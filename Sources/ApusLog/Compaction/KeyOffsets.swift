import ApusCore
import NIOCore

/// The newest offset of each key that a pass of compaction has met: a table of hashes with open addressing, 24 bytes a
/// slot, that grows by doubling up to a limit and then has no room.
struct KeyOffsets: Sendable {
    private struct Slot {
        var hash: KeyHash
        /// -1: free.
        var offset: Int64

        static let free = Slot(hash: KeyHash(first: 0, second: 0), offset: -1)
        static let byteCount = 24
    }

    private let hasher: KeyHasher
    private let slotsMax: Int
    private var slots: [Slot]
    private(set) var count = 0

    /// - Parameter limit: bytes of the table. At least one slot's worth.
    init(_ hasher: KeyHasher, limit: ByteCount) {
        self.hasher = hasher
        var slots = 8
        while slots * 2 * Slot.byteCount <= limit.rawValue { slots *= 2 }
        self.slotsMax = slots
        self.slots = Array(repeating: .free, count: min(slots, 1024))
    }

    /// Whether so many more keys fit, should all of them be new.
    func hasRoom(for more: Int) -> Bool {
        more <= self.slotsMax / 4 * 3 - self.count
    }

    /// The newest offset of a key; nil for one that was not met.
    func offset(of key: ByteBuffer) -> Int64? {
        let slot = self.slots[self.place(of: self.hasher.hash(key))]
        return slot.offset < 0 ? nil : slot.offset
    }

    /// - Precondition: there is room; offsets come in order.
    mutating func note(_ key: ByteBuffer, at offset: Int64) {
        let hash = self.hasher.hash(key)
        var place = self.place(of: hash)
        if self.slots[place].offset < 0 {
            if self.count >= self.slots.count / 4 * 3 {
                self.grow()
                place = self.place(of: hash)
            }
            self.count += 1
        }
        self.slots[place] = Slot(hash: hash, offset: offset)
    }

    private mutating func grow() {
        precondition(self.slots.count < self.slotsMax, "a table that has no room")
        let old = self.slots
        self.slots = Array(repeating: .free, count: old.count * 2)
        for slot in old where slot.offset >= 0 { self.slots[self.place(of: slot.hash)] = slot }
    }

    /// Where the hash is, or would be. There is always a free slot.
    private func place(of hash: KeyHash) -> Int {
        let mask = self.slots.count - 1
        var place = Int(truncatingIfNeeded: hash.first) & mask
        while self.slots[place].offset >= 0, self.slots[place].hash != hash { place = (place + 1) & mask }
        return place
    }
}
