package import ApusCore
import NIOCore
package import WebFormats

/// Who is given what a channel has: one event loop's part in the channel, from when it came to it until it left. In one
/// format; the loop that has clients of two is two.
package struct SubscriberID: RawRepresentable, Hashable, Comparable, Sendable {
    package var rawValue: Int64

    package init(rawValue: Int64) {
        self.rawValue = rawValue
    }

    package static func < (left: SubscriberID, right: SubscriberID) -> Bool {
        left.rawValue < right.rawValue
    }

    private static let formatShift = 56

    init(number: Int64, format: WireFormat) {
        precondition(number >> Self.formatShift == 0, "more subscribers than there will ever be")
        self.rawValue = number | Int64(format.rawValue) << Self.formatShift
    }

    /// Says which loop it is.
    var number: Int64 { self.rawValue & (1 << Self.formatShift - 1) }
    var format: WireFormat { self.rawValue >> Self.formatShift == 0 ? .json : .cbor }
}

/// What the hub wants done.
package enum HubAction: Hashable, Sendable {
    /// Read the partition from its end on, and say where that is.
    case startReading(PartitionIndex)
    /// Nobody needs the partition any more.
    case stopReading(PartitionIndex)
    /// From here on the subscriber is given what comes in its channel.
    case joined(SubscriberID, EdgeChannel, at: ChannelPlace)
}

/// Records of one partition for all subscribers of one channel, encoded once.
package struct HubDelivery: Sendable {
    package let channel: EdgeChannel
    package let push: Push
    package let recordCount: Int
    /// The offsets that the push stands for, those of other channels among them: `from` up to, not including, `next`.
    package let range: MissedRange
    /// Where the channel stands behind the push, if its cursor is whole.
    package let place: ChannelPlace?
    package let subscribers: [SubscriberID]
}

/// Retention passed the reader of a partition: nobody is given these records.
package struct HubLoss: Hashable, Sendable {
    package let channel: EdgeChannel
    package let range: MissedRange
    package let subscribers: [SubscriberID]
}

