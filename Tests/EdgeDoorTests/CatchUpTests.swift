import ApusCore
import ApusFakes
import NIOCore
import Testing
import WebFormats

@testable import EdgeDoor

@Suite("Catching up")
struct CatchUpTests {
    private static let seal = CursorSeal(
        keys: CursorKeys(current: Array(repeating: 1, count: 32)), topic: TopicID(high: 1, low: 1),
        selection: .everything)

    private func partition(_ index: Int) -> PartitionIndex { PartitionIndex(rawValue: Int32(index)) }
    private func offset(_ number: Int64) -> Offset { Offset(rawValue: number) }

    private func record(_ offset: Int64, _ partition: Int = 0) -> EdgeRecord {
        EdgeRecord(
            partition: self.partition(partition), offset: self.offset(offset), timestamp: .none, key: nil,
            value: ByteBuffer(string: "1"))
    }

    private func records(_ range: Range<Int64>, _ partition: Int = 0) -> CatchUp.Found {
        .records(
            self.partition(partition), range.map { self.record($0, partition) }, next: self.offset(range.upperBound))
    }

    private func delivery(
        _ range: Range<Int64>, _ partition: Int = 0, place: ChannelPlace? = nil, bytes: Int = 1
    ) throws -> HubDelivery {
        let channel = try EdgeChannel("t")
        let record = EdgeRecord(
            partition: self.partition(partition), offset: self.offset(range.lowerBound), timestamp: .none, key: nil,
            value: ByteBuffer(repeating: UInt8(ascii: "x"), count: bytes))
        return HubDelivery(
            channel: channel, push: Push(channel, [record], SealedCursor(.whole([]), by: Self.seal)),
            recordCount: range.count,
            range: MissedRange(
                partition: self.partition(partition), from: self.offset(range.lowerBound),
                to: self.offset(range.upperBound)),
            place: place, subscribers: [])
    }

    private func catchUp(_ starts: [Int64?], to live: [Int64]) throws -> Way? {
        var places: [PartitionIndex: Offset] = [:]
        for (index, start) in starts.enumerated() { places[self.partition(index)] = start.map { self.offset($0) } }
        let catchUp = CatchUp(from: places, to: .all(live.map { self.offset($0) }), seal: Self.seal)
        return try catchUp.map { Way(catchUp: $0, channel: try EdgeChannel("t"), seal: Self.seal) }
    }

