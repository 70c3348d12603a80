import ApusCore
import ApusFakes
import NIOCore
import Testing
import WebFormats

@testable import EdgeDoor

/// A topic, its hub, and clients that come, fall behind, go elsewhere and come back, all of it from one seed. The
/// clients hold what they are given against the whole history.
@Suite("The history of an edge")
struct EdgeHistoryTests {
    @Test(
        "every client is given each record of its channel once, in order, or is told exactly what is gone",
        arguments: 0..<50 as Range<UInt64>)
    func history(seed: UInt64) throws {
        var world = try EdgeWorld(seed: seed)
        for _ in 0..<250 { try world.step() }
        try world.settle()
        #expect(world.recordsTaken + world.recordsMissed > 0)
    }

    @Test("the histories reach what they are for")
    func reach() throws {
        var (gaps, lags, resumes, catchUps, shares) = (0, 0, 0, 0, 0)
        for seed in 0..<30 as Range<UInt64> {
            var world = try EdgeWorld(seed: seed)
            for _ in 0..<250 { try world.step() }
            try world.settle()
            gaps += world.gaps
            lags += world.lags
            resumes += world.resumes
            catchUps += world.reads
            shares += world.shares
        }
        #expect(gaps > 20)
        #expect(lags > 5)
        #expect(resumes > 50)
        #expect(catchUps > 300)
        #expect(shares > 3)
    }
}

/// One client, as a browser has it.
private struct WorldClient {
    let channel: EdgeChannel
    let subscriber: SubscriberID
    let placement: KeyPlacement
    var session: EdgeSession
    /// Its connection's place among the channel's; nil while it has not joined.
    var token: SubscriptionToken?
    /// Where live pushes stand for it.
    var live: ChannelPlace?
    var plan: (SubscriptionToken, StartPlan)?
    var read: (SubscriptionToken, PastReading)?
    var requests: Int64 = 0
    /// What it keeps to resume with.
    var cursor: ByteBuffer?
    var steps: [PartitionIndex: ByteBuffer] = [:]
    /// In each partition: it was given, or told that it misses, all of the channel in front of this.
    var next: [PartitionIndex: Offset] = [:]
}

private struct EdgeWorld {
    private static let keys = CursorKeys(current: Array(repeating: 3, count: 32))
    private static let id = TopicID(high: 5, low: 6)

    private var generator: SplitMix64
    private let now = Instant(nanoseconds: 1_000_000_000)
    private var hub: TopicHub
    private let placement: KeyPlacement
    /// All there ever was: nil is an offset without a record.
    private var history: [[EdgeRecord?]]
    private var starts: [Int]
    private var readers: [Int?]
    private var clients: [WorldClient] = []
    private var subscribers: Int64 = 0
    /// What clients were read of the past.
    private var pieces: [(channel: EdgeChannel, piece: PastPiece)] = []
    var recordsTaken = 0
    var recordsMissed = 0
    var gaps = 0
    var lags = 0
    var resumes = 0
    var reads = 0
    var shares = 0

    init(seed: UInt64) throws {
        self.generator = SplitMix64(seed: seed)
        let partitions = 1 + self.generator.below(12)
        self.placement = self.generator.isOne(in: 2) ? .murmur2 : .anywhere
        self.hub = TopicHub(
            topic: "t", id: Self.id, partitions: partitions, placement: self.placement, keys: Self.keys)
        self.history = Array(repeating: [], count: partitions)
        self.starts = Array(repeating: 0, count: partitions)
        self.readers = Array(repeating: nil, count: partitions)
        for _ in 0..<self.generator.below(60) { self.produce() }
        for _ in 0..<4 { try self.comes() }
    }

    // MARK: What happens

    mutating func step() throws {
        switch self.generator.below(24) {
        case 0...4: self.produce()
        case 5...9: try self.readLive(self.generator.below(self.history.count))
        case 10: self.trim()
        case 11...14: try self.readPast(self.generator.below(self.clients.count))
        case 15, 16: try self.drain(self.generator.below(self.clients.count))
        case 17...20: try self.begin(self.generator.below(self.clients.count))
        case 21, 22: try self.wander(self.generator.below(self.clients.count))
        default: try self.comesBack(self.generator.below(self.clients.count))
        }
    }

    /// Nothing new comes, and all sockets take what there is: everybody gets to the end.
    mutating func settle() throws {
        for _ in 0..<60 {
            for index in self.history.indices where self.readers[index] != nil { try self.readLive(index, all: true) }
            for index in self.clients.indices {
                try self.begin(index)
                try self.readPast(index)
                try self.drain(index, all: true)
            }
        }
        for client in self.clients {
            #expect(client.token != nil && client.read == nil && client.plan == nil)
            for (partition, next) in client.next {
                #expect(self.nextRecord(of: client.channel, partition, from: next) == nil, "\(client.channel)")
            }
        }
    }

