import ApusCore
import ApusFakes
import KafkaWire
import NIOCore
import Testing

@testable import ApusLog

@Suite struct HoleTests {
    private func rig(_ count: Int = 300, segmentBytes: ByteCount = .mebibytes(1), isOneSegment: Bool) -> LogRig {
        let rig = LogRig(
            LogConfiguration(segmentBytes: segmentBytes, retentionAge: nil, indexIntervalBytes: .kibibytes(4)))
        for _ in 0..<count { rig.append(payload: 1000) }
        rig.drain()
        if !isOneSegment {
            rig.closeSegment()
            for _ in 0..<10 { rig.append(payload: 1000) }
            rig.drain()
        }
        return rig
    }

    @Test(
        "what lies in front of the start is given back, and everything behind it is as it was",
        arguments: [true, false])
    func punched(isOneSegment: Bool) throws {
        let rig = self.rig(isOneSegment: isOneSegment)
        let before = try rig.readAll()
        let size = try rig.disk.size(of: LogRig.segment(0))
        try rig.log.advanceStart(to: 10)
        rig.drain()
        #expect(rig.disk.holeByteCount(of: LogRig.segment(0)) == 0)
        try rig.log.advanceStart(to: 200)
        #expect(rig.disk.holeByteCount(of: LogRig.segment(0)) == 0)
        rig.drain()
        #expect(rig.disk.holeByteCount(of: LogRig.segment(0)) > 200_000)
        #expect(try rig.disk.size(of: LogRig.segment(0)) == size)
        #expect(try rig.readAll() == Array(before[200...]))
        for _ in 0..<2 {
            let report = try rig.open()
            #expect(report.damage.isEmpty && rig.log.damage.isEmpty)
            #expect(rig.log.startOffset == 200)
            #expect(try rig.readAll() == Array(before[200...]))
            // Also without its index, which is made anew from what is left.
            rig.disk.erase(LogRig.index(0))
        }
        let lookup = try #require(rig.log.lookup(timestamp: Timestamp(rawValue: 0), below: rig.log.endOffset))
        #expect(try lookup.run(on: rig.disk)?.offset == 200)
        rig.append()
        rig.drain()
        #expect(try rig.readAll().count == before.count - 199)
    }

    @Test(
        "a power cut at any moment leaves a log that begins where it said, with or without the hole", arguments: 0..<40)
    func powerCut(seed: Int) throws {
        let rig = self.rig(isOneSegment: seed % 2 == 0)
        let before = try rig.readAll()
        try rig.log.advanceStart(to: 100)
        rig.drain()
        try rig.log.advanceStart(to: 250)
        rig.disk.stop(after: seed % 14)
        rig.drain()
        rig.disk.crash(seed: UInt64(seed))
        let report = try rig.open()
        #expect(report.damage.isEmpty)
        let start = Int(rig.log.startOffset.rawValue)
        #expect(start == 100 || start == 250)
        #expect(try rig.readAll() == Array(before[start...]))
    }

    @Test("zeros behind the start are damage, hole or not")
    func damage() throws {
        let rig = self.rig(isOneSegment: false)
        try rig.log.advanceStart(to: 200)
        rig.drain()
        for byte in 220_000..<228_192 { rig.disk.damage(LogRig.segment(0), at: byte + 10_000) { $0 = 0 } }
        #expect(throws: LogError.self) { try rig.readAll() }
        #expect(rig.log.damage.allSatisfy { $0.offsets.lowerBound >= 200 } && !rig.log.damage.isEmpty)
    }

    @Test("a read that was planned before the hole is planned again, and is no damage")
    func inFlight() throws {
        let rig = self.rig(isOneSegment: true)
        let read = try #require(try rig.log.read(from: 50, below: 300, upTo: .kibibytes(64)))
        try rig.log.advanceStart(to: 200)
        rig.drain()
        let outcome: Result<LogRead.Result, LogError>
        do throws(LogError) { outcome = .success(try read.run(on: rig.disk)) } catch { outcome = .failure(error) }
        let judged = rig.log.judged(outcome, of: read)
        rig.log.learned(from: read, outcome)
        #expect(throws: LogError.gone(50)) { _ = try judged.get() }
        #expect(rig.log.damage.isEmpty)
    }

    @Test("where the file system has no holes, or punching fails, nothing is lost and nothing fails")
    func refused() throws {
        let rig = self.rig(isOneSegment: true)
        rig.disk.hasHoles = false
        try rig.log.advanceStart(to: 200)
        rig.drain()
        #expect(rig.log.failure == nil && rig.disk.holeByteCount(of: LogRig.segment(0)) == 0)
        #expect(try rig.readAll().count == 100)
    }

    @Test("a log with a hole that becomes compacted is compacted, and the hole goes with its segment")
    func compacted() throws {
        let rig = LogRig(LogConfiguration(segmentBytes: .mebibytes(1), indexIntervalBytes: .kibibytes(4)))
        for index in 0..<200 { try rig.put([("k\(index % 20)", String(repeating: "v", count: 1000))]) }
        rig.closeSegment()
        try rig.log.advanceStart(to: 150)
        rig.drain()
        #expect(rig.disk.holeByteCount(of: LogRig.segment(0)) > 100_000)
        rig.log.configuration.compaction = CompactionPolicy()
        let pass = try #require(try rig.compact())
        #expect(pass.damage == nil)
        #expect(try rig.seen().map(\.offset) == Array(180..<200))
        #expect(try rig.open().damage.isEmpty)
        #expect(try rig.seen().count == 20)
    }
}
