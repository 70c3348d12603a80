import ApusAccess
import ApusCore
import NIOCore
import WebFormats

/// What the connections of one event loop share: the channels that they are in, the sweep, and the flush at the end of
/// a tick. Owner: its event loop; touched nowhere else.
final class EndpointLoop {
    let eventLoop: any EventLoop
    let index: Int
    /// The topics whose home this loop is.
    let topics: EndpointTopics
    private let upstream: any EdgeUpstream
    private let clock: any Clock
    /// For operators.
    var counts = EndpointCounts()
    private var roster = EndpointRoster()
    /// Clients that have not said who they are, by their addresses.
    private var nobodies: [String: EndpointClient] = [:]
    /// Reads for one connection after the other, where nothing is kept in between.
    var spareReader: EndpointConnection.Reader?
    private var audiences: [AudienceKey: EndpointAudience] = [:]
    private var audiencesByID: [SubscriberID: EndpointAudience] = [:]
    private var lastSubscriber: Int64 = 0
    private var unflushed: [EndpointConnection] = []
    private var flushed = 0
    private var bytesHeld = 0
    private var isFlushing = false
    private var scans = 0
    /// Who waits for a turn; one of a subscription at most.
    private var scansWaiting: [() -> Void] = []
    private(set) var lastValuesHeld = 0
    /// What is told of presence at the end of this tick.
    private var presence: [EndpointPresence.Event] = []
    private var sweepTask: Scheduled<Void>?
    /// Set when this loop takes no more connections.
    private var drained: EventLoopPromise<Void>?

    private struct AudienceKey: Hashable {
        let topic: TopicID
        let channel: EdgeChannel
        var format = WireFormat.json
    }

    init(_ eventLoop: any EventLoop, index: Int, upstream: any EdgeUpstream, clock: any Clock) {
        self.eventLoop = eventLoop
        self.index = index
        self.upstream = upstream
        self.clock = clock
        self.topics = EndpointTopics(eventLoop)
    }

    var isDraining: Bool { self.drained != nil }

    // MARK: Connections

    var connectionCount: Int { self.roster.count }

    func add(_ connection: EndpointConnection) {
        self.roster.add(connection)
        self.keepSweeping()
    }

    func remove(_ connection: EndpointConnection) {
        guard self.roster.remove(connection) else { return }
        if self.connectionCount == 0 { self.drained?.succeed() }
    }

    /// Has the sweep come to a connection again: something happened that it may have to look at.
    func disturb(_ connection: EndpointConnection) { self.roster.disturb(connection) }

    /// Has the sweep hold a connection against the rules again: it is somebody else now.
    func renewRights(of connection: EndpointConnection) { self.roster.renewRights(of: connection) }

    /// All of them, as they are now.
    var connections: [EndpointConnection] { self.roster.all }

    /// The client that nobody has said anything about, at this address.
    func anonymous(_ address: String) -> EndpointClient {
        if let known = self.nobodies[address] { return known }
        let client = EndpointClient(self.upstream.client(.anonymous, address: address, channels: nil))
        self.nobodies[address] = client
        return client
    }

    func drain(within patience: Duration) -> EventLoopFuture<Void> {
        if let drained = self.drained { return drained.futureResult }
        let drained = self.eventLoop.makePromise(of: Void.self)
        self.drained = drained
        // Spread, or all of them come to the next node at once.
        let spread = Int64(max(1, min(patience, Limits.edgeMoveSpreadMax).wholeMilliseconds))
        let connections = self.connections
        for (place, connection) in connections.enumerated() {
            let wait = Duration.milliseconds(Int64(place) * spread / Int64(connections.count))
            connection.drain(retryIn: wait)
        }
        guard self.connectionCount > 0 else {
            drained.succeed()
            return drained.futureResult
        }
        let cut = self.eventLoop.assumeIsolated().scheduleTask(in: .nanoseconds(patience.wholeNanoseconds)) {
            for connection in self.connections { connection.cut() }
        }
        drained.futureResult.assumeIsolated().whenComplete { _ in cut.cancel() }
        return drained.futureResult
    }