/// The channels of one topic on this node: one reader for each partition that any of them needs, however many clients
/// there are, and one encoding of each push. Its subscribers are the event loops, each for all of its clients.
///
/// Owner: the topic's home loop. It runs the actions, and tells what the readers find; what a reader finds that was
/// told to stop, it does not tell. A hub is made for a number of
/// partitions; when some are added it is made anew, and its subscribers resume (``Resumption`` knows what that means).
package struct TopicHub: Sendable {
    /// One partition and who needs it.
    private struct Reader: Sendable {
        /// Channels that read this partition and no other.
        var keyChannels = 0
        /// The next offset that is read; nil while nobody reads, or where that begins is not known yet.
        var position: Offset?
    }

    /// Its memory matters: there may be a channel for each user.
    private struct Lane: Sendable {
        let channel: EdgeChannel
        var subscribers = Subscribers.none
        /// Whether its subscribers have joined: where all its partitions are read from is known.
        var isReady = false
        /// Negative: the channel reads all partitions.
        private let index: Int32

        init(_ channel: EdgeChannel, in partition: PartitionIndex?) {
            self.channel = channel
            self.index = partition?.rawValue ?? -1
        }

        /// The one partition that the channel is in; nil when it reads all.
        var partition: PartitionIndex? { self.index < 0 ? nil : PartitionIndex(rawValue: self.index) }
    }

    /// Mostly one.
    private enum Subscribers: Sendable {
        case none
        case one(SubscriberID)
        /// Two or more, ascending.
        case many([SubscriberID])

        var list: [SubscriberID] {
            switch self {
            case .none: []
            case .one(let subscriber): [subscriber]
            case .many(let subscribers): subscribers
            }
        }

        mutating func change(_ change: (inout [SubscriberID]) -> Void) {
            var list = self.list
            // Emptied first, so that the change does not copy what it holds.
            self = .none
            change(&list)
            if let first = list.first { self = list.count == 1 ? .one(first) : .many(list) }
        }
    }

    /// Where the cursors of a channel stand that reads so many partitions that a push does not carry all of them.
    private struct Steps: Sendable {
        var cadence = CursorCadence()
        /// The positions of the last whole cursor that was pushed, which steps count from.
        var base: [Offset]?
    }

    package let topic: String
    private let id: TopicID
    private let placement: KeyPlacement
    private let keys: CursorKeys
    private var table = ChannelTable()
    private var lanes: [Lane?] = []
    private var free: [ChannelNumber] = []
    private var unready: [ChannelNumber] = []
    private var steps: [ChannelNumber: Steps] = [:]
    private var readers: [Reader]
    /// Channels that read every partition.
    private var wideChannels = 0

    package init(topic: String, id: TopicID, partitions: Int, placement: KeyPlacement, keys: CursorKeys) {
        precondition((1...Limits.partitionsPerTopicMax).contains(partitions), "a topic has partitions")
        self.topic = topic
        self.id = id
        self.placement = placement
        self.keys = keys
        self.readers = Array(repeating: Reader(), count: partitions)
    }

    package var isEmpty: Bool { self.table.count == 0 }
    package var channelCount: Int { self.table.count }

    /// A subscriber comes to a channel of this topic that it is not in.
    package mutating func subscribe(
        _ subscriber: SubscriberID, to channel: EdgeChannel
    ) throws(ChannelTableError) -> [HubAction] {
        precondition(channel.topic == self.topic, "a channel of another topic")
        var actions: [HubAction] = []
        let number: ChannelNumber
        if let known = self.number(of: channel) {
            number = known
        } else {
            number = try self.open(channel, &actions)
        }
        self.lanes[Int(number.rawValue)]?.subscribers.change { subscribers in
            let place = subscribers.partitioningIndex { $0 >= subscriber }
            precondition(place == subscribers.count || subscribers[place] != subscriber, "subscribed twice")
            subscribers.insert(subscriber, at: place)
        }
        let lane = self.lane(number)
        if lane.isReady, let place = self.place(of: lane) {
            actions.append(.joined(subscriber, lane.channel, at: place))
        }
        return actions
    }

    /// A subscriber leaves a channel that it is in.
    package mutating func unsubscribe(_ subscriber: SubscriberID, from channel: EdgeChannel) -> [HubAction] {
        guard let number = self.number(of: channel) else { preconditionFailure("nobody is in the channel") }
        self.lanes[Int(number.rawValue)]?.subscribers.change { subscribers in
            let place = subscribers.partitioningIndex { $0 >= subscriber }
            precondition(place < subscribers.count && subscribers[place] == subscriber, "not in the channel")
            subscribers.remove(at: place)
        }
        if case .none = self.lane(number).subscribers { return self.close(number) }
        return []
    }

    /// Whether a subscriber is in a channel.
    package func holds(_ subscriber: SubscriberID, in channel: EdgeChannel) -> Bool {
        self.number(of: channel).map { self.lane($0).subscribers.list.contains(subscriber) } ?? false
    }

    /// Everybody who is in any channel.
    package var everybody: [SubscriberID] { self.lanes.flatMap { $0?.subscribers.list ?? [] } }

    /// Reading of a partition begins at this offset.
    package mutating func began(_ partition: PartitionIndex, at offset: Offset) -> [HubAction] {
        let index = Int(partition.rawValue)
        // Nobody may need it by now: the reader is told to stop, and what it said before does not count.
        guard self.isNeeded(index) else { return [] }
        self.readers[index].position = offset
        var actions: [HubAction] = []
        for number in self.unready {
            guard let place = self.place(of: self.lane(number)) else { continue }
            self.lanes[Int(number.rawValue)]?.isReady = true
            let lane = self.lane(number)
            actions += lane.subscribers.list.map { .joined($0, lane.channel, at: place) }
        }
        let waiting = self.unready.filter { !self.lane($0).isReady }
        self.unready = waiting
        return actions
    }

    /// The reader of a partition came from where it was to `next`, and found these records, in their order.
    package mutating func read(
        _ records: [EdgeRecord], of partition: PartitionIndex, next: Offset
    ) -> [HubDelivery] {
        let index = Int(partition.rawValue)
        guard self.isNeeded(index), let from = self.readers[index].position else { return [] }
        precondition(next >= from, "a reader goes forward")
        self.readers[index].position = next
        var order: [ChannelNumber] = []
        var found: [ChannelNumber: [EdgeRecord]] = [:]
        for record in records {
            self.table.forEachChannel(
                taking: record.key, { self.lanes[Int($0.rawValue)]?.channel },
                { number in
                    guard self.lane(number).isReady else { return }
                    if found[number] == nil { order.append(number) }
                    found[number, default: []].append(record)
                })
        }
        let range = MissedRange(partition: partition, from: from, to: next)
        return order.map { self.delivery(of: found[$0] ?? [], in: range, to: $0) }
    }

    /// The partition begins at `next` by now, which is behind where it was read.
    package mutating func lost(_ partition: PartitionIndex, upTo next: Offset) -> [HubLoss] {
        let index = Int(partition.rawValue)
        guard self.isNeeded(index), let from = self.readers[index].position, from < next else { return [] }
        self.readers[index].position = next
        let range = MissedRange(partition: partition, from: from, to: next)
        return self.lanes.compactMap { lane in
            guard let lane, lane.isReady, lane.partition == nil || lane.partition == partition else { return nil }
            return HubLoss(channel: lane.channel, range: range, subscribers: lane.subscribers.list)
        }
    }

    /// Everybody who is in a channel that reads the partition: it can not be read any more.
    package func audience(of partition: PartitionIndex) -> [SubscriberID] {
        self.lanes.flatMap { lane in
            guard let lane, lane.partition == nil || lane.partition == partition else { return [SubscriberID]() }
            return lane.subscribers.list
        }
    }

    /// A whole cursor that stands where the channel is now; nil while its subscribers have not joined.
    package func cursor(of channel: EdgeChannel) -> SealedCursor? {
        guard let number = self.number(of: channel) else { return nil }
        let lane = self.lane(number)
        return self.place(of: lane).map { SealedCursor($0.cursor, by: self.seal(of: lane)) }
    }
}

