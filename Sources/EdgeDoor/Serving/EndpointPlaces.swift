import ApusCore
import WebFormats

/// Where a subscription of a connection is.
struct EndpointPlace {
    /// The audience that it was asked to join, and leaves when the subscription does.
    var audience = AudienceID.none
    /// Somebody keeps that it is there, or what it confirms.
    var isRecorded = false
    private var seatNumber: Int32 = -1

    /// Its place among the members of its channel on this loop; nil while it is none.
    var seat: Int32? {
        get { self.seatNumber < 0 ? nil : self.seatNumber }
        set { self.seatNumber = newValue ?? -1 }
    }
}

/// The subscriptions of one connection that are asked for or joined, in the order of their tokens: mostly one, for
/// which a dictionary would take four times as much. Owner: the connection.
struct EndpointPlaces {
    private var entries: [(key: SubscriptionToken, value: EndpointPlace)] = []
    /// How many offsets are held for a subscription that begins with the newest record of each key, while it is given
    /// them. Few have any.
    var lastValueCounts: [SubscriptionToken: Int] = [:]

    subscript(token: SubscriptionToken) -> EndpointPlace? {
        get { self.index(of: token).map { self.entries[$0].value } }
        set {
            let index = self.lowerBound(of: token)
            let isThere = index < self.entries.count && self.entries[index].key == token
            switch (newValue, isThere) {
            case (let value?, true): self.entries[index].value = value
            case (let value?, false):
                // Twice as much room would mostly stay empty.
                if self.entries.count == self.entries.capacity {
                    self.entries.reserveCapacity(self.entries.count + self.entries.count / 4 + 1)
                }
                self.entries.insert((token, value), at: index)
            case (nil, true): self.entries.remove(at: index)
            case (nil, false): break
            }
        }
    }

    mutating func removeValue(forKey token: SubscriptionToken) -> EndpointPlace? {
        self.index(of: token).map { self.entries.remove(at: $0).value }
    }

    private func index(of token: SubscriptionToken) -> Int? {
        let index = self.lowerBound(of: token)
        return index < self.entries.count && self.entries[index].key == token ? index : nil
    }

    private func lowerBound(of token: SubscriptionToken) -> Int {
        var (low, high) = (0, self.entries.count)
        while low < high {
            let middle = low + (high - low) / 2
            if self.entries[middle].key < token { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
