import ApusAccess
import ApusCore
import NIOCore
import WebFormats

/// What the connections of one event loop share: the channels that they are in, the sweep, and the flush at the end of
/// a tick. Owner: its event loop; touched nowhere else.
final class EndpointLoop {
    let eventLoop: any EventLoop
    let index: Int
    let turns: EndpointTurns
    /// The topics whose home this loop is.
    let topics: EndpointTopics
    let past: EndpointPast
    private let upstream: any EdgeUpstream
    private let clock: any Clock
    /// For operators.
    var counts = EndpointCounts()
    private var roster = EndpointRoster()
    /// Clients that have not said who they are, by their addresses.
    private var nobodies: [String: EndpointClient] = [:]
    /// Reads for one connection after the other, where nothing is kept in between.
    var spareReader: EndpointConnection.Reader?
    private(set) var audiences = EndpointAudiences()
    /// Of the last pushes that clients were given one after the other.
    private var frames: [SharedFrames] = []
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

    init(_ eventLoop: any EventLoop, index: Int, upstream: any EdgeUpstream, clock: any Clock) {
        self.eventLoop = eventLoop
        self.index = index
        self.upstream = upstream
        self.clock = clock
        self.turns = EndpointTurns(eventLoop: eventLoop)
        self.topics = EndpointTopics(eventLoop)
        self.past = EndpointPast(self.turns, upstream: upstream, clock: clock)
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
    /// stands, from which on the connection is given everything. The connection is told the audience before.
    func join(
        _ channel: EdgeChannel, of topic: EdgeTopic, _ member: EndpointAudience.Member, door: EndpointDoor,
        then: @escaping (Result<ChannelPlace, Problem>) -> Void
    ) {
        let format = member.connection.session.format
        let (id, isNew) = self.audiences.audience(of: channel, in: topic.id, format)
        member.connection.joins(member.token, id)
        self.audiences.several(id)?.join(member, then)
        if isNew, let channel = self.audiences.channel(of: id) {
            let subscriber = id.subscriber(on: self.index, of: door.loopCount, format)
            door.run(on: door.home(of: topic.id)) { home in
                home.topics.join(subscriber, channel, of: topic, door)
                // It may have no connection of its own, and looks all the same whether its topics have grown.
                home.keepSweeping()
            }
        }
        self.audiences.settle(id)
    }

    /// - Parameter seat: as the channel told it.
    func leave(_ id: AudienceID, _ member: EndpointAudience.Member, from seat: Int32?, door: EndpointDoor) {
        guard let channel = self.audiences.channel(of: id), let topic = self.audiences.topic(of: id),
            self.audiences.leave(id, member, from: seat)
        else { return }
        let subscriber = id.subscriber(on: self.index, of: door.loopCount, member.connection.session.format)
        door.run(on: door.home(of: topic)) { $0.topics.leave(subscriber, channel, of: topic, door) }
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

    func joined(_ subscriber: SubscriberID, at place: ChannelPlace, of loops: Int) {
        let id = AudienceID(subscriber, of: loops)
        guard case .several(let audience)? = self.audiences.hearers(of: id) else { return }
        audience.joined(at: place)
        self.audiences.settle(id)
    }

    func deliver(_ delivery: HubDelivery, to subscriber: SubscriberID, of loops: Int) {
        let hearers = self.audiences.hearers(of: AudienceID(subscriber, of: loops), behind: delivery.range)
        guard let hearers else { return }
        self.counts.pushes += 1
        switch hearers {
        case .sole(let connection, let token):
            connection.pushed(delivery, SharedFrames(delivery.push, subscriber.format), to: token)
        case .several(let audience): audience.deliver(delivery, subscriber.format)
        }
    }

    func lost(_ range: MissedRange, of subscriber: SubscriberID, of loops: Int) {
        switch self.audiences.hearers(of: AudienceID(subscriber, of: loops), behind: range) {
        case nil: break
        case .sole(let connection, let token): connection.lost(range, token)
        case .several(let audience): audience.lost(range)
        }
    }

    /// The channel can not be had any more: all of its clients here are told.
    func ended(_ subscriber: SubscriberID, _ problem: Problem, of loops: Int) {
        switch self.audiences.hearers(of: AudienceID(subscriber, of: loops)) {
        case nil: break
        case .sole(let connection, let token): connection.ended(token, problem)
        case .several(let audience): audience.ended(problem)
        }
    }

    /// The topic has more partitions: all of the channel's clients here resume.
    func rejoin(_ subscriber: SubscriberID, of loops: Int) {
        let id = AudienceID(subscriber, of: loops)
        guard let channel = self.audiences.channel(of: id), let topic = self.audiences.topic(of: id),
            let audience = self.audiences.several(id)
        else { return }
        self.audiences.close(id)
        audience.rejoin(channel, of: topic)
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
        var bytes = 0
        while self.flushed < end, bytes < Limits.edgeFlushBytesPerTickMax.rawValue {
            let connection = self.unflushed[self.flushed]
            self.flushed += 1
            bytes += connection.flush()
        }
        guard self.flushed == self.unflushed.count else { return self.turns.inTurn { self.flush() } }
        self.unflushed.removeAll(keepingCapacity: self.unflushed.capacity <= Limits.edgeFlushesPerTickMax)
        self.flushed = 0
        self.isFlushing = false
    }

    /// The frames of a push, which others may have been given just before.
    func frames(of push: Push, _ format: WireFormat) -> SharedFrames {
        if let known = self.frames.last(where: { $0.isOf(push, format) }) { return known }
        if self.frames.count >= Limits.edgeFramesKeptPerLoop { self.frames.removeFirst() }
        let frames = SharedFrames(push, format)
        self.frames.append(frames)
        return frames
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
            self.past.sweep()
            self.frames = []
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
