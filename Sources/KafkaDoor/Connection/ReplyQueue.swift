import ApusCore
import DequeModule
import NIOCore

/// The answers of one connection, let out in the order of their requests, in whichever order they are found.
///
/// A request takes a place when it begins; its answer fills the place; full places leave from the front.
struct ReplyQueue {
    /// A request's place. Never used twice on one connection.
    struct Place: Hashable, Sendable {
        fileprivate var number: UInt64
    }

    struct Reply {
        /// The frame, length first; empty for a request that gets no answer.
        var bytes: [ByteBuffer]
        /// Memory set aside for the request, to be given back now.
        var requestBytes: ByteCount
        var isFetch: Bool
    }

    private struct Slot {
        var bytes: [ByteBuffer]?
        var requestBytes: ByteCount
        var isFetch: Bool
    }

    private var slots = Deque<Slot>()
    private var firstNumber: UInt64 = 0
    private var isAbandoned = false
    /// Bytes of answers that wait for an earlier one.
    private(set) var byteCountWaiting = 0

    /// Requests begun and not let out.
    var count: Int { self.slots.count }
    var isEmpty: Bool { self.slots.isEmpty }

    mutating func begin(requestBytes: ByteCount, isFetch: Bool) -> Place {
        let place = Place(number: self.firstNumber + UInt64(self.slots.count))
        self.slots.append(Slot(bytes: nil, requestBytes: requestBytes, isFetch: isFetch))
        return place
    }

    /// Fills a place. A place is filled once: a second answer to one request would shift every answer after it.
    /// False when nobody will read it.
    @discardableResult
    mutating func fill(_ place: Place, with bytes: [ByteBuffer]) -> Bool {
        guard let index = self.index(of: place), self.slots[index].bytes == nil else {
            precondition(self.isAbandoned, "a request was answered twice")
            return false
        }
        self.slots[index].bytes = bytes
        self.byteCountWaiting += bytes.reduce(0) { $0 + $1.readableBytes }
        return true
    }

    /// The next answer whose turn it is.
    mutating func next() -> Reply? {
        guard let slot = self.slots.first, let bytes = slot.bytes else { return nil }
        self.slots.removeFirst()
        self.firstNumber += 1
        self.byteCountWaiting -= bytes.reduce(0) { $0 + $1.readableBytes }
        return Reply(bytes: bytes, requestBytes: slot.requestBytes, isFetch: slot.isFetch)
    }

    /// Nobody will read the answers any more. Fetches may never be answered now, so they count as answered; what writes
    /// still is, and keeps its memory until then.
    mutating func abandon() {
        self.isAbandoned = true
        for index in self.slots.indices where self.slots[index].isFetch && self.slots[index].bytes == nil {
            self.slots[index].bytes = []
        }
    }

    /// Whether nothing was begun after it.
    func isLast(_ place: Place) -> Bool { place.number + 1 == self.firstNumber + UInt64(self.slots.count) }

    private func index(of place: Place) -> Int? {
        guard place.number >= self.firstNumber else { return nil }
        return Int(place.number - self.firstNumber)
    }
}
