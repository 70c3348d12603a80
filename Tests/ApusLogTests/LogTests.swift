import ApusCore
import ApusFakes
import KafkaWire
import NIOCore
import Testing

@testable import ApusLog

@Suite struct LogTests {
    @Test("a log nobody wrote to has no directory")
    func untouched() throws {
        let rig = LogRig()
        try rig.open()
        #expect(rig.drain().isEmpty)
        #expect(rig.disk.files.isEmpty)
        #expect(rig.log.startOffset == 0 && rig.log.endOffset == 0 && rig.log.byteCount == .zero)
        #expect(try rig.log.read(from: 0, below: 10, upTo: .kibibytes(1)) == nil)
    }

    @Test("what is appended is read back, byte for byte, before and after a restart", arguments: [true, false])
    func roundTrip(isDurable: Bool) throws {
        let rig = LogRig(LogConfiguration(isDurable: isDurable))
        var all: [ByteBuffer] = []
        for number in 0..<50 {
            all.append(rig.append(records: 1 + number % 3, payload: number * 100))
            if number % 7 == 0 { rig.drain() }
        }
        rig.drain()
        #expect(rig.log.writtenEnd == rig.log.endOffset)
        #expect(rig.log.durableEnd == (isDurable ? rig.log.endOffset : 0))
        #expect(try rig.readAll() == all)
        let report = try rig.open()
        #expect(report.damage.isEmpty && report.cut == nil)
        #expect(rig.log.durableEnd == rig.log.endOffset)
        #expect(try rig.readAll(upTo: .bytes(1)) == all)
    }

    @Test("everything that waits goes into one job, which ends with one sync")
    func naturalBatching() throws {
        let rig = LogRig()
        rig.append()
        let first = try rig.job()
        for _ in 0..<10 { rig.append() }
        #expect(rig.log.nextJob() == nil, "one job at a time")
        let one = rig.log.finished(first.token, first.run(on: rig.disk))
        #expect(one.durableEnd == 1)
        let second = try rig.job()
        let syncs = second.steps.filter { if case .run(.sync) = $0 { true } else { false } }
        let writes = second.steps.filter { if case .run(.write) = $0 { true } else { false } }
        #expect(syncs.count == 1 && writes.count == 1)
        let two = rig.log.finished(second.token, second.run(on: rig.disk))
        #expect(two.durableEnd == 11)
        #expect(rig.log.nextJob() == nil)
    }

    @Test("a topic of one record takes one file of 4 KiB")
    func small() throws {
        let rig = LogRig()
        rig.append()
        rig.drain()
        #expect(rig.disk.files.map(\.path) == [LogRig.segment(0)])
        #expect(rig.disk.files.map(\.size) == [.kibibytes(4)])
        _ = rig.close()
        #expect(rig.disk.files.count == 1)
    }

    @Test("a log rolls by size, and every segment but the last is cut to its length and indexed")
    func roll() throws {
        let rig = LogRig(LogConfiguration(segmentBytes: .kibibytes(16), indexIntervalBytes: .bytes(1000)))
        var all: [ByteBuffer] = []
        for _ in 0..<100 { all.append(rig.append(payload: 1000)) }
        rig.drain()
        #expect(rig.log.segmentCount == 7)
        #expect(rig.log.closed.allSatisfy { $0.byteCount <= .kibibytes(16) && $0.end > $0.base })
        for segment in rig.log.closed {
            #expect(try rig.disk.size(of: LogRig.segment(segment.base.rawValue)) == segment.byteCount)
            #expect(try rig.disk.size(of: LogRig.index(segment.base.rawValue)) > .zero)
        }
        #expect(try rig.readAll() == all)
        rig.disk.crash(seed: 1)
        #expect(try rig.open().damage.isEmpty)
        #expect(try rig.readAll() == all)
    }

    @Test("a segment older than the configured age takes no more batches")
    func rollByAge() throws {
        let rig = LogRig(LogConfiguration(segmentAge: .seconds(60)))
        rig.append()
        rig.drain()
        rig.wall.rawValue += 60_000
        rig.append()
        #expect(rig.log.segmentCount == 1)
        rig.wall.rawValue += 1
        rig.append()
        rig.drain()
        #expect(rig.log.segmentCount == 2)
    }