    private func offsets(_ step: CatchUp.Step) throws -> [Int64] {
        guard let push = step.push else { return [] }
        let records = try #require(try JSONValue(push.body).object()["records"]).elements(max: 1000)
        return try records.map { try #require(try $0.object()["offset"]?.integer) }
    }

    private func cursor(_ step: CatchUp.Step) throws -> EdgeCursor {
        try Self.seal.cursor(in: try #require(step.push?.eventID))
    }

    @Test("whoever begins at the live end has nothing to catch up with")
    func nothing() throws {
        #expect(try self.catchUp([nil, 5], to: [7, 5]) == nil)
        #expect(try self.catchUp([6, 5], to: [7, 5]) != nil)
    }

    @Test("the past is read up to where the live pushes stood, and what was pushed meanwhile follows")
    func meeting() throws {
        var way = try #require(try self.catchUp([2], to: [5]))
        #expect(way.begin() == [.init(partition: self.partition(0), from: self.offset(2))])
        way.delivered(try self.delivery(5..<7))
        way.delivered(try self.delivery(7..<8))
        // The read saw some of what was pushed: it is not told twice.
        let step = way.found([self.records(0..<7)])
        #expect(try self.offsets(step) == [2, 3, 4])
        #expect(try self.cursor(step) == .whole([self.offset(5)]))
        #expect(step.isLive && step.held.map(\.range.from.rawValue) == [5, 7])
    }

    @Test("pushes that come while a long past is read are read themselves")
    func long() throws {
        var way = try #require(try self.catchUp([0], to: [10]))
        _ = way.begin()
        way.delivered(try self.delivery(10..<12))
        var step = way.found([self.records(0..<4)])
        #expect(try self.offsets(step) == [0, 1, 2, 3])
        #expect(!step.isLive && step.held.isEmpty && way.isBehind)
        #expect(way.begin() == [.init(partition: self.partition(0), from: self.offset(4))])
        step = way.found([self.records(4..<20)])
        #expect(try self.offsets(step) == Array(4..<12))
        #expect(step.isLive && step.held.isEmpty)
    }

    @Test("what is held back is bounded, and beyond it is read")
    func heldBound() throws {
        var way = try #require(try self.catchUp([0], to: [1]))
        _ = way.begin()
        let half = Limits.edgeHeldBytesMax.rawValue / 2
        way.delivered(try self.delivery(1..<2, bytes: half))
        way.delivered(try self.delivery(2..<3, bytes: half))
        let step = way.found([self.records(0..<2)])
        // Up to where live pushes stood when the read began, as for all who began then.
        #expect(try self.offsets(step) == [0])
        #expect(!step.isLive && step.held.isEmpty && way.isBehind)
    }

    @Test("all partitions change over together, and one that is long does not starve the others")
    func together() throws {
        var way = try #require(try self.catchUp([0, 5, 9], to: [3, 6, 9]))
        #expect(way.begin().map(\.partition.rawValue) == [0, 1])
        var step = way.found([self.records(0..<3)])
        #expect(!step.isLive)
        #expect(try self.cursor(step) == .whole([self.offset(3), self.offset(5), self.offset(9)]))
        way.delivered(try self.delivery(3..<4))
        #expect(way.begin().map(\.partition.rawValue) == [1, 0])
        step = way.found([self.records(5..<6, 1), self.records(3..<4)])
        #expect(step.isLive && step.recordCount == 2)
    }

    @Test("what retention took is told, and the rest follows")
    func gone() throws {
        var way = try #require(try self.catchUp([2], to: [9]))
        _ = way.begin()
        way.delivered(try self.delivery(9..<10))
        var step = way.found([.gone(self.partition(0), start: self.offset(6), end: self.offset(10))])
        #expect(
            step.missing == [MissedRange(partition: self.partition(0), from: self.offset(2), to: self.offset(6))])
        #expect(!step.isLive && step.push == nil)
        #expect(way.begin().map(\.from) == [self.offset(6)])
        // Everything up to behind the live end went: what was held back went, too.
        way.delivered(try self.delivery(10..<12))
        step = way.found([.gone(self.partition(0), start: self.offset(13), end: self.offset(14))])
        #expect(!step.isLive && step.held.isEmpty && !way.isBehind)
        way.delivered(try self.delivery(12..<15))
        #expect(way.begin().map(\.from) == [self.offset(13)])
        step = way.found([self.records(13..<15)])
        #expect(try self.offsets(step) == [13, 14])
        #expect(step.isLive)
    }

    @Test("a client that is ahead of the live pushes gets nothing twice")
    func ahead() throws {
        var way = try #require(try self.catchUp([8], to: [5]))
        #expect(!way.isBehind)
        way.delivered(try self.delivery(5..<7))
        #expect(!way.isBehind)
        way.delivered(try self.delivery(7..<10))
        _ = way.begin()
        let step = way.found([self.records(7..<12)])
        #expect(try self.offsets(step) == [8, 9])
        #expect(step.isLive)
    }

    @Test("a place that a live push tells of other partitions counts")
    func places() throws {
        var way = try #require(try self.catchUp([0, 4], to: [1, 4]))
        way.delivered(try self.delivery(1..<2, place: .all([self.offset(2), self.offset(6)])))
        #expect(way.begin().map(\.partition.rawValue) == [0, 1])
        let step = way.found([self.records(0..<2), .records(self.partition(1), [], next: self.offset(7))])
        #expect(step.isLive)
        #expect(try self.cursor(step) == .whole([self.offset(2), self.offset(6)]))
    }

    @Test("when partitions were added, what a key has in its old one comes first")
    func added() throws {
        let catchUp = try #require(
            CatchUp(
                from: [self.partition(0): self.offset(3), self.partition(4): .zero],
                to: .one(self.partition(4), self.offset(2)), ends: [self.partition(0): self.offset(5)],
                seal: Self.seal))
        var way = Way(catchUp: catchUp, channel: try EdgeChannel("t/k"), seal: Self.seal)
        #expect(try Self.seal.cursor(in: way.cursor.text) == .single(self.partition(0), next: self.offset(3)))
        #expect(way.begin() == [.init(partition: self.partition(0), from: self.offset(3))])
        way.delivered(
            try self.delivery(2..<3, 4, place: .one(self.partition(4), self.offset(3))))
        var step = way.found([self.records(3..<9)])
        #expect(try self.offsets(step) == [3, 4])
        #expect(try self.cursor(step) == .single(self.partition(0), next: self.offset(5)))
        #expect(!step.isLive)
        #expect(way.begin() == [.init(partition: self.partition(4), from: .zero)])
        step = way.found([self.records(0..<3, 4)])
        #expect(try self.cursor(step) == .single(self.partition(4), next: self.offset(3)))
        #expect(step.isLive)
    }