    private mutating func produce() {
        let key = [nil, "a", "b", "ab", "c"][self.generator.below(5)].map { ByteBuffer(string: $0) }
        let count = self.history.count
        let placed = key.map { Murmur2.partition(of: $0, count: count) }
        let index =
            self.placement == .murmur2 ? placed ?? self.generator.below(count) : self.generator.below(count)
        let length = self.generator.isOne(in: 40) ? 200_000 : self.generator.below(50)
        self.history[index].append(
            EdgeRecord(
                partition: self.partition(index), offset: self.offset(self.history[index].count), timestamp: .none,
                key: key, value: ByteBuffer(repeating: UInt8(ascii: "v"), count: length)))
        // Control records and compaction leave holes in the offsets.
        if self.generator.isOne(in: 5) { self.history[index].append(nil) }
    }

    private mutating func trim() {
        let index = self.generator.below(self.history.count)
        self.starts[index] += self.generator.below(self.history[index].count - self.starts[index] + 1)
    }

    // MARK: Live

    private mutating func readLive(_ index: Int, all: Bool = false) throws {
        guard var from = self.readers[index] else { return }
        let end = self.history[index].count
        if from < self.starts[index] {
            from = self.starts[index]
            for loss in self.hub.lost(self.partition(index), upTo: self.offset(from)) {
                for place in self.clients.indices where loss.subscribers.contains(self.clients[place].subscriber) {
                    self.clients[place].live?.advance(loss.range.partition, to: loss.range.to)
                    guard let token = self.clients[place].token else { continue }
                    try self.run(self.clients[place].session.lost(loss.range, for: token), place)
                }
            }
        }
        let to = all ? end : from + self.generator.below(end - from + 1)
        self.readers[index] = to
        let records = self.history[index][from..<to].compactMap { $0 }
        for delivery in self.hub.read(records, of: self.partition(index), next: self.offset(to)) {
            for place in self.clients.indices where delivery.subscribers.contains(self.clients[place].subscriber) {
                try self.deliver(delivery, to: place)
            }
        }
    }

    private mutating func deliver(_ delivery: HubDelivery, to place: Int) throws {
        self.clients[place].live?.advance(by: delivery)
        guard let token = self.clients[place].token else { return }
        switch self.clients[place].session.pushed(delivery, to: token) {
        case .push: try self.take(delivery.push, place)
        case .leaveOut: break
        case .act(let actions): try self.run(actions, place)
        }
    }

    private mutating func run(_ actions: [HubAction]) {
        for action in actions {
            switch action {
            case .startReading(let partition):
                let index = Int(partition.rawValue)
                self.readers[index] = self.history[index].count
                self.run(self.hub.began(partition, at: self.offset(self.history[index].count)))
            case .stopReading(let partition): self.readers[Int(partition.rawValue)] = nil
            case .joined(let subscriber, _, let place):
                guard let index = self.clients.firstIndex(where: { $0.subscriber == subscriber }) else { continue }
                self.clients[index].live = place
            }
        }
    }

    // MARK: Clients

