import ApusCore
import WebFormats

/// Where a subscription of a connection is.
struct EndpointPlace {
    var channel: EdgeChannel
    /// `.none` until the topic was found.
    var topic: TopicID
    /// It was asked to join, and leaves when the subscription does.
    var isJoining = false
    /// Somebody keeps that it is there, or what it confirms.
    var isRecorded = false
    /// Offsets that are held for it: of the newest record of each key, while it is given them.
    var lastValueCount = 0
    /// Its place among the members of its channel on this loop; nil while it is none.
    var seat: Int32?
}

/// The subscriptions of one connection that are asked for or joined, in the order of their tokens: mostly one, for
/// which a dictionary would take four times as much. Owner: the connection.
struct EndpointPlaces: Sequence {
    private var entries: [(key: SubscriptionToken, value: EndpointPlace)] = []

    var values: some Sequence<EndpointPlace> { self.entries.lazy.map(\.value) }

    func makeIterator() -> IndexingIterator<[(key: SubscriptionToken, value: EndpointPlace)]> {
        self.entries.makeIterator()
    }

    subscript(token: SubscriptionToken) -> EndpointPlace? {
        get { self.index(of: token).map { self.entries[$0].value } }
        set {
            let index = self.lowerBound(of: token)
            let isThere = index < self.entries.count && self.entries[index].key == token
            switch (newValue, isThere) {
            case (let value?, true): self.entries[index].value = value
            case (let value?, false): self.entries.insert((token, value), at: index)
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