    @Test("who stands at the same place is given the same piece, up to where live pushes stand for him")
    func shared() throws {
        func reading(_ next: Int64, _ live: Int64) throws -> PastReading {
            var way = try #require(try self.catchUp([next], to: [live]))
            _ = way.begin()
            return try #require(way.reading)
        }
        let channel = try EdgeChannel("t")
        let short = PastPiece(
            [self.records(0..<4)], for: try reading(0, 9), of: channel, seal: Self.seal, in: .json)
        #expect(short.isWhole && short.recordCount == 4)
        #expect(try short.serves(reading(0, 9)) && short.serves(reading(0, 4)) && short.serves(reading(0, 50)))
        #expect(try !short.serves(reading(0, 3)) && !short.serves(reading(1, 9)))
        let cut = PastPiece([self.records(0..<4)], for: try reading(0, 3), of: channel, seal: Self.seal, in: .json)
        #expect(cut.recordCount == 3)
        #expect(try cut.serves(reading(0, 3)) && !cut.serves(reading(0, 4)) && !cut.serves(reading(0, 2)))
        let nothing = PastPiece([], for: try reading(0, 9), of: channel, seal: Self.seal, in: .json)
        #expect(!nothing.isWhole && nothing.push == nil)
        let gone = PastPiece(
            [.gone(self.partition(0), start: self.offset(6), end: self.offset(9))], for: try reading(0, 9),
            of: channel, seal: Self.seal, in: .json)
        #expect(try gone.isWhole && gone.serves(reading(0, 4)) && !gone.serves(reading(2, 4)))
    }
}

/// A way, with what is being read for it.
private struct Way {
    var catchUp: CatchUp
    let channel: EdgeChannel
    let seal: CursorSeal
    var reading: PastReading?

    var isBehind: Bool { self.catchUp.isBehind }
    var cursor: SealedCursor { self.catchUp.cursor }

    mutating func delivered(_ delivery: HubDelivery) { self.catchUp.delivered(delivery) }

    mutating func begin() -> [CatchUp.Wish] {
        let reading = self.catchUp.begin()
        self.reading = reading
        return reading.wishes
    }

    mutating func found(_ finds: [CatchUp.Found]) -> CatchUp.Step {
        guard let reading = self.reading else {
            Issue.record("nothing was being read")
            return CatchUp.Step()
        }
        return self.catchUp.found(
            PastPiece(finds, for: reading, of: self.channel, seal: self.seal, in: .json))
    }
}
