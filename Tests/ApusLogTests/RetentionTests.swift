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

    /// Four segments of one record each, which says no time.
    private func timeless() -> LogRig {
        let rig = LogRig(LogConfiguration(segmentBytes: .bytes(500), retentionAge: .seconds(60)))
        for _ in 0..<4 { rig.append(payload: 300, timestamp: Timestamp.none) }
        rig.drain()
        return rig
    }

    /// Where the log starts after retention has looked, so many seconds after the records came.
    private func start(of rig: LogRig, after seconds: Int64) -> Offset {
        rig.wall.rawValue = LogRig.wall.rawValue + seconds * 1000
        rig.log.applyRetention(wall: rig.wall, below: 4)
        rig.drain()
        return rig.log.startOffset
    }

    @Test("records without a timestamp are as old as the last append to their segment")
    func timelessAge() {
        let rig = self.timeless()
        #expect(self.start(of: rig, after: 0) == 0)
        #expect(self.start(of: rig, after: 60) == 0)
        #expect(rig.log.segments.allSatisfy { $0.newest == LogRig.wall })
        #expect(self.start(of: rig, after: 61) == 4)
    }

    @Test("records without a timestamp are no older after a restart, and only after a crash younger")
    func timelessRecovery() throws {
        let crashed = self.timeless()
        crashed.wall.rawValue += 30_000
        try crashed.open()
        #expect(self.start(of: crashed, after: 60) == 0)
        // When the last one came, nobody knows any more: at the start at the latest.
        #expect(self.start(of: crashed, after: 61) == 3)
        #expect(self.start(of: crashed, after: 91) == 4)

        let closed = self.timeless()
        _ = closed.close()
        closed.wall.rawValue += 30_000
        try closed.open(clean: true)
        #expect(self.start(of: closed, after: 60) == 0)
        #expect(self.start(of: closed, after: 61) == 4)

        let lost = self.timeless()
        lost.disk.erase(LogRig.file("state"))
        lost.wall.rawValue += 30_000
        try lost.open()
        #expect(self.start(of: lost, after: 90) == 0)
        #expect(self.start(of: lost, after: 91) == 4)
    }

    @Test("a producer of records without a timestamp is known after a crash")
    func timelessProducer() throws {
        let rig = LogRig()
        let batch = rig.batch(timestamp: Timestamp.none, producer: .init(id: 7, epoch: 0, sequence: 0))
        rig.log.append(batch.bytes, header: batch.header, wall: rig.wall)
        rig.drain()
        try rig.open()
        guard case .duplicate = try rig.log.verdict(on: batch.header) else {
            Issue.record("the same batch would be appended twice")
            return
        }
    }

    @Test("a window of time begins no later than with the first segment of records without a timestamp that is in it")
    func timelessWindow() throws {
        let rig = LogRig(LogConfiguration(segmentBytes: .bytes(500)))
        func append(_ hasTime: Bool, after seconds: Int64) {
            rig.wall.rawValue = LogRig.wall.rawValue + seconds * 1000
            rig.append(payload: 300, timestamp: hasTime ? nil : Timestamp.none)
            rig.drain()
        }
        func start(_ seconds: Int64, below: Offset = 5) throws -> Offset? {
            let cutoff = Timestamp(rawValue: LogRig.wall.rawValue + seconds * 1000)
            return try rig.log.lookup(windowFrom: cutoff, below: below)?.run(on: rig.disk)?.offset
        }
        for (index, hasTime) in [true, false, true, false, false].enumerated() {
            append(hasTime, after: Int64(index) * 10)
        }
        #expect(try start(0) == 0)
        #expect(try start(1) == 1)
        #expect(try start(10) == 1)
        #expect(try start(11) == 2)
        #expect(try start(21) == 3)
        #expect(try start(40) == 4)
        #expect(try start(40, below: 4) == nil)
        #expect(try start(41) == nil)
        // By time alone they are not found, as with Kafka.
        #expect(rig.log.lookup(timestamp: LogRig.wall.later(by: .seconds(21)), below: 5) == nil)
        try rig.log.advanceStart(to: 4)
        #expect(try start(0) == 4)
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