    private mutating func comes(_ cursors: [ByteBuffer] = [], of old: WorldClient? = nil) throws {
        let names = ["t", "t/a", "t/b", "t/a*", "t/*", "t/ab"]
        let channel = try old?.channel ?? EdgeChannel(names[self.generator.below(names.count)])
        self.subscribers += 1
        var client = WorldClient(
            channel: channel, subscriber: SubscriberID(rawValue: self.subscribers), placement: self.placement,
            session: EdgeSession(at: self.now, isConnected: true))
        client.next = old?.next ?? [:]
        self.clients.append(client)
        self.run(try self.hub.subscribe(client.subscriber, to: channel))
        let slow = self.generator.isOne(in: 4) ? "close" : "skip"
        let credit = self.generator.isOne(in: 2) ? #","credit":\#(1 + self.generator.below(5))"# : ""
        let list = cursors.map { "\"\(String(buffer: $0))\"" }.joined(separator: ",")
        let start = cursors.isEmpty ? #""from":"\#(self.anyStart())""# : #""cursor":[\#(list)]"#
        try self.ask(#""op":"subscribe","channel":"\#(channel)","slow":"\#(slow)",\#(start)\#(credit)"#, index: nil)
    }

    private mutating func anyStart() -> String {
        switch self.generator.below(5) {
        case 0: "latest"
        case 1: "earliest"
        case 2: "-\(self.generator.below(20))"
        default: "\(self.generator.below(30))"
        }
    }

    private mutating func ask(_ fields: String, index: Int?) throws {
        let index = index ?? self.clients.count - 1
        self.clients[index].requests += 1
        let line = #"{"id":\#(self.clients[index].requests),\#(fields)}"#
        try self.run(self.clients[index].session.received(ByteBuffer(string: line), at: self.now), index)
    }

    /// Its connection is cut, and it resumes with what it kept.
    private mutating func comesBack(_ index: Int) throws {
        guard let cursor = self.clients[index].cursor, !self.clients[index].next.isEmpty else { return }
        let client = self.clients.remove(at: index)
        self.run(self.hub.unsubscribe(client.subscriber, from: client.channel))
        self.resumes += 1
        try self.comes([cursor] + client.steps.values, of: client)
    }

    private mutating func wander(_ index: Int) throws {
        let channel = self.clients[index].channel
        switch self.generator.below(3) {
        case 0: try self.ask(#""op":"seek","channel":"\#(channel)","from":"\#(self.anyStart())""#, index: index)
        case 1:
            try self.ask(#""op":"flow","channel":"\#(channel)","credit":\#(1 + self.generator.below(9))"#, index: index)
        default:
            try self.ask(#""op":"unsubscribe","channel":"\#(channel)""#, index: index)
            try self.ask(#""op":"subscribe","channel":"\#(channel)","from":"\#(self.anyStart())""#, index: index)
        }
    }

    /// The broker has told what the partitions have.
    private mutating func begin(_ index: Int) throws {
        guard let (token, plan) = self.clients[index].plan, let live = self.clients[index].live else { return }
        self.clients[index].plan = nil
        var kept: [PartitionIndex: KeptRange] = [:]
        for partition in plan.asked {
            let index = Int(partition.rawValue)
            kept[partition] = KeptRange(
                start: self.offset(self.starts[index]), end: self.offset(self.history[index].count))
        }
        let start = try plan.begin(at: live, kept: kept)
        self.clients[index].token = token
        try self.joined(index, start)
        try self.run(self.clients[index].session.subscribed(token, .success(start)), index)
    }

    private mutating func joined(_ index: Int, _ start: SubscriptionStart) throws {
        let client = self.clients[index]
        let seal = CursorSeal(keys: Self.keys, topic: Self.id, selection: client.channel.selection)
        let before = client.next
        self.clients[index].next = [:]
        switch try seal.cursor(in: start.cursor.text) {
        case .single(let partition, let next): self.clients[index].next = [partition: next]
        case .whole(let places):
            for (index2, place) in places.enumerated() { self.clients[index].next[self.partition(index2)] = place }
        case .step: Issue.record("a subscription begins with a step")
        }
        self.clients[index].cursor = start.cursor.text
        self.clients[index].steps = [:]
        guard self.clients[index].requests == 1, !before.isEmpty else { return }
        // It resumed: no record of the channel lies between what it had and where it goes on but what it was told of.
        for (partition, next) in before {
            let gone = start.gaps.compactMap { gap -> Offset? in
                guard case .expired(partition, _, let to) = gap else { return nil }
                return to
            }
            self.gaps += gone.count
            let now = try #require(self.clients[index].next[partition])
            let from = max(next, gone.first ?? .zero)
            let skipped = self.nextRecord(of: client.channel, partition, from: from)
            #expect(skipped.map { $0 >= now } ?? true, "\(client.channel) \(partition): \(next) to \(now)")
            self.clients[index].next[partition] = max(now, next)
        }
    }

    private mutating func readPast(_ index: Int) throws {
        guard let (token, reading) = self.clients[index].read else { return }
        self.clients[index].read = nil
        self.reads += 1
        let channel = self.clients[index].channel
        // What another was read, as it stood in the log then.
        if !self.generator.isOne(in: 4),
            let shared = self.pieces.last(where: { $0.channel == channel && $0.piece.serves(reading) })
        {
            self.shares += 1
            return try self.run(self.clients[index].session.found(token, .success(shared.piece)), index)
        }
        var finds: [CatchUp.Found] = []
        for wish in reading.wishes where !self.generator.isOne(in: 6) {
            let index = Int(wish.partition.rawValue)
            let (start, end) = (self.starts[index], self.history[index].count)
            let from = Int(wish.from.rawValue)
            guard from >= start, from <= end else {
                finds.append(.gone(wish.partition, start: self.offset(start), end: self.offset(end)))
                continue
            }
            let to = min(end, from + 1 + self.generator.below(20))
            // Whole batches come: they may begin in front of what was asked for.
            let first = max(start, from - self.generator.below(3))
            let records = self.history[index][first..<to].compactMap { $0 }.filter { channel.takes($0.key) }
            finds.append(.records(wish.partition, records, next: self.offset(to)))
        }
        let seal = CursorSeal(keys: Self.keys, topic: Self.id, selection: channel.selection)
        let piece = PastPiece(finds, for: reading, of: channel, seal: seal, in: .json)
        if piece.isWhole { self.pieces.append((channel, piece)) }
        try self.run(self.clients[index].session.found(token, .success(piece)), index)
    }

    /// The socket takes something.
    private mutating func drain(_ index: Int, all: Bool = false) throws {
        let owed = self.clients[index].session.bytesOwed.rawValue
        let left = all ? 0 : self.generator.below(owed + 1)
        try self.run(self.clients[index].session.left(.bytes(left)), index)
        guard all else { return }
        let channel = self.clients[index].channel
        try self.ask(#""op":"flow","channel":"\#(channel)","credit":1000"#, index: index)
    }

    private mutating func run(_ actions: [SessionAction], _ index: Int) throws {
        for action in actions {
            switch action {
            case .subscribe(let token, let channel, let start):
                let seal = CursorSeal(keys: Self.keys, topic: Self.id, selection: channel.selection)
                let plan = try StartPlan(
                    start, of: channel, partitions: self.history.count, placement: self.placement, seal: seal)
                self.clients[index].plan = (token, plan)
            case .unsubscribe(let token, _):
                if self.clients[index].token == token { self.clients[index].token = nil }
                if self.clients[index].plan?.0 == token { self.clients[index].plan = nil }
                if self.clients[index].read?.0 == token { self.clients[index].read = nil }
            case .read(let token, _, let reading):
                #expect(self.clients[index].read == nil, "one read at a time")
                self.clients[index].read = (token, reading)
            case .push(let push): try self.take(push, index)
            case .tellLagging(_, let channel, let ranges):
                self.lags += 1
                for range in ranges { self.miss(range, index) }
                let seal = CursorSeal(keys: Self.keys, topic: Self.id, selection: channel.selection)
                let live = try #require(self.clients[index].live)
                self.clients[index].cursor = SealedCursor(live.cursor, by: seal).text
                self.clients[index].steps = [:]
            case .tell(.gone(_, let ranges)):
                self.gaps += 1
                for range in ranges { self.miss(range, index) }
            case .close:
                // Too slow: it comes back as a new connection.
                let client = self.clients[index]
                self.clients[index].session = EdgeSession(at: self.now, isConnected: true)
                self.clients[index].requests = 0
                let list = ([try #require(client.cursor)] + client.steps.values).map { "\"\(String(buffer: $0))\"" }
                try self.ask(
                    #""op":"subscribe","channel":"\#(client.channel)","cursor":[\#(list.joined(separator: ","))]"#,
                    index: index)
            case .tell, .send, .perform, .authenticate, .ping: break
            }
        }
    }

    // MARK: What a client makes of it

    private mutating func take(_ push: Push, _ index: Int) throws {
        let fields = try JSONValue(push.body).object()
        var last: PartitionIndex?
        for record in try #require(fields["records"]).elements(max: 10_000) {
            let record = try record.object()
            let partition = self.partition(Int(try #require(record["partition"]?.integer)))
            let offset = Offset(rawValue: try #require(record["offset"]?.integer))
            let next = self.clients[index].next[partition] ?? .zero
            let expected = self.nextRecord(of: self.clients[index].channel, partition, from: next)
            #expect(offset == expected, "\(self.clients[index].channel) \(partition)")
            self.clients[index].next[partition] = offset.next
            self.recordsTaken += 1
            last = partition
        }
        if let cursor = fields["cursor"]?.textBytes {
            self.clients[index].cursor = cursor
            self.clients[index].steps = [:]
        }
        if let step = fields["step"]?.textBytes, let last { self.clients[index].steps[last] = step }
    }

    private mutating func miss(_ range: MissedRange, _ index: Int) {
        let next = self.clients[index].next[range.partition] ?? .zero
        let skipped = self.nextRecord(of: self.clients[index].channel, range.partition, from: next)
        #expect(skipped.map { $0 >= range.from } ?? true, "more is missing than was told")
        self.clients[index].next[range.partition] = max(next, range.to)
        self.recordsMissed += 1
    }

    private func nextRecord(of channel: EdgeChannel, _ partition: PartitionIndex, from: Offset) -> Offset? {
        let all = self.history[Int(partition.rawValue)]
        guard from.rawValue < all.count else { return nil }
        return all[Int(from.rawValue)...].compactMap { $0 }.first { channel.takes($0.key) }?.offset
    }

    private func partition(_ index: Int) -> PartitionIndex { PartitionIndex(rawValue: Int32(index)) }
    private func offset(_ number: Int) -> Offset { Offset(rawValue: Int64(number)) }
}
