import ApusCore
import NIOCore
import WebFormats

/// An audience of one event loop, from when somebody came to its channel until nobody was left in it.
struct AudienceID: Hashable {
    fileprivate var slot: Int32 = -1
    /// Counts who had the slot.
    fileprivate var life: UInt16 = 0

    static let none = AudienceID()

    /// What the topic's home knows it by: no other has the same, on any loop.
    func subscriber(on loop: Int, of count: Int, _ format: WireFormat) -> SubscriberID {
        let number = Int64(self.life) << 32 | Int64(UInt32(bitPattern: self.slot))
        return SubscriberID(number: number * Int64(count) + Int64(loop), format: format)
    }

    init() {}

    fileprivate init(slot: Int32, life: UInt16) {
        self.slot = slot
        self.life = life
    }

    init(_ subscriber: SubscriberID, of count: Int) {
        let number = subscriber.number / Int64(count)
        self.slot = Int32(truncatingIfNeeded: number & 0xFFFF_FFFF)
        self.life = UInt16(truncatingIfNeeded: number >> 32)
    }
}

/// Who is in which channel on one event loop.
///
/// There may be a channel for each user, and then it has one client, here: that one costs forty bytes and its part of a
/// table. Only channels that several share, that read several partitions, or that somebody still waits for, have an
/// ``EndpointAudience``.
///
/// Owner: the loop's ``EndpointLoop``.
struct EndpointAudiences {
    private enum Who {
        case sole(EndpointConnection)
        case several(EndpointAudience)
    }

    private struct Slot {
        var channel: EdgeChannel?
        var who: Who?
        /// Of the sole client: where the channel stands, and its subscription.
        var next = Offset.zero
        var partition = PartitionIndex(rawValue: 0)
        var token = SubscriptionToken(rawValue: 0)
        var topic: Int32 = 0
        var life: UInt16 = 0
    }

    /// The channels of one topic whose clients speak one format.
    private struct Topic {
        let key: TopicKey
        var numbers = ChannelNumbers()
        /// Some channel of it: the others share its topic's name.
        var first: EdgeChannel
    }

    private struct TopicKey: Hashable {
        let id: TopicID
        let format: WireFormat
    }

    private var slots: [Slot] = []
    private var free: [Int32] = []
    /// The life of a slot that nobody had yet.
    private var firstLife: UInt16 = 0
    private var topics: [Topic?] = []
    private var freeTopics: [Int32] = []
    private var topicNumbers: [TopicKey: Int32] = [:]

    /// The audience of a channel, made when there is none.
    mutating func audience(
        of channel: EdgeChannel, in topic: TopicID, _ format: WireFormat
    ) -> (id: AudienceID, isNew: Bool) {
        let key = TopicKey(id: topic, format: format)
        let home = self.topicNumbers[key] ?? self.open(key, channel)
        let known = self.topics[Int(home)]?.numbers.number(of: channel) { self.slots[Int($0.rawValue)].channel }
        if let known { return (self.id(of: known.rawValue), false) }
        let shared = self.topics[Int(home)].map { channel.sharingTopic(of: $0.first) } ?? channel
        let slot = self.free.popLast() ?? Int32(clamping: self.slots.count)
        if Int(slot) == self.slots.count { self.slots.append(Slot(life: self.firstLife)) }
        self.slots[Int(slot)].channel = shared
        self.slots[Int(slot)].topic = home
        self.slots[Int(slot)].who = .several(EndpointAudience())
        self.topics[Int(home)]?.numbers.insert(shared, ChannelNumber(rawValue: slot))
        return (self.id(of: slot), true)
    }

    /// The audience of a channel for which something is to be done that one client alone does not need.
    mutating func several(_ id: AudienceID) -> EndpointAudience? {
        guard self.holds(id) else { return nil }
        let slot = self.slots[Int(id.slot)]
        switch slot.who {
        case nil: return nil
        case .several(let audience): return audience
        case .sole(let connection):
            let member = EndpointAudience.Member(connection: connection, token: slot.token)
            let audience = EndpointAudience(member, at: .one(slot.partition, slot.next))
            self.slots[Int(id.slot)].who = .several(audience)
            return audience
        }
    }

    /// One client alone, in one partition, needs no more than its slot.
    mutating func settle(_ id: AudienceID) {
        guard self.holds(id), case .several(let audience)? = self.slots[Int(id.slot)].who,
            let member = audience.soleMember, case .one(let partition, let next)? = audience.place
        else { return }
        self.slots[Int(id.slot)].who = .sole(member.connection)
        self.slots[Int(id.slot)].token = member.token
        self.slots[Int(id.slot)].partition = partition
        self.slots[Int(id.slot)].next = next
    }

