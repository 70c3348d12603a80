import ApusCore
import NIOCore
import Testing

@testable import ApusPresence

/// A coordinator, its log, and endpoint servers, with a network and a disk between them that a test moves by hand.
struct PresenceWorld {
    struct Letter {
        var node: Int
        var report: PresenceReport
    }

    struct Reply {
        var node: Int
        /// Which process of that node it is for.
        var process: Int
        var report: PresenceReport
        var answer: Result<PresenceAnswer, PresenceError>
    }

    struct Server {
        var node: PresenceNode
        var process = 0
        var connections: [PresencePlace: PresenceGuest] = [:]
        var connectionLast = 0
        var isPaused = false
    }

    var now = Instant(nanoseconds: 1_000_000_000)
    var wall = Timestamp(rawValue: 1_000_000)
    private(set) var log: [PresenceRecord] = []
    private(set) var coordinator = PresenceCoordinator(start: Epoch(rawValue: 1))
    private var start: Int32 = 1
    private var writes: [PresenceWrite] = []
    private var waiting: [PresenceToken: Letter] = [:]
    private var tokens: UInt64 = 0
    var network: [Letter] = []
    var replies: [Reply] = []
    var servers: [Server]
    /// What is wrong with the log: a join of one who is there, a leave of one who is not.
    private(set) var faults: [String] = []
    private var present: [String: Bool] = [:]

    init(servers count: Int) {
        self.servers = (0..<count).map { Server(node: PresenceNode(name: "edge-\($0)", isAlone: $0 == 0)) }
        self.coordinator.loaded(at: self.now)
    }

    // MARK: Endpoint servers

    mutating func join(_ index: Int, _ channel: String) -> PresencePlace {
        self.servers[index].connectionLast += 1
        let place = PresencePlace(
            channel: channel, connection: "p\(self.servers[index].process)-c\(self.servers[index].connectionLast)")
        self.join(index, place)
        return place
    }

    mutating func join(_ index: Int, _ place: PresencePlace) {
        let guest = PresenceGuest(user: "User:\(index)", client: place.connection)
        self.servers[index].connections[place] = guest
        self.servers[index].node.joined(place, guest, at: self.wall)
    }

    mutating func leave(_ index: Int, _ place: PresencePlace, _ reason: PresenceLeave = .closed) {
        self.servers[index].connections[place] = nil
        self.servers[index].node.left(place, reason, at: self.wall)
    }

    mutating func confirm(_ index: Int, _ place: PresencePlace, _ next: Int64, of partition: Int32 = 0) {
        guard let guest = self.servers[index].connections[place] else { return }
        let seen = PresenceSeen(
            partition: PartitionIndex(rawValue: partition), next: Offset(rawValue: next), at: self.wall)
        self.servers[index].node.confirmed(place, guest, [seen])
    }

    /// Its process dies with all its connections, and another of its name begins.
    mutating func kill(_ index: Int) {
        let name = self.servers[index].node.name
        let process = self.servers[index].process + 1
        self.servers[index] = Server(node: PresenceNode(name: name, isAlone: index == 0), process: process)
    }

    mutating func poll(_ index: Int) {
        guard !self.servers[index].isPaused, let report = self.servers[index].node.nextReport(at: self.now) else {
            return
        }
        self.network.append(Letter(node: index, report: report))
    }

    mutating func hear(_ reply: Reply) {
        guard self.servers[reply.node].process == reply.process else { return }
        self.servers[reply.node].node.answered(reply.report, reply.answer, at: self.now)
    }

    // MARK: The coordinator

    mutating func deliver(_ letter: Letter) {
        self.tokens += 1
        let token = PresenceToken(rawValue: self.tokens)
        self.waiting[token] = letter
        self.act { coordinator, now, _, actions in coordinator.report(letter.report, token, at: now, into: &actions) }
    }

    mutating func tick() {
        guard let deadline = self.coordinator.deadline, deadline <= self.now else { return }
        self.act { coordinator, now, wall, actions in coordinator.tick(at: now, wall: wall, into: &actions) }
    }

    /// The disk does one write, or refuses it.
    mutating func write(refusing: Bool = false) {
        guard !self.writes.isEmpty else { return }
        let write = self.writes.removeFirst()
        if refusing {
            self.act { coordinator, _, _, actions in coordinator.failed(write.id, into: &actions) }
        } else {
            for record in write.records { self.append(record) }
            self.act { coordinator, _, _, actions in coordinator.written(write.id, into: &actions) }
        }
    }

    /// The broker dies and begins anew with what is in the log.
    mutating func crash() {
        (self.writes, self.waiting, self.network) = ([], [:], [])
        self.start += 1
        self.load()
    }

    private mutating func load() {
        self.coordinator = PresenceCoordinator(start: Epoch(rawValue: self.start))
        for record in self.log {
            // As the log has them.
            guard let read = PresenceRecord(key: record.key, value: record.value) else {
                self.faults.append("a record can not be read: \(record)")
                continue
            }
            self.coordinator.load(read)
        }
        self.coordinator.loaded(at: self.now)
    }

    private mutating func act(
        _ event: (inout PresenceCoordinator, Instant, Timestamp, inout PresenceActions) -> Void
    ) {
        var actions = PresenceActions()
        event(&self.coordinator, self.now, self.wall, &actions)
        self.writes += actions.writes
        if actions.isLost {
            self.coordinator.resign(into: &actions)
            self.writes = []
            self.load()
        }
        for (token, answer) in actions.replies {
            guard let letter = self.waiting.removeValue(forKey: token) else {
                self.faults.append("answered twice")
                continue
            }
            let process = self.servers[letter.node].process
            self.replies.append(Reply(node: letter.node, process: process, report: letter.report, answer: answer))
        }
    }

    // MARK: The log

    private mutating func append(_ record: PresenceRecord) {
        self.log.append(record)
        let key = String(decoding: record.key.readableBytesView, as: UTF8.self)
        switch record {
        case .join:
            if self.present[key] != nil { self.faults.append("joined twice: \(key)") }
            self.present[key] = true
        case .leave:
            if self.present[key] != true { self.faults.append("left without being there: \(key)") }
            self.present[key] = false
        case .over(_, _, isReceipt: false):
            if self.present[key] != false { self.faults.append("over without a leave: \(key)") }
            self.present[key] = nil
        case .receipt, .over: break
        }
    }

    /// Those who are there by the log.
    var there: Set<String> { Set(self.present.filter(\.value).keys) }

    /// Everything goes as it should, for so long, in steps of a tenth of a second.
    mutating func settle(for duration: Duration = .seconds(60)) {
        for index in self.servers.indices { self.servers[index].isPaused = false }
        for _ in 0..<Int(duration / .milliseconds(100)) {
            self.advance(.milliseconds(100))
            self.tick()
            for index in self.servers.indices { self.poll(index) }
            while !self.network.isEmpty { self.deliver(self.network.removeFirst()) }
            while !self.writes.isEmpty { self.write() }
            while !self.replies.isEmpty { self.hear(self.replies.removeFirst()) }
        }
    }

    mutating func advance(_ duration: Duration) {
        self.now = self.now.advanced(by: duration)
        self.wall = self.wall.later(by: duration)
    }
}
