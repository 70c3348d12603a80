package import NIOCore
package import WebFormats

/// A channel's number within its topic on one event loop, so that what belongs to it can be kept in arrays. Given out
/// again when the channel has gone.
package struct ChannelNumber: RawRepresentable, Hashable, Sendable {
    package var rawValue: Int32

    package init(rawValue: Int32) {
        self.rawValue = rawValue
    }
}

/// The numbers of one topic's channels, by what they select: a hash table with open addresses. It does not keep the
/// channels. Who looks for one says which channel a number is; so a channel costs eight bytes and some room, where a
/// dictionary has its key once more.
package struct ChannelNumbers: Sendable {
    private struct Place: Sendable {
        /// Negative: nobody is here.
        var number: Int32 = -1
        var hash: UInt32 = 0
    }

    private static let placesMin = 8

    /// None, or a power of two of them, an eighth of which is free at least: every search ends.
    private var places: [Place] = []
    package private(set) var count = 0

    package init() {}

    package func number(
        of channel: EdgeChannel, _ named: (ChannelNumber) -> EdgeChannel?
    ) -> ChannelNumber? {
        self.find(channel.selectionHash) { named($0)?.selects(as: channel) == true }
    }

    package func number(
        of form: EdgeChannel.Form, _ bytes: ByteBuffer, _ named: (ChannelNumber) -> EdgeChannel?
    ) -> ChannelNumber? {
        self.find(EdgeChannel.selectionHash(form, bytes)) { named($0)?.selects(form, bytes) == true }
    }

    /// Puts a channel in that is not there.
    package mutating func insert(_ channel: EdgeChannel, _ number: ChannelNumber) {
        if (self.count + 1) * 8 > self.places.count * 7 { self.rebuild(max(Self.placesMin, self.places.count * 2)) }
        self.put(Place(number: number.rawValue, hash: Self.short(channel.selectionHash)))
        self.count += 1
    }

    /// Takes a channel out that is there.
    package mutating func remove(_ channel: EdgeChannel, _ number: ChannelNumber) {
        precondition(self.count > 0, "a channel is removed that is not in the table")
        let mask = self.places.count - 1
        var hole = Int(Self.short(channel.selectionHash)) & mask
        while self.places[hole].number != number.rawValue {
            precondition(self.places[hole].number >= 0, "a channel is removed that is not in the table")
            hole = (hole + 1) & mask
        }
        // What was put behind it because this place was taken moves up.
        var next = (hole + 1) & mask
        while self.places[next].number >= 0 {
            let home = Int(self.places[next].hash) & mask
            if (next - home) & mask >= (next - hole) & mask {
                self.places[hole] = self.places[next]
                hole = next
            }
            next = (next + 1) & mask
        }
        self.places[hole] = Place()
        self.count -= 1
        if self.places.count > Self.placesMin, self.count * 8 < self.places.count {
            self.rebuild(self.places.count / 2)
        }
    }

    private func find(_ hash: Int, _ isIt: (ChannelNumber) -> Bool) -> ChannelNumber? {
        guard self.count > 0 else { return nil }
        let (short, mask) = (Self.short(hash), self.places.count - 1)
        var index = Int(short) & mask
        while true {
            let place = self.places[index]
            guard place.number >= 0 else { return nil }
            let number = ChannelNumber(rawValue: place.number)
            if place.hash == short, isIt(number) { return number }
            index = (index + 1) & mask
        }
    }

    private mutating func rebuild(_ count: Int) {
        let old = self.places
        self.places = Array(repeating: Place(), count: count)
        for place in old where place.number >= 0 { self.put(place) }
    }

    private mutating func put(_ place: Place) {
        let mask = self.places.count - 1
        var index = Int(place.hash) & mask
        while self.places[index].number >= 0 { index = (index + 1) & mask }
        self.places[index] = place
    }

    private static func short(_ hash: Int) -> UInt32 { UInt32(truncatingIfNeeded: hash) }
}