    /// A client leaves.
    /// - Returns: whether nobody is left: then it is gone.
    mutating func leave(_ id: AudienceID, _ member: EndpointAudience.Member, from seat: Int32?) -> Bool {
        guard self.holds(id) else { return false }
        switch self.slots[Int(id.slot)].who {
        case nil: return false
        case .sole(let connection):
            precondition(
                connection === member.connection && self.slots[Int(id.slot)].token == member.token,
                "a member in the seat of another")
        case .several(let audience):
            audience.leave(member, from: seat)
            guard audience.isEmpty else {
                self.settle(id)
                return false
            }
        }
        self.close(id)
        return true
    }

    /// Nobody is in it any more.
    mutating func close(_ id: AudienceID) {
        guard self.holds(id), let channel = self.slots[Int(id.slot)].channel else { return }
        let topic = Int(self.slots[Int(id.slot)].topic)
        self.topics[topic]?.numbers.remove(channel, ChannelNumber(rawValue: id.slot))
        self.slots[Int(id.slot)].channel = nil
        self.slots[Int(id.slot)].who = nil
        self.slots[Int(id.slot)].life = id.life &+ 1
        self.free.append(id.slot)
        if let key = self.topics[topic]?.key, self.topics[topic]?.numbers.count == 0 {
            self.topicNumbers[key] = nil
            self.topics[topic] = nil
            self.freeTopics.append(Int32(clamping: topic))
        }
        guard self.isEmpty else { return }
        // Nobody is here: nothing is kept of those who were, but that what is told of them is not told to others.
        self.firstLife = self.slots.reduce(self.firstLife) { max($0, $1.life) }
        (self.slots, self.free) = ([], [])
    }

    // MARK: Asking

    var isEmpty: Bool { self.free.count == self.slots.count }

    func channel(of id: AudienceID) -> EdgeChannel? { self.holds(id) ? self.slots[Int(id.slot)].channel : nil }

    func topic(of id: AudienceID) -> TopicID? {
        self.holds(id) ? self.topics[Int(self.slots[Int(id.slot)].topic)]?.key.id : nil
    }

    /// Where a channel stands for the clients of this loop.
    func place(of id: AudienceID) -> ChannelPlace? {
        guard self.holds(id) else { return nil }
        let slot = self.slots[Int(id.slot)]
        switch slot.who {
        case nil: return nil
        case .sole: return .one(slot.partition, slot.next)
        case .several(let audience): return audience.place
        }
    }

    // MARK: Telling

    /// Who is told something of a channel. They are told by whom this is asked, for they may leave meanwhile.
    enum Hearers {
        case sole(EndpointConnection, SubscriptionToken)
        case several(EndpointAudience)
    }

    func hearers(of id: AudienceID) -> Hearers? {
        guard self.holds(id) else { return nil }
        let slot = self.slots[Int(id.slot)]
        switch slot.who {
        case nil: return nil
        case .several(let audience): return .several(audience)
        case .sole(let connection): return .sole(connection, slot.token)
        }
    }

    /// The same, where they are told that their channel came so far.
    mutating func hearers(of id: AudienceID, behind range: MissedRange) -> Hearers? {
        let hearers = self.hearers(of: id)
        guard case .sole? = hearers, self.slots[Int(id.slot)].partition == range.partition else { return hearers }
        self.slots[Int(id.slot)].next = max(self.slots[Int(id.slot)].next, range.to)
        return hearers
    }

    // MARK: Slots

    /// What is told from elsewhere may be of one that has gone meanwhile.
    private func holds(_ id: AudienceID) -> Bool {
        let index = Int(id.slot)
        return self.slots.indices.contains(index) && self.slots[index].life == id.life && self.slots[index].who != nil
    }

    private func id(of slot: Int32) -> AudienceID { AudienceID(slot: slot, life: self.slots[Int(slot)].life) }

    private mutating func open(_ key: TopicKey, _ channel: EdgeChannel) -> Int32 {
        let number = self.freeTopics.popLast() ?? Int32(clamping: self.topics.count)
        if Int(number) == self.topics.count { self.topics.append(nil) }
        self.topics[Int(number)] = Topic(key: key, first: channel)
        self.topicNumbers[key] = number
        return number
    }
}
