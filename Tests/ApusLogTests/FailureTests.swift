import ApusCore
import ApusFakes
import NIOCore
import Testing

@testable import ApusLog

/// Disks that fail while the log is at work.
@Suite struct FailureTests {
    @Test(
        "after one failed sync or write nothing more is acknowledged, though the next would succeed",
        arguments: [SimulatedFault.Kind.syncError, .writeError(kept: 30), .syncDirectoryError])
    func noProgressAfterFailure(kind: SimulatedFault.Kind) throws {
        let rig = LogRig(LogConfiguration(segmentBytes: .bytes(300)))
        rig.append()
        rig.drain()
        rig.disk.fail(SimulatedFault(kind))
        // Two jobs: the second makes a new segment, which syncs a directory.
        for _ in 0..<4 { rig.append() }
        let last = try #require(rig.drain().last)
        guard case .failed(.disk) = last.event else {
            Issue.record("\(last.event)")
            return
        }
        #expect(last.durableEnd < 5)
        #expect(rig.log.nextJob() == nil && !rig.log.takesAppends && rig.log.close() == nil)
        #expect(throws: LogError.self) { try rig.log.advanceStart(to: 1) }
        #expect(try rig.readAll().count == Int(last.durableEnd.rawValue), "what is durable is still served")
    }

    @Test("what a failed sync left in the page cache is written again at the next start, and then survives")
    func lyingSync() throws {
        let rig = LogRig()
        rig.append()
        rig.drain()
        rig.disk.fail(SimulatedFault(.syncError))
        rig.append()
        rig.drain()
        rig.disk.restart()
        try rig.open()
        let end = rig.log.durableEnd
        #expect(end == 2, "the bytes are there to read, so they are served")
        rig.disk.crash(seed: 5)
        try rig.open()
        #expect(rig.log.endOffset == end)
    }

    @Test(
        "a full disk withdraws what was not written, for certain, and the log goes on when there is room",
        arguments: [SimulatedFault.Kind.allocateFull, .writeFull(kept: 50), .writeFull(kept: 0), .createFull], [0, 1])
    func full(kind: SimulatedFault.Kind, after: Int) throws {
        let rig = LogRig(LogConfiguration(segmentBytes: .bytes(400)))
        var kept = [rig.append()]
        rig.drain()
        rig.disk.fail(SimulatedFault(kind, after: after))
        let producer = LogRig.Producer(id: 4, epoch: 0, sequence: 0)
        let lost = (0..<6).map { rig.append(producer: .init(id: 4, epoch: 0, sequence: Int32($0))) }
        rig.epoch = 9
        let progress = rig.drain()
        let withdrawn = try #require(progress.first { $0.event == .withdrawn })
        let written = Int(withdrawn.writtenEnd.rawValue)
        kept += lost.prefix(written - 1)
        #expect(progress.map(\.event).contains(.full))
        #expect(rig.log.endOffset == withdrawn.writtenEnd && rig.log.takesAppends)
        #expect(try rig.readAll() == kept)
        if written == 1 {
            let retry = rig.batch(producer: producer)
            #expect(try rig.log.verdict(on: retry.header) == .append, "its producer may send it again")
        }
        kept.append(rig.append())
        rig.drain()
        rig.disk.crash(seed: 11)
        try rig.open()
        #expect(try rig.readAll() == kept)
    }

    @Test("a disk that stays full is not asked again and again")
    func staysFull() throws {
        let rig = LogRig(LogConfiguration(checkpointBytes: .bytes(500)))
        for _ in 0..<3 { rig.append(payload: 300) }
        rig.drain()
        rig.disk.capacity = 4096 * 4
        for _ in 0..<100 {
            guard rig.log.takesAppends else { break }
            rig.append(payload: 300)
            #expect(rig.drain().count < 6)
        }
        #expect(rig.log.failure == nil && rig.log.isIdle)
        let end = rig.log.durableEnd
        rig.disk.capacity = .max
        rig.append(payload: 300)
        rig.drain()
        #expect(rig.log.durableEnd == end.next)
        #expect(try rig.readAll().count == Int(end.rawValue) + 1)
    }

    @Test("a read error costs the read, not the log")
    func readError() throws {
        let rig = LogRig()
        let batch = rig.append()
        rig.drain()
        let read = try #require(try rig.log.read(from: 0, below: 1, upTo: .kibibytes(1)))
        rig.disk.fail(SimulatedFault(.readError))
        #expect(throws: LogError.disk(DiskError(.failed(5), "read", LogRig.segment(0)))) { try rig.run(read) }
        #expect(try rig.run(read).batches == [batch])
    }
}
