import ApusCore
import ApusFakes
import NIOCore
import Testing

@testable import ApusLog

@Suite struct TruncationTests {
    private func rig() -> (LogRig, [ByteBuffer]) {
        let rig = LogRig(LogConfiguration(segmentBytes: .bytes(1500), indexIntervalBytes: .bytes(300)))
        var batches: [ByteBuffer] = []
        for number in 0..<12 {
            rig.epoch = Int32(number / 3)
            batches.append(
                rig.append(records: 2, payload: 200, producer: .init(id: 1, epoch: 0, sequence: Int32(number * 2))))
        }
        rig.drain()
        return (rig, batches)
    }

    @Test("what is at and above the cut is gone for good, epochs and producers with it", arguments: 0..<24)
    func cut(end: Int64) throws {
        let (rig, batches) = self.rig()
        let kept = Int(end / 2)
        rig.log = try rig.log.truncated(to: Offset(rawValue: end), on: rig.disk, wall: rig.wall, seed: 9).log
        for _ in 0..<2 {
            #expect(rig.log.endOffset.rawValue == Int64(kept * 2))
            #expect(try rig.readAll() == Array(batches[..<kept]))
            #expect(rig.log.epochs.latest?.rawValue == (kept == 0 ? nil : Int32((kept - 1) / 3)))
            let retry = rig.batch(producer: .init(id: 1, epoch: 0, sequence: Int32(kept * 2)))
            #expect(try rig.log.verdict(on: retry.header) == .append)
            rig.disk.crash(seed: 4)
            #expect(try rig.open().damage.isEmpty)
        }
        rig.epoch = 7
        let more = rig.append()
        rig.drain()
        #expect(try rig.readAll() == Array(batches[..<kept]) + [more])
    }

    @Test("a crash in the middle leaves a log that is whole, to one end or the other", arguments: UInt64(0)..<200)
    func crash(seed: UInt64) throws {
        let (rig, batches) = self.rig()
        rig.disk.stop(after: Int(seed % 25))
        let log = rig.log
        let result = Result { () throws(LogError) in
            try log.truncated(to: 8, on: rig.disk, wall: rig.wall, seed: 9)
        }
        rig.disk.crash(seed: seed)
        #expect(try rig.open().damage.isEmpty)
        let end = Int(rig.log.endOffset.rawValue)
        #expect(end >= 8 && end <= 24 && end.isMultiple(of: 2))
        if case .success = result { #expect(end == 8) }
        #expect(try rig.readAll() == Array(batches[..<(end / 2)]))
    }

    @Test("a cut at or above the end changes nothing, one below the start is refused")
    func bounds() throws {
        let (rig, batches) = self.rig()
        rig.log = try rig.log.truncated(to: 24, on: rig.disk, wall: rig.wall, seed: 9).log
        #expect(try rig.readAll() == batches)
        try rig.log.advanceStart(to: 10)
        rig.drain()
        let log = rig.log
        #expect(throws: LogError.outOfRange(start: 10, end: 24)) {
            try log.truncated(to: 9, on: rig.disk, wall: rig.wall, seed: 9)
        }
    }
}
