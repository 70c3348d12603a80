import ApusCore
import ApusFakes
import NIOCore
import Testing
import WebFormats

@testable import EdgeDoor

@Suite("The hub of a topic")
struct TopicHubTests {
    private static let keys = CursorKeys(current: Array(repeating: 3, count: 32))
    private static let id = TopicID(high: 5, low: 6)

    private func hub(_ partitions: Int, _ placement: KeyPlacement = .murmur2) -> TopicHub {
        TopicHub(topic: "t", id: Self.id, partitions: partitions, placement: placement, keys: Self.keys)
    }

    private func partition(_ index: Int) -> PartitionIndex { PartitionIndex(rawValue: Int32(index)) }

    private func subscriber(_ number: Int) -> SubscriberID { SubscriberID(rawValue: Int64(number)) }

    private func record(_ key: String?, _ offset: Int64, _ partition: Int = 0) -> EdgeRecord {
        EdgeRecord(
            partition: self.partition(partition), offset: Offset(rawValue: offset), timestamp: .none,
            key: key.map { ByteBuffer(string: $0) }, value: ByteBuffer(string: "v\(offset)")
        )
    }

    @Test("a partition has one reader, however many clients, and none without them")
    func oneReader() throws {
        var hub = self.hub(2)
        let channel = try EdgeChannel("t")
        var actions: [HubAction] = []
        for number in 0..<1000 { actions += try hub.subscribe(self.subscriber(number), to: channel) }
        #expect(actions == [.startReading(self.partition(0)), .startReading(self.partition(1))])
        #expect(hub.began(self.partition(0), at: Offset(rawValue: 4)) == [])
        #expect(hub.cursor(of: channel) == nil)
        let joined = hub.began(self.partition(1), at: Offset(rawValue: 9))
        let places = ChannelPlace.all([Offset(rawValue: 4), Offset(rawValue: 9)])
        #expect(joined == (0..<1000).map { .joined(self.subscriber($0), channel, at: places) })
        #expect(
            try hub.subscribe(self.subscriber(1000), to: channel) == [
                .joined(self.subscriber(1000), channel, at: places)
            ])
        for number in 0..<1000 { #expect(hub.unsubscribe(self.subscriber(number), from: channel) == []) }
        #expect(
            hub.unsubscribe(self.subscriber(1000), from: channel)
                == [.stopReading(self.partition(0)), .stopReading(self.partition(1))])
        #expect(hub.isEmpty)
        // What the stopped reader still brings goes to nobody.
        #expect(hub.began(self.partition(0), at: .zero) == [])
        #expect(hub.read([self.record(nil, 4)], of: self.partition(0), next: Offset(rawValue: 5)).isEmpty)
    }

    @Test("a key's channel reads the one partition that the key is in")
    func onePartition() throws {
        var hub = self.hub(1000)
        let channel = try EdgeChannel("t/abc")
        #expect(try hub.subscribe(self.subscriber(1), to: channel) == [.startReading(self.partition(107))])
        #expect(
            hub.began(self.partition(107), at: Offset(rawValue: 3))
                == [.joined(self.subscriber(1), channel, at: .one(self.partition(107), Offset(rawValue: 3)))])
        #expect(hub.unsubscribe(self.subscriber(1), from: channel) == [.stopReading(self.partition(107))])
        var wide = self.hub(3, .anywhere)
        #expect(try wide.subscribe(self.subscriber(1), to: channel).count == 3)
    }

    @Test("a record goes to each channel that takes it, in one push for all its subscribers")
    func channels() throws {
        var hub = self.hub(1)
        let names = ["t", "t/a", "t/a*", "t/b"]
        for (number, name) in names.enumerated() {
            _ = try hub.subscribe(self.subscriber(number), to: try EdgeChannel(name))
            _ = try hub.subscribe(self.subscriber(number + 10), to: try EdgeChannel(name))
        }
        _ = hub.began(self.partition(0), at: .zero)
        let deliveries = hub.read(
            [self.record("a", 0), self.record("ab", 1), self.record(nil, 2), self.record("c", 3)],
            of: self.partition(0),
            next: Offset(rawValue: 6)
        )
        #expect(deliveries.map(\.channel.description).sorted() == ["t", "t/a", "t/a*"])
        for delivery in deliveries {
            #expect(delivery.recordCount == ["t": 4, "t/a": 1, "t/a*": 2][delivery.channel.description])
            #expect(delivery.range == MissedRange(partition: self.partition(0), from: .zero, to: Offset(rawValue: 6)))
            #expect(delivery.subscribers.count == 2 && delivery.subscribers == delivery.subscribers.sorted())
            #expect(delivery.push.eventID != nil)
        }
        #expect(hub.read([], of: self.partition(0), next: Offset(rawValue: 9)).isEmpty)
    }

    @Test("a push of a topic with many partitions carries a step, and now and then a whole cursor")
    func steps() throws {
        var hub = self.hub(500)
        let channel = try EdgeChannel("t")
        _ = try hub.subscribe(self.subscriber(1), to: channel)
        for index in 0..<500 { _ = hub.began(self.partition(index), at: Offset(rawValue: 1_000_000)) }
        var lengths: [Int] = []
        for round in 0..<5000 {
            let offset = Offset(rawValue: 1_000_000 + Int64(round))
            let delivery = hub.read([self.record("k", offset.rawValue, 7)], of: self.partition(7), next: offset.next)
            lengths.append(try #require(delivery.first).push.body.readableBytes)
        }
        // The first is whole, for nothing stands in front of it.
        let whole = lengths.count { $0 > 500 }
        #expect(lengths[0] > 500 && whole > 1 && whole < 20)
        #expect(lengths.filter { $0 < 500 }.allSatisfy { $0 < 200 })
    }

    /// A client as a browser has it: it keeps what pushes tell it to keep, and nothing else.
    private struct Client {
        let channel: EdgeChannel
        var seen: [EdgeRecordPlace] = []
        var wanted: [EdgeRecordPlace] = []
        var cursor: ByteBuffer?
        var steps: [PartitionIndex: ByteBuffer] = [:]
        var joined: ChannelPlace?
    }

    private struct EdgeRecordPlace: Hashable, Comparable {
        let partition: Int32
        let offset: Int64

        static func < (left: Self, right: Self) -> Bool {
            (left.partition, left.offset) < (right.partition, right.offset)
        }
    }

    @Test(
        "whoever joins sees each record of its channel once, and its cursors stand right behind the last",
        arguments: 0..<60 as Range<UInt64>)
    func everyRecordOnce(seed: UInt64) throws {
        var generator = SplitMix64(seed: seed)
        let partitions = 1 + generator.below(20)
        let placement: KeyPlacement = generator.isOne(in: 2) ? .murmur2 : .anywhere
        var hub = self.hub(partitions, placement)
        var clients: [SubscriberID: Client] = [:]
        var ends = (0..<partitions).map { _ in Int64(generator.below(50)) }
        let names = ["t", "t/a", "t/b", "t/a*", "t/*", "t/ab"]

        func run(_ actions: [HubAction]) {
            for action in actions {
                switch action {
                case .startReading(let partition):
                    run(hub.began(partition, at: Offset(rawValue: ends[Int(partition.rawValue)])))
                case .joined(let subscriber, let channel, let places):
                    clients[subscriber]?.joined = places
                    clients[subscriber]?.cursor = hub.cursor(of: channel)?.text
                case .stopReading: break
                }
            }
        }

        for step in 0..<300 {
            switch generator.below(10) {
            case 0:
                let channel = try EdgeChannel(names[generator.below(names.count)])
                clients[self.subscriber(step)] = Client(channel: channel)
                run(try hub.subscribe(self.subscriber(step), to: channel))
            case 1:
                guard let gone = clients.keys.sorted().first, let client = clients.removeValue(forKey: gone) else {
                    break
                }
                try self.check(client, ends: ends)
                run(hub.unsubscribe(gone, from: client.channel))
            default:
                let key = [nil, "a", "b", "ab", "c"][generator.below(5)]
                let bytes = key.map { ByteBuffer(string: $0) }
                let placed = bytes.map { Murmur2.partition(of: $0, count: partitions) }
                let index = placement == .murmur2 ? placed ?? generator.below(partitions) : generator.below(partitions)
                let record = self.record(key, ends[index], index)
                // Control records of transactions leave holes in the offsets.
                ends[index] += 1 + Int64(generator.below(3))
                for subscriber in clients.keys where clients[subscriber]?.channel.takes(bytes) == true {
                    clients[subscriber]?.wanted.append(.init(partition: Int32(index), offset: record.offset.rawValue))
                }
                let next = Offset(rawValue: ends[index])
                for delivery in hub.read([record], of: self.partition(index), next: next) {
                    for subscriber in delivery.subscribers { try self.take(delivery, by: &clients[subscriber]) }
                }
            }
        }
        for client in clients.values { try self.check(client, ends: ends) }
    }

    private func take(_ delivery: HubDelivery, by client: inout Client?) throws {
        let fields = try JSONValue(delivery.push.body).object()
        for record in try #require(fields["records"]).elements(max: 10) {
            let record = try record.object()
            let partition = Int32(truncatingIfNeeded: try #require(record["partition"]?.integer))
            client?.seen.append(.init(partition: partition, offset: try #require(record["offset"]?.integer)))
        }
        if let cursor = fields["cursor"]?.textBytes {
            client?.cursor = cursor
            client?.steps = [:]
        }
        if let step = fields["step"]?.textBytes { client?.steps[delivery.range.partition] = step }
    }

    private func check(_ client: Client, ends: [Int64]) throws {
        #expect(client.joined != nil)
        #expect(client.seen == client.wanted)
        let seal = CursorSeal(keys: Self.keys, topic: Self.id, selection: client.channel.selection)
        let kept = [try #require(client.cursor)] + client.steps.values
        let placement: KeyPlacement = client.joined?.partitions.count == ends.count ? .anywhere : .murmur2
        let resumption = try Resumption(
            try kept.map { try seal.cursor(in: $0) },
            kept: ends.map { KeptRange(start: .zero, end: Offset(rawValue: $0)) },
            partition: client.channel.partition(of: ends.count, placement: placement)
        )
        #expect(resumption.isRecovered)
        for place in client.seen {
            #expect(try #require(resumption.starts[self.partition(Int(place.partition))]).rawValue > place.offset)
        }
        for (partition, start) in resumption.starts {
            // Nothing that the client was given lies ahead, and nothing that it was not given lies behind.
            #expect(start.rawValue <= ends[Int(partition.rawValue)])
            #expect(start >= (client.joined?[partition] ?? .zero))
        }
    }
}
