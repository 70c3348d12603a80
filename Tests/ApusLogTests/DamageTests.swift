import ApusCore
import ApusFakes
import KafkaWire
import NIOCore
import Testing

@testable import ApusLog

/// Files that rot, vanish or change places while the broker is away.
@Suite struct DamageTests {
    enum Victim: CaseIterable, Sendable {
        case closedSegment, activeSegment, closedIndex, activeIndex, state

        var path: DiskPath {
            switch self {
            case .closedSegment: LogRig.segment(DamageTests.closedBase)
            case .activeSegment: LogRig.segment(DamageTests.activeBase)
            case .closedIndex: LogRig.index(DamageTests.closedBase)
            case .activeIndex: LogRig.index(DamageTests.activeBase)
            case .state: LogRig.file("state")
            }
        }

        /// What it changes places with.
        var other: DiskPath {
            switch self {
            case .closedSegment, .activeSegment: LogRig.segment(0)
            case .closedIndex, .activeIndex: LogRig.index(0)
            case .state: LogRig.index(0)
            }
        }
    }

    enum Harm: CaseIterable, Sendable {
        case flipHeader, flipMiddle, zeroPage, truncate, empty, missing, swapped
    }

    static let closedBase: Int64 = 14
    static let activeBase: Int64 = 42
    private static let configuration = LogConfiguration(
        segmentBytes: .kibibytes(16), indexIntervalBytes: .bytes(1000), checkpointBytes: .bytes(9000)
    )

    /// Three closed segments of 14 batches, and an active one with a checkpoint in its middle.
    private func make() throws -> (rig: LogRig, batches: [ByteBuffer]) {
        let rig = LogRig(Self.configuration)
        var batches: [ByteBuffer] = []
        for _ in 0..<54 {
            batches.append(rig.append(payload: 1064))
            rig.drain()
        }
        try #require(rig.log.closed.map(\.base.rawValue) == [0, 14, 28] && rig.log.writing.base == 42)
        try #require(rig.log.work.recovery.offset > 46)
        return (rig, batches)
    }

    private func harm(_ victim: Victim, _ harm: Harm, _ disk: SimulatedDisk) throws {
        let size = try disk.size(of: victim.path).rawValue
        switch harm {
        case .flipHeader: disk.damage(victim.path, at: 20) { $0 ^= 4 }
        case .flipMiddle: disk.damage(victim.path, at: min(size / 3, 4500)) { $0 ^= 1 }
        case .zeroPage: for byte in 0..<min(size, 4096) { disk.damage(victim.path, at: byte) { $0 = 0 } }
        case .truncate, .empty:
            let kept = harm == .empty ? 0 : min(size / 3, 4500)
            let bytes = try #require(disk.contents(of: victim.path)?.getSlice(at: 0, length: kept))
            disk.replace(victim.path, with: bytes)
        case .missing: disk.erase(victim.path)
        case .swapped: disk.swap(victim.path, victim.other)
        }
    }

    /// Everything that can be read, and the damage that was named on the way.
    private func readAround(_ rig: LogRig) throws -> (batches: [Int64: ByteBuffer], named: [LogDamage]) {
        var batches: [Int64: ByteBuffer] = [:]
        var named: [LogDamage] = []
        var next = rig.log.startOffset
        while next < rig.log.endOffset {
            do throws(LogError) {
                guard let read = try rig.log.read(from: next, below: rig.log.endOffset, upTo: .kibibytes(4)) else {
                    break
                }
                let result = try rig.run(read)
                guard let last = result.hint?.offset, last > next else { break }
                for (index, batch) in result.batches.enumerated() { batches[next.rawValue + Int64(index)] = batch }
                next = last
            } catch {
                switch error {
                case .damaged(let damage):
                    named.append(damage)
                    guard damage.offsets.upperBound > next else { return (batches, named) }
                    next = damage.offsets.upperBound
                case .gone:
                    next = next.next
                default: throw error
                }
            }
        }
        return (batches, named)
    }

    @Test(
        "damage at rest is detected, named and never served; the rest is served, and nothing acknowledged is cut",
        arguments: Victim.allCases, Harm.allCases)
    func atRest(victim: Victim, harm: Harm) throws {
        let (rig, batches) = try self.make()
        try self.harm(victim, harm, rig.disk)
        let before = rig.disk.contents(of: victim.path)
        let report = try rig.open()
        let (read, named) = try self.readAround(rig)
        for (base, batch) in read {
            #expect(batches[Int(base)] == batch, "\(base) is not what was written")
        }
        let names = (report.damage + named).map(\.file) + report.rebuiltIndexes
        switch victim {
        case .closedIndex, .activeIndex:
            // An index costs nothing: everything is served, and it is as good as before.
            #expect(read.count == batches.count && report.damage.isEmpty)
            if victim == .closedIndex {
                // Who reads from the start of a segment needs no index; who begins in its middle makes it anew.
                let middle = try rig.log.read(from: 20, below: rig.log.endOffset, upTo: .kibibytes(1))
                #expect(try rig.run(try #require(middle)).batches.first == batches[20])
                #expect(rig.disk.contents(of: victim.path).flatMap { IndexFile(from: $0) }?.base == 14)
            } else {
                #expect(names.contains(victim.path))
            }
        case .state:
            #expect(names.contains(victim.path))
            #expect(read.count == batches.count)
        case .closedSegment, .activeSegment:
            #expect(names.contains(victim.path))
            #expect(report.cut == nil)
            #expect(rig.disk.contents(of: victim.path) == before, "damage stays as it is")
            // The other segments are whole.
            let other = harm == .swapped ? 14 : 0
            let spoiled = victim == .closedSegment ? 14 + other : 12 + other
            #expect(read.count >= batches.count - spoiled)
        }
        if rig.log.failure == nil {
            #expect(rig.log.endOffset == 54, "no offset is given twice")
            rig.append()
            rig.drain()
            #expect(rig.log.durableEnd == 55)
        } else {
            #expect(victim == .activeSegment)
            #expect(!rig.log.takesAppends && rig.log.nextJob() == nil)
        }
    }

