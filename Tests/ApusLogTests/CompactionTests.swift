import ApusCore
import ApusFakes
import KafkaWire
import NIOCore
import Testing

@testable import ApusLog

@Suite struct CompactionTests {
    private static let hour = Duration.seconds(3600)

    private func rig(
        _ policy: CompactionPolicy = CompactionPolicy(), segmentBytes: ByteCount = .bytes(4000),
        retentionAge: Duration? = nil
    ) -> LogRig {
        LogRig(
            LogConfiguration(
                segmentBytes: segmentBytes, retentionAge: retentionAge, indexIntervalBytes: .bytes(200),
                compaction: policy))
    }

    @Test(
        "of each key the newest record stays, where it was, with its time and headers",
        arguments: CompressionCodec.allCases)
    func newest(codec: CompressionCodec) throws {
        let rig = self.rig()
        try rig.put([("a", "1"), ("b", "1"), ("a", "2")], codec: codec)
        try rig.put([("b", "2"), ("c", "1")], codec: codec)
        try rig.put([("d", "1")], codec: codec)
        rig.closeSegment()
        try rig.put([("d", "2")], codec: codec)
        rig.drain()
        let before = try rig.seen()
        let pass = try #require(try rig.compact())
        #expect(pass.recordsRemoved == 2)
        // The active segment is not looked at: both of d stay.
        let expected = before.filter { ![0, 1].contains($0.offset) }
        #expect(try rig.seen() == expected)
        for from in Int64(0)...7 {
            #expect(try rig.seen(from: Offset(rawValue: from)) == expected.filter { $0.offset >= from })
        }
        let report = try rig.open()
        #expect(report.damage.isEmpty && report.unknownFiles.isEmpty && report.removedFiles.isEmpty)
        #expect(try rig.seen() == expected)
        #expect(rig.log.compactedEnd == 6)
        #expect(rig.disk.files.filter { $0.path.name.hasSuffix(".compacted") }.count == 1)
        #expect(rig.disk.files.filter { $0.path.name.hasSuffix(".segment") }.map(\.path) == [LogRig.segment(6)])
    }

    @Test("neighbours that became small become one segment, and the log is a row without a gap")
    func merged() throws {
        let rig = self.rig(segmentBytes: .bytes(900))
        for round in 0..<60 { try rig.put([("k\(round % 5)", "value \(round)")]) }
        rig.closeSegment()
        try rig.compact()
        let segments = rig.log.closed.count
        for round in 60..<62 { try rig.put([("k\(round % 5)", "value \(round)")]) }
        rig.closeSegment()
        try rig.compact()
        let closed = rig.log.closed
        #expect(closed.count < segments / 2)
        #expect(zip(closed, closed.dropFirst()).allSatisfy { $0.end == $1.base } && closed.last?.end == 62)
        #expect(try rig.values() == (57..<62).map { "\($0): k\($0 % 5)=value \($0)" })
        let opened = try rig.open()
        #expect(opened.damage.isEmpty)
        #expect(try rig.values().count == 5)
    }

    @Test("a tombstone stays for delete.retention.ms after it was compacted, and then goes without new records")
    func tombstones() throws {
        let rig = self.rig(CompactionPolicy(tombstoneAge: Self.hour))
        try rig.put([("a", "1"), ("b", "1")])
        try rig.put([("a", nil), ("b", nil)])
        try rig.put([("c", "1")])
        rig.closeSegment()
        rig.wall = rig.wall.later(by: .seconds(10 * 3600))
        // Its own age does not count: a reader that began at the old value must have time to see it.
        let before = try rig.seen()
        try rig.compact()
        #expect(try rig.seen() == before.filter { $0.offset >= 2 })
        rig.wall = rig.wall.later(by: .seconds(3599))
        #expect(rig.log.compactionNeed(wall: rig.wall, below: rig.log.endOffset) == nil)
        try rig.compact()
        #expect(try rig.values() == ["2: a=-", "3: b=-", "4: c=1"])
        rig.wall = rig.wall.later(by: .seconds(1))
        #expect(rig.log.compactionNeed(wall: rig.wall, below: rig.log.endOffset)?.isOverdue == true)
        try rig.compact()
        #expect(try rig.values() == ["4: c=1"])
        #expect(rig.log.compactionNeed(wall: rig.wall, below: rig.log.endOffset) == nil)
    }

