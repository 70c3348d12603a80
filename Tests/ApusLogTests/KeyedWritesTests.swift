import ApusCore
import ApusFakes
import KafkaWire
import NIOCore
import Testing

@testable import ApusLog

@Suite("Writes that are known by an idempotency key")
struct KeyedWritesTests {
    private static let first = Limits.keyedProducerIDFirst

    private func producer(_ key: Int64, content: Int32 = 7, epoch: Int16 = 3) -> LogRig.Producer {
        LogRig.Producer(id: Self.first + key, epoch: epoch, sequence: content)
    }

    private func verdict(
        _ rig: LogRig, _ key: Int64, content: Int32 = 7, epoch: Int16 = 3, records: Int = 1
    ) throws -> ProducerStates.Verdict {
        let header = rig.batch(records: records, producer: self.producer(key, content: content, epoch: epoch)).header
        return try rig.log.verdict(on: header)
    }

    @Test("the same write is known again, with its first offset and time, after a crash and after a clean end")
    func known() throws {
        let rig = LogRig()
        let first = LogRig.wall
        for key in 0..<5 as Range<Int64> { rig.append(records: 2, producer: self.producer(key)) }
        rig.drain()
        rig.wall = LogRig.wall.later(by: .seconds(3600))
        func check() throws {
            for key in 0..<5 as Range<Int64> {
                let base = Offset(rawValue: key * 2)
                #expect(
                    try self.verdict(rig, key, records: 2)
                        == .duplicate(baseOffset: base, lastOffset: base.next, timestamp: first))
            }
            #expect(try self.verdict(rig, 5) == .append)
            #expect(rig.log.producers.keyedCount == 5 && rig.log.producers.count == 0)
        }
        try check()
        try rig.open()
        try check()
        _ = rig.close()
        try rig.open(clean: true)
        try check()
    }

    @Test("another write with the same key is refused, whatever is different about it")
    func reused() throws {
        let rig = LogRig()
        rig.append(records: 2, producer: self.producer(1))
        #expect(throws: ProducerError.keyReused) { try self.verdict(rig, 1, content: 8, records: 2) }
        #expect(throws: ProducerError.keyReused) { try self.verdict(rig, 1, epoch: 4, records: 2) }
        #expect(throws: ProducerError.keyReused) { try self.verdict(rig, 1, epoch: 2, records: 2) }
        #expect(throws: ProducerError.keyReused) { try self.verdict(rig, 1, records: 3) }
        #expect(throws: ProducerError.keyReused) { try self.verdict(rig, 1, content: 9, records: 2) }
        // Not even one that goes on where it ended.
        #expect(throws: ProducerError.keyReused) { try self.verdict(rig, 1, content: 9, epoch: 3) }
    }

    @Test("a write whose record retention has removed is still known")
    func removed() throws {
        let rig = LogRig()
        rig.append(producer: self.producer(1))
        rig.append(producer: self.producer(2))
        rig.drain()
        try rig.log.advanceStart(to: 2)
        rig.drain()
        let known = ProducerStates.Verdict.duplicate(baseOffset: 0, lastOffset: 0, timestamp: LogRig.wall)
        #expect(try self.verdict(rig, 1) == known)
        try rig.open()
        #expect(rig.log.startOffset == 2)
        #expect(try self.verdict(rig, 1) == known)
    }

    @Test("no number of keys makes the log forget a producer, and of too many keys the oldest are forgotten")
    func flood() throws {
        let rig = LogRig()
        rig.append(producer: .init(id: 5, epoch: 0, sequence: 0))
        let limit = Int64(Limits.keyedWritesPerPartitionMax)
        for key in 0..<limit { rig.append(producer: self.producer(key)) }
        rig.drain()
        #expect(rig.log.producers.keyedCount == Int(limit))
        // Within the window there is no room for more, and it says when there is.
        #expect(rig.log.producers.waitForKey(wall: rig.wall) == Limits.keyedWriteWindowMin)
        rig.wall = rig.wall.later(by: .seconds(45))
        #expect(rig.log.producers.waitForKey(wall: rig.wall) == .seconds(15))
        // A clock that went back does not make anybody wait for it.
        #expect(rig.log.producers.waitForKey(wall: rig.wall.earlier(by: .seconds(3600))) == nil)
        rig.wall = rig.wall.later(by: .seconds(15))
        #expect(rig.log.producers.waitForKey(wall: rig.wall) == nil)
        for key in limit..<limit + 10 { rig.append(producer: self.producer(key)) }
        rig.drain()
        for _ in 0..<2 {
            #expect(rig.log.producers.keyedCount == Int(limit))
            #expect(try self.verdict(rig, 9) == .append)
            #expect(try self.verdict(rig, 10) != .append)
            #expect(try self.verdict(rig, limit + 9) != .append)
            #expect(rig.log.producers.sorted.map(\.id) == [5])
            try rig.open()
        }
    }

    @Test("keys are forgotten after a day; those of records that tell of long ago are not forgotten by a restart")
    func expired() throws {
        let rig = LogRig()
        rig.append(timestamp: Timestamp(rawValue: 5), producer: self.producer(1))
        rig.drain()
        try rig.open()
        #expect(try self.verdict(rig, 1) != .append)
        rig.log.expireProducers(wall: rig.wall.later(by: Limits.keyedWriteWindowMax))
        #expect(rig.log.producers.keyedCount == 1)
        rig.log.expireProducers(wall: rig.wall.later(by: Limits.keyedWriteWindowMax + .milliseconds(1)))
        #expect(rig.log.producers.keyedCount == 0)
        #expect(try self.verdict(rig, 1) == .append)
    }

    @Test("a write that the disk did not take is not known")
    func withdrawn() throws {
        let rig = LogRig()
        rig.append(producer: self.producer(1))
        rig.drain()
        rig.append(producer: self.producer(2))
        rig.append(producer: self.producer(3))
        var states = rig.log.producers
        states.rewind(to: 1)
        #expect(states.keyedCount == 1)
        rig.disk.crash(seed: 1)
        try rig.open()
        #expect(try self.verdict(rig, 1) != .append)
        #expect(rig.log.endOffset.rawValue == Int64(rig.log.producers.keyedCount))
    }
}
