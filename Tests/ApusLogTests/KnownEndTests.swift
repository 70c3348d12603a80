import ApusCore
import ApusFakes
import NIOCore
import Testing

@testable import ApusLog

/// Files that are gone after a clean stop, and nothing else on the disk that tells of them.
@Suite struct KnownEndTests {
    enum Loss: CaseIterable, Sendable {
        /// Of several segments; the `state` file says only that it was begun.
        case newestSegment
        case onlySegment
        /// The file ends between two batches.
        case lastBatch
        case directory
    }

    /// A log that was closed cleanly, 6 batches long unless it has more segments.
    private func make(_ loss: Loss) throws -> (rig: LogRig, end: Offset, batches: [ByteBuffer]) {
        let size: ByteCount = loss == .newestSegment ? .kibibytes(4) : .mebibytes(1)
        let rig = LogRig(LogConfiguration(segmentBytes: size))
        var batches: [ByteBuffer] = []
        for _ in 0..<6 {
            batches.append(rig.append(payload: 1000))
            rig.drain()
        }
        _ = rig.close()
        #expect(rig.log.endOffset == 6)
        return (rig, rig.log.endOffset, batches)
    }

    /// What is left; nil where everything went.
    private func lose(_ loss: Loss, _ rig: LogRig) throws -> (files: [DiskPath: ByteBuffer], left: Int) {
        let victims: [DiskPath]
        var left = 0
        switch loss {
        case .newestSegment:
            victims = [LogRig.segment(rig.log.writing.base.rawValue)]
            left = Int(rig.log.writing.base.rawValue)
            try #require(left > 0)
        case .onlySegment, .lastBatch: victims = [LogRig.segment(0)]
        case .directory: victims = try rig.disk.list(LogRig.directory).map { LogRig.file($0) }
        }
        var kept: [DiskPath: ByteBuffer] = [:]
        for victim in victims {
            let bytes = try #require(rig.disk.contents(of: victim))
            kept[victim] = bytes
            if loss == .lastBatch {
                left = 5
                rig.disk.replace(victim, with: try #require(bytes.getSlice(at: 0, length: 64 + 5 * 1069)))
            } else {
                rig.disk.erase(victim)
            }
        }
        return (kept, left)
    }

    private func open(_ rig: LogRig, clean: Bool, end: Offset, life: Int32 = 3) throws -> LogReport {
        let opened = try Log.open(
            identity: LogRig.identity, configuration: rig.configuration, on: rig.disk, cleanShutdown: clean,
            noted: end > .zero ? NotedEnd(end, in: Epoch(rawValue: life)) : .none, wall: rig.wall, seed: 7)
        rig.log = opened.log
        return opened.report
    }

    @Test(
        "a log that ends early is named, takes nothing, serves the rest, and is whole again with its files back",
        arguments: Loss.allCases)
    func lost(_ loss: Loss) throws {
        let (rig, end, batches) = try self.make(loss)
        let (files, left) = try self.lose(loss, rig)
        // Found once, it is known for good: also by a start after a crash, which has no list of ends.
        for isClean in [true, false, true] {
            let report = try self.open(rig, clean: isClean, end: isClean ? end : .zero)
            #expect(report.damage.map(\.offsets) == [Offset(rawValue: Int64(left))..<end])
            guard case .endLost(let damage, let record) = rig.log.failure else {
                return #expect(Bool(false), "\(loss) was not noticed")
            }
            #expect(record == LogRig.file("known-end") && "\(damage)".contains("\(LogRig.directory)"))
            #expect(!rig.log.takesAppends && rig.log.nextJob() == nil && rig.log.endOffset == end)
            for (index, batch) in batches.enumerated() {
                let read = Result { try rig.readAll(from: Offset(rawValue: Int64(index))) }
                if index < left { #expect(try rig.readOne(at: index) == batch) }
                if index >= left { #expect(throws: LogError.damaged(damage)) { try read.get() } }
            }
            rig.disk.crash(seed: 3)
        }
        for (path, bytes) in files { rig.disk.replace(path, with: bytes) }
        #expect(try self.open(rig, clean: false, end: .zero).damage.isEmpty)
        #expect(rig.log.takesAppends && rig.log.endOffset == end)
        #expect(try rig.readAll() == batches)
        #expect(rig.disk.contents(of: LogRig.file("known-end")) == nil)
    }

    @Test(
        "who renames the record of the end accepts the loss, whether or not it was read before",
        arguments: Loss.allCases)
    func accepted(_ loss: Loss) throws {
        let (rig, end, batches) = try self.make(loss)
        let (_, left) = try self.lose(loss, rig)
        _ = try self.open(rig, clean: true, end: end)
        try self.accept(rig)
        let report = try self.open(rig, clean: true, end: end)
        #expect(report.damage.isEmpty && report.acceptedLoss)
        #expect(try rig.disk.list(LogRig.directory).contains("accept-loss") == false)
        #expect(rig.log.endOffset.rawValue == Int64(left))
        let next = rig.append()
        rig.drain()
        #expect(try rig.readAll() == batches[..<left] + [next])
    }

    @Test("what was found torn after a clean stop stays damage after a crash, and is not cut")
    func tornThenCrash() throws {
        let (rig, end, _) = try self.make(.onlySegment)
        rig.disk.damage(LogRig.segment(0), at: 64 + 1069 * 5 + 4) { $0 ^= 1 }
        for isClean in [true, false, false] {
            let report = try self.open(rig, clean: isClean, end: isClean ? end : .zero)
            #expect(report.cut == nil && report.damage.count == 1)
            #expect(!rig.log.takesAppends)
            rig.disk.crash(seed: 5)
        }
    }

    /// What the message of the failure says.
    private func accept(_ rig: LogRig) throws {
        try rig.disk.rename(LogRig.file("known-end"), to: LogRig.file("accept-loss"))
        try rig.disk.syncDirectory(LogRig.directory)
    }

    @Test(
        "an accepted loss voids what was noted until then, and goes when something newer is", arguments: Loss.allCases)
    func acceptedThenCrash(_ loss: Loss) throws {
        let (rig, end, batches) = try self.make(loss)
        let (_, left) = try self.lose(loss, rig)
        _ = try self.open(rig, clean: true, end: end)
        try self.accept(rig)
        _ = try self.open(rig, clean: true, end: end)
        rig.disk.crash(seed: 4)
        #expect(try self.open(rig, clean: false, end: end).damage.isEmpty)
        let next = rig.append()
        rig.drain()
        let now = rig.log.endOffset
        rig.disk.crash(seed: 5)
        #expect(try self.open(rig, clean: false, end: end).damage.isEmpty)
        #expect(try rig.log.takesAppends && rig.readAll() == batches[..<left] + [next])
        #expect(rig.disk.contents(of: LogRig.file("known-end")) != nil)
        // What a later life noted counts again.
        #expect(try self.open(rig, clean: false, end: now, life: 4).damage.isEmpty)
        #expect(rig.log.takesAppends && rig.disk.contents(of: LogRig.file("known-end")) == nil)
        for file in try rig.disk.list(LogRig.directory) { rig.disk.erase(LogRig.file(file)) }
        _ = try self.open(rig, clean: false, end: now, life: 4)
        #expect(!rig.log.takesAppends)
    }

    @Test("where a whole file must come back, to accept a loss changes nothing, and the log is well when it is back")
    func notAcceptable() throws {
        let (rig, end, batches) = try self.make(.onlySegment)
        let segment = LogRig.segment(0)
        let whole = try #require(rig.disk.contents(of: segment))
        rig.disk.damage(segment, at: 3) { $0 ^= 1 }
        for _ in 0..<3 {
            _ = try self.open(rig, clean: true, end: end)
            #expect(!rig.log.takesAppends && rig.disk.contents(of: LogRig.file("known-end")) != nil)
            try self.accept(rig)
        }
        _ = try self.open(rig, clean: true, end: end)
        rig.disk.replace(segment, with: whole)
        _ = try self.open(rig, clean: false, end: end)
        #expect(try rig.log.takesAppends && rig.readAll() == batches)
    }

    @Test("a full disk keeps the record from being written, and nothing from being read")
    func fullDisk() throws {
        let (rig, end, batches) = try self.make(.lastBatch)
        _ = try self.lose(.lastBatch, rig)
        rig.disk.capacity = 0
        _ = try self.open(rig, clean: true, end: end)
        #expect(!rig.log.takesAppends && rig.disk.contents(of: LogRig.file("known-end")) == nil)
        #expect(try rig.readOne(at: 4) == batches[4])
    }

    @Test("a damaged end is accepted in the same way, and cut", arguments: [true, false])
    func acceptedDamage(isClean: Bool) throws {
        let (rig, end, batches) = try self.make(.onlySegment)
        // The seal of the last batch: nothing says any more which offsets it had.
        rig.disk.damage(LogRig.segment(0), at: 64 + 1069 * 5 + 4) { $0 ^= 1 }
        _ = try self.open(rig, clean: true, end: .zero)
        guard case .endUnknown(_, let record) = rig.log.failure else {
            return #expect(Bool(false), "the damage was not noticed")
        }
        #expect(record == LogRig.file("known-end") && rig.disk.contents(of: LogRig.file("known-end")) != nil)
        rig.disk.crash(seed: 8)
        try self.accept(rig)
        let report = try self.open(rig, clean: isClean, end: end)
        #expect(report.acceptedLoss && report.damage.isEmpty && report.cut != nil)
        let next = rig.append()
        rig.drain()
        #expect(try rig.readAll() == batches[..<5] + [next])
    }

    @Test("accepting the loss of the end cuts nothing that still stands behind older damage", arguments: [true, false])
    func acceptedKeepsTheRest(isDurable: Bool) throws {
        // One job, or jobs without a sync: no seal proves what stands in front of it.
        let rig = LogRig(LogConfiguration(isDurable: isDurable))
        let batches = (0..<6).map { _ in rig.append(payload: 1000) }
        _ = rig.close()
        let segment = LogRig.segment(0)
        let whole = try #require(rig.disk.contents(of: segment))
        rig.disk.replace(segment, with: try #require(whole.getSlice(at: 0, length: 64 + 5 * 1069)))
        rig.disk.damage(segment, at: 64 + 2 * 1069 + 500) { $0 ^= 1 }
        _ = try self.open(rig, clean: true, end: 6)
        guard case .endLost = rig.log.failure else { return #expect(Bool(false), "the loss was not noticed") }
        try self.accept(rig)
        let report = try self.open(rig, clean: true, end: 6)
        #expect(report.acceptedLoss && report.cut == nil && report.damage.map(\.offsets) == [2..<3])
        #expect(rig.log.takesAppends && rig.log.endOffset == 5)
        let next = rig.append()
        rig.drain()
        #expect(throws: LogError.self) { try rig.readOne(at: 2) }
        for index in [0, 1, 3, 4] { #expect(try rig.readOne(at: index) == batches[index]) }
        #expect(try rig.readOne(at: 5) == next)
    }

    @Test("the record of an end that is reached again does not come back after a power cut", arguments: UInt64(0)..<16)
    func recordGoesForGood(seed: UInt64) throws {
        let (rig, end, _) = try self.make(.lastBatch)
        let (files, _) = try self.lose(.lastBatch, rig)
        _ = try self.open(rig, clean: true, end: end)
        rig.disk.crash(seed: 1)
        for (path, bytes) in files { rig.disk.replace(path, with: bytes) }
        _ = try self.open(rig, clean: false, end: .zero)
        #expect(rig.log.takesAppends)
        rig.disk.crash(seed: seed)
        #expect(rig.disk.contents(of: LogRig.file("known-end")) == nil)
    }

    @Test("below the end of the last orderly stop nothing is taken for a torn write, above it all that is torn is cut")
    func tornAboveAndBelow() throws {
        for isBelow in [true, false] {
            let (rig, end, batches) = try self.make(.onlySegment)
            // Neither is behind the recovery point: only the known end tells them apart.
            let at = 64 + 1069 * 5 + 500
            rig.disk.damage(LogRig.segment(0), at: at) { $0 ^= 1 }
            let known = isBelow ? end : Offset(rawValue: 5)
            let report = try self.open(rig, clean: false, end: known)
            #expect((report.cut == nil) == isBelow && report.damage.isEmpty != isBelow)
            #expect(try rig.readOne(at: 4) == batches[4])
            if isBelow { #expect(throws: LogError.self) { try rig.readOne(at: 5) } }
        }
    }

    @Test("a log that ends where it should, or later, has nothing to tell")
    func whole() throws {
        let (rig, end, batches) = try self.make(.newestSegment)
        for known in [Offset.zero, 1, end] {
            #expect(try self.open(rig, clean: true, end: known).damage.isEmpty)
            #expect(try rig.log.takesAppends && rig.readAll() == batches)
        }
        #expect(rig.disk.contents(of: LogRig.file("known-end")) == nil)
    }

    @Test("a record of the end that can not be read, with any one bit flipped or byte missing, is never passed over")
    func damagedRecord() throws {
        let (rig, end, _) = try self.make(.onlySegment)
        _ = try self.lose(.onlySegment, rig)
        _ = try self.open(rig, clean: true, end: end)
        let file = LogRig.file("known-end")
        let whole = try #require(rig.disk.contents(of: file))
        for bit in 0..<whole.readableBytes * 8 {
            rig.disk.replace(file, with: whole)
            rig.disk.damage(file, at: bit / 8) { $0 ^= UInt8(1 << (bit % 8)) }
            #expect(try self.open(rig, clean: false, end: .zero).damage.map(\.kind) == [.knownEnd])
            #expect(!rig.log.takesAppends)
        }
        for length in 0..<whole.readableBytes {
            rig.disk.replace(file, with: try #require(whole.getSlice(at: 0, length: length)))
            _ = try self.open(rig, clean: false, end: .zero)
            #expect(!rig.log.takesAppends)
        }
    }
}

extension LogRig {
    /// The batch that begins at an offset.
    func readOne(at offset: Int) throws -> ByteBuffer? {
        let from = Offset(rawValue: Int64(offset))
        guard let read = try self.log.read(from: from, below: from.next, upTo: .bytes(1)) else { return nil }
        return try self.run(read).batches.first
    }
}