extension TopicHub {
    private mutating func delivery(
        of records: [EdgeRecord], in range: MissedRange, to number: ChannelNumber
    ) -> HubDelivery {
        let lane = self.lane(number)
        let (cursor, place) = self.cursor(behind: records, in: range, of: lane, number)
        let subscribers = lane.subscribers.list
        return HubDelivery(
            channel: lane.channel,
            push: Push(
                lane.channel, records, SealedCursor(cursor, by: self.seal(of: lane)),
                as: WireFormat.allCases.filter { format in subscribers.contains { $0.format == format } }),
            recordCount: records.count, range: range, place: place, subscribers: subscribers
        )
    }

    /// The cursor of a push, and where the channel stands behind it if that is whole.
    private mutating func cursor(
        behind records: [EdgeRecord], in range: MissedRange, of lane: Lane, _ number: ChannelNumber
    ) -> (EdgeCursor, ChannelPlace?) {
        let partitions = lane.partition == nil ? self.readers.count : 1
        let isWide = partitions > Limits.cursorPartitionsCheap
        if isWide {
            let bytes = records.reduce(0) { $0 + ($1.key?.readableBytes ?? 0) + ($1.value?.readableBytes ?? 0) }
            var steps = self.steps.removeValue(forKey: number) ?? Steps()
            defer { self.steps[number] = steps }
            let isWhole = steps.cadence.isWhole(pushing: .bytes(bytes), partitions: partitions)
            if !isWhole, let base = steps.base {
                let since = base[Int(range.partition.rawValue)]
                return (.step(range.partition, since: since, next: range.to), nil)
            }
            if case .all(let positions) = self.place(of: lane) { steps.base = positions }
        }
        guard let here = self.place(of: lane) else { preconditionFailure("a push before the channel was joined") }
        return (here.cursor, here)
    }

