import ApusCore
import ApusFakes
import KafkaWire
import NIOCore
import Testing

@testable import ApusLog

@Suite struct RetentionTests {
    private func rig(_ count: Int, age: Duration? = nil, bytes: ByteCount? = nil) -> LogRig {
        let rig = LogRig(LogConfiguration(segmentBytes: .bytes(500), retentionAge: age, retentionBytes: bytes))
        for _ in 0..<count {
            rig.append(payload: 300)
            rig.wall.rawValue += 1000
        }
        rig.drain()
        return rig
    }

    @Test("segments go when their newest record is too old, the last one too, and their files with them")
    func byAge() throws {
        let rig = self.rig(10, age: .seconds(5))
        rig.log.applyRetention(wall: rig.wall, below: 10)
        #expect(rig.log.startOffset == 5)
        rig.drain()
        #expect(try rig.open().damage.isEmpty)
        #expect(rig.log.startOffset == 5)
        #expect(try rig.readAll().count == 5)
        rig.wall.rawValue += 60_000
        rig.log.applyRetention(wall: rig.wall, below: 10)
        rig.drain()
        #expect(rig.log.startOffset == 10 && rig.log.endOffset == 10)
        #expect(rig.disk.files.allSatisfy { !$0.path.rawValue.hasSuffix(".segment") })
        rig.append()
        rig.drain()
        #expect(try rig.readAll().count == 1)
        #expect(try rig.open().damage.isEmpty)
        #expect(rig.log.startOffset == 10 && rig.log.endOffset == 11)
    }

    @Test("nothing above the given limit goes")
    func belowLimit() {
        let rig = self.rig(10, age: .seconds(5))
        rig.log.applyRetention(wall: Timestamp(rawValue: rig.wall.rawValue + 3_600_000), below: 3)
        #expect(rig.log.startOffset == 3)
    }

    @Test("the oldest segments go while the rest still holds the configured size")
    func bySize() throws {
        let rig = self.rig(10, bytes: .bytes(1300))
        rig.log.applyRetention(wall: rig.wall, below: 10)
        rig.drain()
        #expect(rig.log.byteCount >= .bytes(1300) && rig.log.byteCount < .bytes(1300 + 500))
        #expect(try rig.readAll().count == Int(10 - rig.log.startOffset.rawValue))
    }

    @Test("a timestamp from the future keeps no segment longer than its age")
    func future() {
        let rig = LogRig(LogConfiguration(segmentBytes: .bytes(500), retentionAge: .seconds(60)))
        for _ in 0..<4 { rig.append(payload: 300, timestamp: Timestamp(rawValue: rig.wall.rawValue * 2)) }
        rig.drain()
        rig.log.applyRetention(wall: rig.wall, below: 4)
        #expect(rig.log.startOffset == 0)
        rig.log.applyRetention(wall: Timestamp(rawValue: rig.wall.rawValue + 61_000), below: 4)
        #expect(rig.log.startOffset == 4)
    }

    @Test("the start that records were deleted up to is durable when it is reported, and never goes back")
    func deleteRecords() throws {
        let rig = self.rig(10)
        try rig.log.advanceStart(to: 4)
        #expect(rig.log.startOffset == 4)
        #expect(throws: LogError.outOfRange(start: 4, end: 10)) { try rig.log.advanceStart(to: 11) }
        #expect(throws: LogError.self) { try rig.log.read(from: 3, below: 10, upTo: .kibibytes(1)) }
        #expect(rig.drain().last?.durableStart == 4)
        try rig.log.advanceStart(to: 2)
        #expect(rig.log.startOffset == 4)
        rig.disk.crash(seed: 3)
        try rig.open()
        #expect(rig.log.startOffset == 4)
        #expect(try rig.readAll().count == 6)
        try rig.log.advanceStart(to: 10)
        rig.drain()
        try rig.open()
        #expect(rig.log.startOffset == 10 && rig.log.endOffset == 10)
        #expect(try rig.readAll().isEmpty)
    }

    @Test("a read planned before its segment was removed says so")
    func gone() throws {
        let rig = self.rig(4)
        let read = try #require(try rig.log.read(from: 0, below: 4, upTo: .kibibytes(1)))
        try rig.log.advanceStart(to: 3)
        rig.drain()
        #expect(throws: LogError.gone(0)) { try rig.run(read) }
    }

    @Test("epochs: the end of each, of those between, and of those nobody led")
    func epochs() throws {
        let rig = LogRig()
        for (epoch, count) in [(2, 3), (5, 2), (6, 4)] {
            rig.epoch = Int32(epoch)
            for _ in 0..<count { rig.append() }
        }
        rig.drain()
        for _ in 0..<2 {
            func end(_ epoch: Int32) -> [Int64]? {
                rig.log.epochs.end(of: Epoch(rawValue: epoch), logEnd: rig.log.endOffset)
                    .map { [Int64($0.epoch.rawValue), $0.end.rawValue] }
            }
            #expect(end(1) == [1, 0] && end(2) == [2, 3] && end(3) == [2, 3] && end(5) == [5, 5])
            #expect(end(6) == [6, 9] && end(7) == nil)
            #expect(rig.log.epochs.epoch(at: 4) == Epoch(rawValue: 5))
            try rig.open()
        }
    }
}