    @Test("when even the last record of a segment goes, readers in the gap still get past it")
    func gapAtTheEnd() throws {
        let rig = self.rig(CompactionPolicy(tombstoneAge: .zero))
        try rig.put([("a", "1"), ("a", nil)])
        rig.closeSegment()
        try rig.put([("b", "1"), ("b", nil)])
        rig.closeSegment()
        for _ in 0..<2 {
            try rig.compact()
            #expect(try rig.open().damage.isEmpty)
        }
        #expect(try rig.seen().isEmpty)
        for from in Int64(0)..<4 { #expect(try rig.seen(from: Offset(rawValue: from)).isEmpty) }
        try rig.put([("c", "1")])
        rig.drain()
        #expect(try rig.values(from: 1) == ["4: c=1"])
    }

    @Test("min.cleanable.dirty.ratio says how much must be new")
    func ratio() throws {
        let rig = self.rig(CompactionPolicy(dirtyRatioMin: 0.4))
        for index in 0..<8 { try rig.put([("k\(index)", String(repeating: "v", count: 100))]) }
        rig.closeSegment()
        #expect(rig.log.compactionNeed(wall: rig.wall, below: rig.log.endOffset)?.dirtyRatio == 1)
        // Nothing above the high watermark is touched.
        #expect(rig.log.compactionNeed(wall: rig.wall, below: 7) == nil)
        try rig.compact()
        for index in 0..<4 { try rig.put([("k\(index)", String(repeating: "w", count: 100))]) }
        rig.closeSegment()
        #expect(rig.log.compactionNeed(wall: rig.wall, below: rig.log.endOffset) == nil)
        for index in 0..<4 { try rig.put([("k\(index)", String(repeating: "x", count: 100))]) }
        rig.closeSegment()
        let need = try #require(rig.log.compactionNeed(wall: rig.wall, below: rig.log.endOffset))
        #expect(need.dirtyRatio > 0.4 && need.dirtyRatio < 0.6 && !need.isOverdue)
        #expect(LogRig().log.compactionNeed(wall: rig.wall, below: 0) == nil)
    }

    @Test("min.compaction.lag.ms leaves young segments alone, max.compaction.lag.ms lets none get old")
    func lags() throws {
        let rig = self.rig(CompactionPolicy(dirtyRatioMin: 0, lagMin: Self.hour))
        try rig.put([("a", "1")])
        rig.closeSegment()
        rig.wall = rig.wall.later(by: .seconds(1800))
        try rig.put([("a", "2")])
        rig.closeSegment()
        #expect(rig.log.compactionNeed(wall: rig.wall, below: rig.log.endOffset) == nil)
        rig.wall = rig.wall.later(by: .seconds(1800))
        try rig.compact()
        #expect(rig.log.compactedEnd == 1)
        #expect(try rig.values() == ["0: a=1", "1: a=2"])
        rig.wall = rig.wall.later(by: .seconds(1800))
        try rig.compact()
        #expect(try rig.values() == ["1: a=2"])

        let late = self.rig(CompactionPolicy(dirtyRatioMin: 1, lagMax: Self.hour))
        try late.put([("a", "1"), ("a", "2")])
        late.drain()
        late.log.applyRetention(wall: late.wall, below: late.log.endOffset)
        #expect(late.log.closed.isEmpty)
        late.wall = late.wall.later(by: .seconds(3601))
        late.log.applyRetention(wall: late.wall, below: late.log.endOffset)
        late.drain()
        #expect(late.log.compactionNeed(wall: late.wall, below: late.log.endOffset)?.isOverdue == true)
        try late.compact()
        #expect(try late.values() == ["1: a=2"])
    }

    @Test("a batch that its producer is known by stays, empty, and tells its sequence even without a state file")
    func producers() throws {
        let rig = self.rig(segmentBytes: .bytes(2000))
        var headers: [RecordBatchHeader] = []
        for sequence in 0..<8 {
            let producer = LogRig.Producer(id: 9, epoch: 2, sequence: Int32(sequence * 2))
            headers.append(try rig.put([("a", "x"), ("a", "\(sequence)")], producer: producer))
            rig.drain()
        }
        rig.closeSegment()
        try rig.put([("a", "newest")])
        rig.closeSegment()
        try rig.compact()
        #expect(try rig.values() == ["16: a=newest"])
        let batches = try rig.readAll().map { try RecordBatchHeader(from: $0) }
        // The last five, and one that was not written yet when the sixth came.
        #expect(batches.map(\.baseOffset) == [4, 6, 8, 10, 12, 14, 16])
        #expect(batches.dropLast().allSatisfy { $0.recordCount == 0 && $0.producerID == 9 && $0.lastOffsetDelta == 1 })
        rig.disk.erase(LogRig.file("state"))
        let report = try rig.open()
        #expect(report.damage.map(\.kind) == [.state])
        #expect(try rig.values() == ["16: a=newest"])
        for header in headers.suffix(5) {
            guard case .duplicate(let base, _, _) = try rig.log.verdict(on: header) else {
                Issue.record("the batch at \(header.baseOffset) is not known")
                continue
            }
            #expect(base.rawValue == header.baseOffset)
        }
        var next = headers[7]
        next.baseSequence = 16
        #expect(try rig.log.verdict(on: next) == .append)
        next.baseSequence = 17
        #expect(throws: ProducerError.self) { try rig.log.verdict(on: next) }
    }

    @Test("more keys than there is memory for take more passes")
    func manyKeys() throws {
        let rig = self.rig(segmentBytes: .bytes(3000))
        for index in 0..<100 { try rig.put([("k\(index % 50)", "\(index)"), ("k\((index + 25) % 50)", "\(index)")]) }
        rig.closeSegment()
        let newest = Dictionary(try rig.seen().map { ($0.key, $0) }) { $1 }.values.sorted { $0.offset < $1.offset }
        var passes = 0
        while rig.log.compactedEnd < rig.log.closed.last?.end ?? 0, passes < 50 {
            // 16 slots, 12 keys.
            try rig.compact(keysBytesMax: .bytes(24 * 16))
            passes += 1
            #expect(Set(try rig.seen()).isSuperset(of: newest))
        }
        #expect(passes > 3 && passes < 50)
        // A key that was noted in an earlier pass only goes when it is met again in a later one.
        #expect(try rig.seen() == newest)
        try rig.put((0..<20).map { ("x\($0)", "1") })
        rig.closeSegment()
        #expect(throws: CompactionFailure.tooManyKeys(at: 200)) { try rig.compact(keysBytesMax: .bytes(24 * 16)) }
    }

    @Test("records without a key go, batches that nobody can read and control batches stay")
    func strangers() throws {
        let rig = self.rig()
        try rig.put([(nil, "no key"), ("a", "1")])
        let noise = rig.append(records: 3, payload: 100)
        var control = RecordBatchBuilder(
            baseOffset: rig.log.endOffset.rawValue, leaderEpoch: 0, producerID: 3, producerEpoch: 0, isControl: true)
        control.append(key: ByteBuffer(bytes: [0, 0, 0, 1]), value: ByteBuffer(bytes: [0]), timestamp: 5)
        let marker = control.finish()
        rig.log.append(marker, header: try RecordBatchHeader(from: marker), wall: rig.wall)
        try rig.put([("a", "2")])
        rig.closeSegment()
        let pass = try #require(try rig.compact())
        #expect(pass.batchesUnreadable == 1)
        let batches = try rig.readAll()
        #expect(batches.count == 3)
        #expect(batches[0] == noise && batches[1] == marker)
        #expect(try rig.values(from: 6) == ["6: a=2"])
    }

    @Test("behind a batch that nobody can read no tombstone goes, until the batch is gone")
    func tombstonesBehindStrangers() throws {
        let rig = self.rig(CompactionPolicy(tombstoneAge: Self.hour))
        try rig.put([("x", "1"), ("x", nil)])
        // What is in there nobody knows: a record of key a, say.
        rig.append(records: 3, payload: 100)
        try rig.put([("a", "1"), ("b", "1")])
        try rig.put([("a", nil), ("b", "2")])
        try rig.put([("c", "1")])
        rig.closeSegment()
        func values() throws -> [String] { try rig.values(from: 5) }
        let left = ["7: a=-", "8: b=2", "9: c=1"]
        for round in 0..<3 {
            if round == 2 {
                // A pass over all of it, too.
                try rig.put([("d", "1")])
                rig.closeSegment()
            }
            try rig.compact()
            #expect(try values().prefix(3) == left[...])
            // What stands in front of that batch is not its business.
            #expect(try rig.readAll().contains { try RecordBatchHeader(from: $0).baseOffset == 0 } == (round == 0))
            rig.wall = rig.wall.later(by: Self.hour)
        }
        #expect(rig.log.compactionNeed(wall: rig.wall, below: rig.log.endOffset) == nil)
        try rig.log.advanceStart(to: 5)
        try rig.put([("e", "1")])
        rig.closeSegment()
        try rig.compact()
        #expect(try values() == left + ["10: d=1", "11: e=1"])
        rig.wall = rig.wall.later(by: Self.hour)
        try rig.compact()
        #expect(try values() == left.dropFirst() + ["10: d=1", "11: e=1"])
    }

    @Test(
        "damage stops compaction in front of its segment, is reported, and nothing is lost", arguments: [true, false])
    func damage(isKnown: Bool) throws {
        let rig = self.rig(segmentBytes: .bytes(500))
        for index in 0..<30 { try rig.put([("k\(index % 3)", "\(index)")]) }
        rig.closeSegment()
        let hurt = rig.log.closed[2]
        rig.disk.damage(LogRig.segment(hurt.base.rawValue), at: 100) { $0 ^= 4 }
        if isKnown { #expect(throws: LogError.self) { try rig.seen(from: hurt.base) } }
        let pass = try #require(try rig.compact())
        #expect((pass.damage == nil) == isKnown)
        #expect(rig.log.damage.count == 1 && rig.log.compactedEnd == hurt.base)
        #expect(rig.log.closed.filter(\.isCompacted).allSatisfy { $0.end <= hurt.base })
        #expect(rig.log.closed.last?.isCompacted == false)
        let kept = rig.log.closed[rig.log.closed.count - 1]
        #expect(try rig.values(from: kept.base).count == Int(kept.end.rawValue - kept.base.rawValue))
        // And damage in what was compacted already, met while it is written anew.
        let clean = self.rig(segmentBytes: .bytes(500))
        for index in 0..<30 { try clean.put([("k\(index)", "\(index)")]) }
        clean.closeSegment()
        try clean.compact()
        clean.disk.damage(LogRig.directory.appending(clean.log.closed[1].fileName), at: 100) { $0 ^= 4 }
        for index in 0..<30 { try clean.put([("k\(index)", "\(index)")]) }
        clean.closeSegment()
        #expect(throws: CompactionFailure.self) { try clean.compact() }
        #expect(clean.log.compactedEnd == 30)
        #expect(clean.log.closed.last?.end == 60)
    }

    @Test("a read that was planned before the swap finds the old bytes or plans again, never others")
    func readsInFlight() throws {
        let rig = self.rig()
        for index in 0..<12 { try rig.put([("k\(index % 4)", String(repeating: "\(index)", count: 60))]) }
        rig.closeSegment()
        try rig.put([("z", "1")])
        rig.drain()
        let planned = try (0..<12).map { try rig.log.read(from: Offset(rawValue: $0), below: 13, upTo: .bytes(300)) }
        // A hint into the old file must not be followed in the new one.
        let first = try #require(planned[3])
        let old = try first.run(on: rig.disk)
        try rig.compact()
        for read in planned {
            let read = try #require(read)
            #expect(throws: LogError.gone(read.from)) { _ = try read.run(on: rig.disk) }
        }
        rig.log.learned(from: first, .success(old))
        for from in Int64(0)..<12 {
            let seen = try rig.seen(from: Offset(rawValue: from))
            #expect(seen.map(\.offset) == [8, 9, 10, 11, 12].filter { $0 >= from })
        }
        let exact = try #require(try rig.log.read(from: 0, below: 13, upTo: .kibibytes(4)))
        #expect(exact.runCached(on: rig.disk)?.batches.count == 4)
    }

    @Test("the first record at a time is found among those that are left")
    func byTime() throws {
        let rig = self.rig()
        for index in 0..<12 {
            try rig.put([("k\(index % 4)", "\(index)")], timestamp: Timestamp(rawValue: 1000 + Int64(index) * 10))
        }
        rig.closeSegment()
        try rig.compact()
        for (time, offset) in [(Int64(0), Int64(8)), (1030, 8), (1080, 8), (1081, 9), (1110, 11)] {
            let lookup = try #require(rig.log.lookup(timestamp: Timestamp(rawValue: time), below: 12))
            #expect(try lookup.run(on: rig.disk)?.offset.rawValue == offset)
        }
        #expect(rig.log.lookup(timestamp: Timestamp(rawValue: 1111), below: 12) == nil)
        #expect(rig.log.largestTimestamp?.offset == 11)
    }

    @Test("retention and deletion go on while a pass is under way, and the pass knows when to end")
    func besideRetention() throws {
        let rig = self.rig(segmentBytes: .bytes(500), retentionAge: .seconds(60))
        for index in 0..<40 {
            try rig.put([("k\(index % 30)", "\(index)")])
            rig.wall = rig.wall.later(by: .seconds(1))
        }
        rig.closeSegment()
        var steps = 0
        var starts: [Offset] = []
        try rig.compact(piece: .bytes(50)) {
            steps += 1
            guard steps == 30 else { return }
            rig.wall = rig.wall.later(by: .seconds(30))
            rig.log.applyRetention(wall: rig.wall, below: rig.log.durableEnd)
            starts.append(rig.log.startOffset)
            rig.drain()
        }
        #expect(starts.first ?? 0 > 0)
        let newest = (10..<40).filter { $0 >= rig.log.startOffset.rawValue }
        #expect(Set(try rig.seen().map(\.offset)).isSuperset(of: newest))
        #expect(try rig.open().damage.isEmpty)
        try rig.log.advanceStart(to: 39)
        rig.drain()
        try rig.compact()
        #expect(try rig.values() == ["39: k9=39"])
        rig.wall = rig.wall.later(by: .seconds(3600))
        rig.log.applyRetention(wall: rig.wall, below: rig.log.durableEnd)
        rig.drain()
        #expect(try rig.open().damage.isEmpty)
        #expect(rig.log.startOffset == 40)
    }

    @Test("a full disk, a failing write or a failing sync ends the pass and not the log")
    func diskFails() throws {
        for kind in [SimulatedFault.Kind.writeFull(kept: 10), .writeError(kept: 10), .createFull, .syncError] {
            let rig = self.rig()
            for index in 0..<12 { try rig.put([("k\(index % 4)", "\(index)")]) }
            rig.closeSegment()
            rig.disk.fail(SimulatedFault(kind, on: ".compacted.temporary"))
            let begun = rig.log.beginCompaction(wall: rig.wall, below: rig.log.durableEnd)
            var pass = try #require(begun)
            #expect(throws: CompactionFailure.self) {
                while case .more = try pass.step(on: rig.disk, upTo: .bytes(100)) {}
            }
            pass.abandon(on: rig.disk)
            #expect(rig.disk.files.allSatisfy { !$0.path.name.contains("compacted") })
            try rig.put([("k0", "more")])
            rig.drain()
            #expect(rig.log.failure == nil)
            #expect(try rig.seen().count == 13)
            try rig.compact()
            #expect(try rig.seen().map(\.offset) == [8, 9, 10, 11, 12])
        }
    }

    @Test("an index that lies about a compacted segment costs time and no record")
    func lyingIndex() throws {
        let rig = self.rig()
        for index in 0..<40 { try rig.put([("k\(index)", String(repeating: "v", count: 50))]) }
        rig.closeSegment()
        try rig.compact()
        let segment = try #require(rig.log.closed.first { $0.indexIsUseful })
        let file = LogRig.directory.appending(segment.indexName)
        let contents = try #require(rig.disk.contents(of: file))
        var index = try #require(IndexFile(from: contents))
        let entries = index.index.entries
        try #require(entries.count > 4)
        var shifted = entries
        for place in 0..<entries.count - 3 { shifted[place].position = entries[place + 3].position }
        index.index = SparseIndex(entries: Array(shifted.dropLast(3)))
        rig.disk.replace(file, with: index.encoded())
        for offset in segment.base.rawValue..<segment.end.rawValue {
            #expect(try rig.seen(from: Offset(rawValue: offset)).first?.offset == offset)
        }
    }

    @Test("a state file from before there was compaction is read")
    func oldState() throws {
        let state = LogState(
            topicPartition: LogRig.identity.topicPartition, start: 3,
            active: ClosedSegment(
                base: 9, end: 12, salt: 4, byteCount: .bytes(300), largestTimestamp: .none, largestTimestampOffset: 9,
                lastAppendAt: LogRig.wall, createdAt: LogRig.wall),
            closed: [], epochs: LeaderEpochs(), producers: [])
        let bytes = Array(state.encoded().readableBytesView)
        // Without the compacted end, and without the last three fields of the one segment.
        var old = ByteBuffer(bytes: bytes[..<11])
        old.writeInteger(1 as UInt8)
        for range in [12..<40, 48..<100, 120..<bytes.count - 4] { old.writeBytes(bytes[range]) }
        old.writeInteger(old.crc32c())
        #expect(LogState(from: old) == state)
    }

    @Test("keys are told apart by SipHash-2-4-128 as its authors publish it")
    func hash() {
        let hasher = KeyHasher(secret: (0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908))
        func hex(_ count: Int) -> [UInt64] {
            let hash = hasher.hash(ByteBuffer(bytes: (0..<count).map { UInt8($0) }))
            return [hash.first.byteSwapped, hash.second.byteSwapped]
        }
        #expect(hex(0) == [0xa381_7f04_ba25_a8e6, 0x6df6_7214_c755_0293])
        #expect(hex(1) == [0xda87_c1d8_6b99_af44, 0x3476_5911_9b22_fc45])
        #expect(Set((0..<64).map { hex($0) }).count == 64)
    }
}

extension ClosedSegment {
    fileprivate var indexIsUseful: Bool { self.isCompacted && self.byteCount > .bytes(600) }
}