    @Test("a flipped bit in an acknowledged batch behind the recovery point is damage, not a torn end")
    func aboveRecoveryPoint() throws {
        let rig = LogRig()
        let batches = (0..<6).map { _ in
            let batch = rig.append(payload: 600)
            rig.drain()
            return batch
        }
        let position = 64 + 669 * 2 + 100
        rig.disk.damage(LogRig.segment(0), at: position) { $0 ^= 0x10 }
        rig.disk.crash(seed: 1)
        let report = try rig.open()
        #expect(report.cut == nil)
        #expect(report.damage.map(\.offsets) == [2..<3])
        #expect(rig.log.endOffset == 6)
        #expect(throws: LogError.self) { try rig.log.read(from: 2, below: 6, upTo: .kibibytes(1)) }
        #expect(try rig.readAll(from: 3) == Array(batches[3...]))
    }

    @Test("a hole in the last job is its torn end, and is cut")
    func hole() throws {
        let rig = LogRig()
        rig.append()
        rig.drain()
        for _ in 0..<4 { rig.append(payload: 3000) }
        rig.drain()
        // Nobody was told of the last job: its third page never reached the disk.
        for byte in 4096..<8192 { rig.disk.damage(LogRig.segment(0), at: byte) { $0 = 0 } }
        let report = try rig.open()
        #expect(report.damage.isEmpty && report.cut != nil)
        #expect(rig.log.endOffset == 2)
        #expect(try rig.readAll().count == 2)
        #expect(try rig.open().cut == nil)
    }

    @Test("a torn end after an orderly end is damage: it is named, and no offset is given twice")
    func afterCleanShutdown() throws {
        let rig = LogRig()
        for _ in 0..<3 { rig.append(payload: 500) }
        _ = rig.close()
        rig.disk.damage(LogRig.segment(0), at: 64 + 569 * 2 + 300) { $0 ^= 1 }
        let report = try rig.open(clean: true)
        #expect(report.cut == nil && report.damage.map(\.offsets) == [2..<3])
        #expect(rig.log.endOffset == 3 && rig.log.takesAppends)
        rig.disk.damage(LogRig.segment(0), at: 64 + 569 * 2 + 4) { $0 ^= 1 }
        #expect(try rig.open(clean: true).cut == nil)
        #expect(!rig.log.takesAppends, "where the log ends is not known any more")
    }

    @Test("a missing state file is missed, and the log goes on without it")
    func missingState() throws {
        let (rig, batches) = try self.make()
        rig.disk.erase(LogRig.file("state"))
        #expect(try rig.open().damage.map(\.kind) == [.state])
        #expect(try rig.readAll() == batches)
        rig.drain()
        #expect(rig.disk.contents(of: LogRig.file("state")) != nil)
        #expect(try rig.open().damage.isEmpty)
    }

    @Test("half-made files go, unknown ones stay and are named")
    func strangers() throws {
        let (rig, _) = try self.make()
        let note = LogRig.file("notes.txt")
        rig.disk.replace(note, with: ByteBuffer(string: "mine"))
        rig.disk.replace(LogRig.file("state.temporary"), with: ByteBuffer(string: "half"))
        let report = try rig.open()
        #expect(report.unknownFiles == [note] && report.removedFiles == [LogRig.file("state.temporary")])
        #expect(rig.disk.contents(of: note) == ByteBuffer(string: "mine"))
    }

    @Test("a bit flipped on the way from the disk is noticed on every cold read", arguments: 0..<60)
    func flippedRead(bit: Int) throws {
        let rig = LogRig()
        let batch = rig.append(payload: 120)
        rig.drain()
        let read = try #require(try rig.log.read(from: 0, below: 1, upTo: .kibibytes(1)))
        rig.disk.fail(SimulatedFault(.readFlip(bit: bit * 25 + 3), on: ".segment", after: 1))
        let result = Result { () throws(LogError) in try read.run(on: rig.disk) }
        switch result {
        case .success(let result): #expect(result.batches.allSatisfy { $0 == batch })
        case .failure(.damaged): break
        case .failure(let error): Issue.record(error)
        }
        #expect(try rig.run(read).batches == [batch])
    }
}