    // MARK: Channels

    /// Has a connection join a channel; `then` is called once, on this loop, perhaps at once: with where the channel
    /// stands, from which on the connection is given everything.
    func join(
        _ channel: EdgeChannel, of topic: EdgeTopic, _ member: EndpointAudience.Member, door: EndpointDoor,
        then: @escaping (Result<ChannelPlace, Problem>) -> Void
    ) {
        let format = member.connection.session.format
        let key = AudienceKey(topic: topic.id, channel: channel, format: format)
        let audience: EndpointAudience
        if let known = self.audiences[key] {
            audience = known
        } else {
            self.lastSubscriber += 1
            let number = self.lastSubscriber * Int64(door.loopCount) + Int64(self.index)
            let id = SubscriberID(number: number, format: format)
            audience = EndpointAudience(id, channel, topic: topic.id)
            self.audiences[key] = audience
            self.audiencesByID[id] = audience
            door.run(on: door.home(of: topic.id)) { home in
                home.topics.join(id, channel, of: topic, door)
                // It may have no connection of its own, and looks all the same whether its topics have grown.
                home.keepSweeping()
            }
        }
        audience.join(member, then)
    }

    /// - Parameter seat: as the channel told it.
    func leave(
        _ channel: EdgeChannel, of topic: TopicID, _ member: EndpointAudience.Member, from seat: Int32?,
        door: EndpointDoor
    ) {
        let key = AudienceKey(topic: topic, channel: channel, format: member.connection.session.format)
        guard let audience = self.audiences[key] else { return }
        audience.leave(member, from: seat)
        guard audience.isEmpty else { return }
        self.audiences[key] = nil
        self.audiencesByID[audience.id] = nil
        let id = audience.id
        door.run(on: door.home(of: topic)) { $0.topics.leave(id, channel, of: topic, door) }
    }

    /// The same channel as the others of this loop know it, so that it is kept once.
    func channel(like channel: EdgeChannel, of topic: TopicID, in format: WireFormat) -> EdgeChannel? {
        self.audiences[AudienceKey(topic: topic, channel: channel, format: format)]?.channel
    }

    /// Where a channel stands for the clients of this loop.
    func place(of channel: EdgeChannel, in topic: TopicID, _ format: WireFormat) -> ChannelPlace? {
        self.audiences[AudienceKey(topic: topic, channel: channel, format: format)]?.place
    }

    // MARK: The newest record of each key

    /// Begins a pass over a channel's partitions when there are not too many: at once, or later. ``endScan()`` follows.
    func beginScan(_ begin: @escaping () -> Void) {
        guard self.scans < Limits.lastValueScansPerLoopMax else { return self.scansWaiting.append(begin) }
        self.scans += 1
        begin()
    }

    func endScan() {
        self.scans -= 1
        guard !self.scansWaiting.isEmpty else { return }
        let begin = self.scansWaiting.removeFirst()
        self.scans += 1
        // In another turn: many that have gone meanwhile would fill the stack.
        self.eventLoop.assumeIsolated().execute { begin() }
    }

    /// Counts the offsets that are held for clients; false when there is no room for so many more.
    @discardableResult
    func holdLastValues(_ more: Int) -> Bool {
        guard more <= 0 || self.lastValuesHeld + more <= Limits.lastValuesHeldPerLoopMax else { return false }
        self.lastValuesHeld += more
        return true
    }

    // MARK: Presence

    /// Tells who came, went, or confirmed: all of a tick in one letter.
    func tell(_ event: EndpointPresence.Event, _ door: EndpointDoor) {
        guard door.keepsPresence else { return }
        self.presence.append(event)
        guard self.presence.count == 1 else { return }
        self.eventLoop.assumeIsolated().execute { self.tellPresence(door) }
    }