    @Test("a read starts inside a batch, takes whole batches up to its limit, and the first one whole")
    func limits() throws {
        let rig = LogRig()
        let batches = (0..<5).map { _ in rig.append(records: 10, payload: 100) }
        rig.drain()
        func read(_ from: Offset, _ below: Offset, _ limit: Int) throws -> [ByteBuffer] {
            guard let read = try rig.log.read(from: from, below: below, upTo: .bytes(limit)) else { return [] }
            return try rig.run(read).batches
        }
        #expect(try read(13, 50, 1) == [batches[1]])
        #expect(try read(13, 50, 169 * 2) == [batches[1], batches[2]])
        #expect(try read(13, 50, 169 * 3 - 1) == [batches[1], batches[2]])
        #expect(try read(13, 30, 100_000) == [batches[1], batches[2]])
        #expect(try read(13, 19, 100_000).isEmpty, "a batch that ends above the watermark is not shown")
        #expect(try read(50, 50, 100_000).isEmpty)
        #expect(throws: LogError.outOfRange(start: 0, end: 50)) { try rig.log.read(from: 51, below: 60, upTo: .zero) }
    }

    @Test("a reader that goes on finds its place without an index")
    func hints() throws {
        let rig = LogRig(LogConfiguration(indexIntervalBytes: .mebibytes(1)))
        for _ in 0..<20 { rig.append() }
        rig.drain()
        let first = try #require(try rig.log.read(from: 0, below: 20, upTo: .bytes(300)))
        let result = try rig.run(first)
        let next = Offset(rawValue: Int64(result.batches.count))
        let second = try #require(try rig.log.read(from: next, below: 20, upTo: .bytes(300)))
        #expect(second.isExact)
        #expect(try rig.run(second).batches.count == result.batches.count)
    }

    @Test("the first record at or after a timestamp is found, across segments")
    func lookup() throws {
        let rig = LogRig(LogConfiguration(segmentBytes: .kibibytes(4), indexIntervalBytes: .bytes(300)))
        for number in 0..<60 {
            var builder = RecordBatchBuilder(baseOffset: Int64(number * 3), leaderEpoch: 7)
            for record in 0..<3 {
                builder.append(
                    key: nil, value: ByteBuffer(repeating: 0x61, count: 60),
                    timestamp: Int64(1000 + number * 30 + record * 10)
                )
            }
            let bytes = builder.finish()
            rig.log.append(bytes, header: try RecordBatchHeader(from: bytes), wall: rig.wall)
        }
        rig.drain()
        #expect(rig.log.segmentCount > 3)
        func look(_ timestamp: Int64) throws -> LogLookup.Answer? {
            try rig.log.lookup(timestamp: Timestamp(rawValue: timestamp), below: 180)?.run(on: rig.disk)
        }
        for number in stride(from: Int64(0), to: 180, by: 7) {
            let answer = LogLookup.Answer(
                offset: Offset(rawValue: number), timestamp: Timestamp(rawValue: 1000 + number * 10),
                epoch: Epoch(rawValue: 7)
            )
            #expect(try look(1000 + number * 10) == answer)
            #expect(try look(1000 + number * 10 - 9) == answer)
        }
        #expect(try look(0)?.offset == 0)
        #expect(try look(1000 + 179 * 10 + 1) == nil)
        #expect(try rig.log.lookupLargestTimestamp(below: 180)?.run(on: rig.disk)?.offset == 179)
    }

    @Test("after a clean close nothing is scanned but the little behind the last checkpoint")
    func cleanClose() throws {
        let rig = LogRig()
        var all: [ByteBuffer] = []
        for _ in 0..<40 { all.append(rig.append(payload: 50_000)) }
        #expect(rig.close()?.event == .advanced)
        #expect(rig.log.failure == .closed && rig.log.nextJob() == nil)
        let report = try rig.open(clean: true)
        #expect(report == LogReport())
        #expect(try rig.readAll() == all)
    }

    @Test("a checkpoint bounds what recovery scans")
    func checkpoint() throws {
        let rig = LogRig(LogConfiguration(checkpointBytes: .kibibytes(64)))
        for _ in 0..<200 {
            rig.append(payload: 2000)
            rig.drain()
        }
        rig.disk.crash(seed: 3)
        let report = try rig.open()
        #expect(report.scannedBytes <= .kibibytes(64))
        #expect(report.rebuiltIndexes.isEmpty)
        #expect(try rig.readAll().count == 200)
    }
}