    private func seal(of lane: Lane) -> CursorSeal {
        CursorSeal(keys: self.keys, topic: self.id, selection: lane.channel.selection)
    }

    /// Where each partition of the channel is read; nil when that is not known of all.
    private func place(of lane: Lane) -> ChannelPlace? {
        if let partition = lane.partition {
            return self.readers[Int(partition.rawValue)].position.map { .one(partition, $0) }
        }
        var positions: [Offset] = []
        for reader in self.readers {
            guard let position = reader.position else { return nil }
            positions.append(position)
        }
        return .all(positions)
    }

    private mutating func open(
        _ channel: EdgeChannel, _ actions: inout [HubAction]
    ) throws(ChannelTableError) -> ChannelNumber {
        let next = ChannelNumber(rawValue: Int32(truncatingIfNeeded: self.lanes.count))
        let number = self.free.last ?? next
        try self.table.insert(channel, number)
        var lane = Lane(channel, in: channel.partition(of: self.readers.count, placement: self.placement))
        let idle = self.indices(of: lane).filter { !self.isNeeded($0) }
        self.count(lane, by: 1)
        actions += idle.map { .startReading(Self.partition($0)) }
        lane.isReady = self.place(of: lane) != nil
        if !lane.isReady { self.unready.append(number) }
        if number == next {
            self.lanes.append(lane)
        } else {
            self.free.removeLast()
            self.lanes[Int(number.rawValue)] = lane
        }
        return number
    }

    private mutating func close(_ number: ChannelNumber) -> [HubAction] {
        let lane = self.lane(number)
        self.table.remove(lane.channel, number)
        self.lanes[Int(number.rawValue)] = nil
        self.steps[number] = nil
        self.free.append(number)
        self.unready.removeAll { $0 == number }
        self.count(lane, by: -1)
        let stopped = self.indices(of: lane).filter { !self.isNeeded($0) }
        for index in stopped { self.readers[index].position = nil }
        return stopped.map { .stopReading(Self.partition($0)) }
    }

    private mutating func count(_ lane: Lane, by change: Int) {
        if let partition = lane.partition {
            self.readers[Int(partition.rawValue)].keyChannels += change
        } else {
            self.wideChannels += change
        }
    }

    /// The partitions that the channel reads.
    private func indices(of lane: Lane) -> Range<Int> {
        lane.partition.map { Int($0.rawValue)..<(Int($0.rawValue) + 1) } ?? self.readers.indices
    }

    private func isNeeded(_ index: Int) -> Bool { self.wideChannels > 0 || self.readers[index].keyChannels > 0 }

    private static func partition(_ index: Int) -> PartitionIndex {
        PartitionIndex(rawValue: Int32(truncatingIfNeeded: index))
    }

    private func lane(_ number: ChannelNumber) -> Lane {
        guard let lane = self.lanes[Int(number.rawValue)] else { preconditionFailure("a channel that was closed") }
        return lane
    }

    private func number(of channel: EdgeChannel) -> ChannelNumber? {
        self.table.number(of: channel) { self.lanes[Int($0.rawValue)]?.channel }
    }
}

extension [SubscriberID] {
    /// The first place whose element fulfils `isBehind`, which no element does before one that does not.
    fileprivate func partitioningIndex(_ isBehind: (SubscriberID) -> Bool) -> Int {
        var low = 0
        var high = self.count
        while low < high {
            let middle = low + (high - low) / 2
            if isBehind(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