    func tellPresence(_ door: EndpointDoor) {
        guard !self.presence.isEmpty else { return }
        let letter = self.presence
        self.presence.removeAll(keepingCapacity: letter.count < 64)
        door.withPresence { $0.take(letter) }
    }

    // MARK: Memory

    /// Counts what is held for messages of clients; false when it is more than there is room for.
    func holds(_ more: Int) -> Bool {
        self.bytesHeld += more
        return self.bytesHeld <= Limits.edgeRequestMemoryPerLoop.rawValue
    }

    // MARK: From the topics' homes

    func joined(_ id: SubscriberID, at place: ChannelPlace) { self.audiencesByID[id]?.joined(at: place) }

    func deliver(_ delivery: HubDelivery, to id: SubscriberID) {
        guard let audience = self.audiencesByID[id] else { return }
        self.counts.pushes += 1
        audience.deliver(delivery)
    }

    func lost(_ range: MissedRange, of id: SubscriberID) { self.audiencesByID[id]?.lost(range) }

    /// The channel can not be had any more: all of its clients here are told.
    func ended(_ id: SubscriberID, _ problem: Problem) { self.audiencesByID[id]?.ended(problem) }

    /// The topic has more partitions: all of the channel's clients here resume.
    func rejoin(_ id: SubscriberID) {
        guard let audience = self.audiencesByID.removeValue(forKey: id) else { return }
        let key = AudienceKey(topic: audience.topic, channel: audience.channel, format: id.format)
        self.audiences[key] = nil
        audience.rejoin()
    }

    // MARK: Flushing

    /// What a connection has to write is written at the end of this tick, in one go. A push to many sockets is written
    /// to so many of them at a time, so that the others of this loop are read meanwhile.
    func flushSoon(_ connection: EndpointConnection) {
        self.unflushed.append(connection)
        guard !self.isFlushing else { return }
        self.isFlushing = true
        self.eventLoop.assumeIsolated().execute { self.flush() }
    }

    private func flush() {
        let end = min(self.unflushed.count, self.flushed + Limits.edgeFlushesPerTickMax)
        while self.flushed < end {
            let connection = self.unflushed[self.flushed]
            self.flushed += 1
            connection.flush()
        }
        if self.flushed < self.unflushed.count {
            self.eventLoop.assumeIsolated().execute { self.flush() }
            return
        }
        self.unflushed.removeAll(keepingCapacity: self.unflushed.capacity <= Limits.edgeFlushesPerTickMax)
        self.flushed = 0
        self.isFlushing = false
    }

    // MARK: The sweep

    /// One for all connections of the loop: none has a timer of its own. Each has its turn once a second, some of them
    /// at a time, so that nobody waits for the sweep of ten thousand.
    func keepSweeping() {
        guard self.sweepTask == nil else { return }
        let period = Limits.connectionSweepPeriod.wholeNanoseconds / Int64(Limits.edgeSweepSlices)
        self.sweepTask = self.eventLoop.assumeIsolated().scheduleTask(in: .nanoseconds(period)) {
            self.sweepTask = nil
            self.sweep()
            if self.connectionCount > 0 || !self.topics.isEmpty { self.keepSweeping() }
        }
    }

    private func sweep() {
        let now = self.clock.now
        if self.roster.isAtBeginning {
            self.topics.sweep(self.upstream)
            self.forgetNobodies()
        }
        let turn = self.roster.next(at: now, rights: self.upstream.rightsVersion)
        for connection in turn.renewed { connection.renewRights() }
        for connection in turn.due { self.roster.leave(connection, until: connection.sweep(at: now)) }
    }

    /// From where nobody is connected any more.
    private func forgetNobodies() {
        var gone: [String] = []
        for index in self.nobodies.indices where isKnownUniquelyReferenced(&self.nobodies.values[index]) {
            gone.append(self.nobodies[index].key)
        }
        for address in gone { self.nobodies[address] = nil }
    }
}
