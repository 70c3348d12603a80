import ApusCore
import ApusFakes
import NIOCore
import Testing

@testable import ApusLog

/// Every state that a power cut can leave at every step of one operation, one by one (after Pillai and others, "All
/// File Systems Are Not Created Equal", OSDI 2014): each name kept or lost, each sector and size old or new.
@Suite struct CrashStateTests {
    /// A log before an operation, and the operation.
    private struct Scene {
        var configuration: LogConfiguration
        var before: @Sendable (LogRig) -> Void
        var act: @Sendable (LogRig) -> Void
        /// Batches that may not be there after the cut, though they were appended: withdrawn, and said so.
        var fault: SimulatedFault?
    }

    private static func append(_ count: Int, payload: Int = 700) -> @Sendable (LogRig) -> Void {
        { rig in for _ in 0..<count { rig.append(payload: payload) } }
    }

    @Test("every crash state of the first append to a partition holds")
    func firstAppend() throws {
        try self.enumerate(
            "first append", Scene(configuration: .init(), before: { _ in }, act: Self.append(1)), least: 20)
    }

    @Test("every crash state of an append holds")
    func append() throws {
        try self.enumerate(
            "append", Scene(configuration: .init(), before: Self.append(2), act: Self.append(3)), least: 30)
    }

    @Test("every crash state of a roll holds")
    func roll() throws {
        let configuration = LogConfiguration(segmentBytes: .bytes(2000), indexIntervalBytes: .bytes(500))
        try self.enumerate(
            "roll", Scene(configuration: configuration, before: Self.append(2), act: Self.append(1)), least: 60)
    }

    @Test("every crash state of a checkpoint holds")
    func checkpoint() throws {
        let configuration = LogConfiguration(indexIntervalBytes: .bytes(500), checkpointBytes: .bytes(1500))
        try self.enumerate(
            "checkpoint", Scene(configuration: configuration, before: Self.append(1), act: Self.append(1)), least: 60)
    }

    @Test("every crash state of a retention that removes segments holds")
    func retention() throws {
        let configuration = LogConfiguration(
            segmentBytes: .bytes(1000), retentionBytes: .bytes(1000), indexIntervalBytes: .bytes(500))
        let act: @Sendable (LogRig) -> Void = { rig in
            rig.log.applyRetention(wall: rig.wall, below: rig.log.durableEnd)
        }
        try self.enumerate(
            "retention", Scene(configuration: configuration, before: Self.append(4), act: act), least: 25)
    }

    @Test("every crash state of records being deleted holds")
    func deleteRecords() throws {
        let act: @Sendable (LogRig) -> Void = { rig in
            do { try rig.log.advanceStart(to: 2) } catch { Issue.record(error) }
        }
        try self.enumerate("delete records", Scene(configuration: .init(), before: Self.append(4), act: act), least: 20)
    }

    @Test("every crash state of an append that finds the disk full holds, and what was withdrawn stays away")
    func full() throws {
        let scene = Scene(
            configuration: .init(), before: Self.append(2), act: Self.append(2),
            fault: SimulatedFault(.writeFull(kept: 900), on: ".segment"))
        try self.enumerate("append to a full disk", scene, least: 10)
    }

    @Test("every crash state of a compaction holds: the newest of each key is there, and nothing deleted comes back")
    func compaction() throws {
        let configuration = LogConfiguration(
            segmentBytes: .bytes(1000), indexIntervalBytes: .bytes(200),
            compaction: CompactionPolicy(tombstoneAge: .zero))
        func make() throws -> LogRig {
            let rig = LogRig(configuration, seed: 5)
            // The tombstone of a was compacted before, and may go now; b and c have newer values, d is a tombstone.
            try rig.put([("a", "1"), ("b", "1"), ("c", String(repeating: "1", count: 300))])
            try rig.put([("a", nil)])
            rig.closeSegment()
            try rig.compact()
            try rig.put([("b", "2"), ("c", "2"), ("d", "1")])
            try rig.put([("c", "3"), ("d", nil)])
            rig.closeSegment()
            try rig.put([("e", "1")])
            rig.drain()
            return rig
        }
        let whole = try make()
        let all = try whole.seen()
        let before = whole.disk.operations
        try whole.compact()
        let after = try whole.seen()
        #expect(after.map(\.offset) == [4, 7, 8, 9])
        let count = whole.disk.operations - before
        var states = 0
        for stop in 0...count {
            var path = CrashPath()
            repeat {
                let rig = try make()
                rig.disk.stop(after: stop)
                // Stopped in the middle it fails: that is the point.
                _ = try? rig.compact()
                rig.disk.crash(along: &path)
                let report = try rig.open()
                let seen = try rig.seen()
                let files = rig.disk.files.map(\.path.name)
                let isSound =
                    report.damage.isEmpty && rig.log.failure == nil && rig.log.endOffset == 10
                    && (seen == all || seen == after) && (stop < count || seen == after)
                    && files.count { $0.hasSuffix(".compacted") || $0.hasSuffix(".segment") } == (seen == all ? 3 : 2)
                    && !files.contains { $0.hasSuffix(".temporary") }
                guard isSound else {
                    throw LogHistory.Broken(
                        "compaction, stopped after \(stop) of \(count): \(seen), \(files), \(report)")
                }
                states += 1
            } while path.next() && states < 200_000
        }
        print("crash states of one compaction: \(states), all sound; \(count) operations")
        #expect(states > 60)
    }

    /// Runs the scene, stopped after each of its operations, into every power cut.
    private func enumerate(_ name: String, _ scene: Scene, least: Int) throws {
        let whole = try self.play(scene, stopAfter: nil)
        let count = whole.rig.disk.operations - whole.operationsBefore
        var states = 0
        for stop in 0...count {
            var path = CrashPath()
            repeat {
                let played = try self.play(scene, stopAfter: stop)
                played.rig.disk.crash(along: &path)
                try self.check(played, "\(name), stopped after \(stop) of \(count)")
                states += 1
            } while path.next() && states < 200_000
        }
        print("crash states of one \(name): \(states), all sound; \(count) operations")
        #expect(states >= least)
    }

    private struct Played {
        var rig: LogRig
        var operationsBefore: Int
        var appended: [ByteBuffer]
        var durableEnd: Int
        var withdrawnFrom: Int?
        var durableStart: Offset
        var startMax: Offset
    }

    private func play(_ scene: Scene, stopAfter: Int?) throws -> Played {
        let rig = LogRig(scene.configuration, seed: 7)
        scene.before(rig)
        rig.drain()
        var played = Played(
            rig: rig, operationsBefore: rig.disk.operations, appended: try rig.readAll(), durableEnd: 0,
            durableStart: rig.log.startOffset, startMax: rig.log.startOffset)
        played.durableEnd = Int(rig.log.durableEnd.rawValue)
        if let fault = scene.fault { rig.disk.fail(fault) }
        if let stopAfter { rig.disk.stop(after: stopAfter) }
        scene.act(rig)
        played.startMax = rig.log.startOffset
        for batch in rig.log.writing.waiting { played.appended.append(batch) }
        for segment in rig.log.ahead { played.appended += segment.waiting }
        for progress in rig.drain() {
            played.durableEnd = Int(progress.durableEnd.rawValue)
            played.durableStart = progress.durableStart
            if progress.event == .withdrawn { played.withdrawnFrom = Int(progress.writtenEnd.rawValue) }
        }
        rig.disk.clearFaults()
        return played
    }

    private func check(_ played: Played, _ place: String) throws {
        let rig = played.rig
        let report = try rig.open()
        let read = try rig.readAll()
        let (start, end) = (Int(rig.log.startOffset.rawValue), Int(rig.log.endOffset.rawValue))
        let isSound =
            report.damage.isEmpty && rig.log.failure == nil && end >= played.durableEnd
            && end <= played.withdrawnFrom ?? played.appended.count
            && rig.log.startOffset >= played.durableStart && rig.log.startOffset <= played.startMax
            && read == Array(played.appended[start..<end])
        let again = try rig.open()
        let isStable = again.cut == nil && again.damage.isEmpty && Int(rig.log.endOffset.rawValue) == end
        guard isSound, isStable else {
            throw LogHistory.Broken("\(place): \(start)..<\(end), durable \(played.durableEnd), \(report)")
        }
        // It goes on from there.
        rig.append()
        rig.drain()
        guard rig.log.durableEnd == Offset(rawValue: Int64(end + 1)) else { throw LogHistory.Broken("\(place): stuck") }
    }

    @Test("every crash state of a topic being deleted leaves the whole topic, or after cleaning nothing")
    func topicDelete() throws {
        let topic = LogRig.identity.topicPartition.topic
        func make() throws -> LogRig {
            let rig = LogRig(LogConfiguration(segmentBytes: .bytes(1000), indexIntervalBytes: .bytes(500)))
            for _ in 0..<3 { rig.append(payload: 700) }
            rig.drain()
            return rig
        }
        let whole = try make()
        let files = whole.disk.files.map(\.path)
        let before = whole.disk.operations
        try TopicDirectory.remove(topic, on: whole.disk)
        #expect(whole.disk.files.isEmpty)
        let count = whole.disk.operations - before
        var states = 0
        for stop in 0...count {
            var path = CrashPath()
            repeat {
                let rig = try make()
                rig.disk.stop(after: stop)
                // Stopped in the middle it fails: that is the point.
                try? TopicDirectory.remove(topic, on: rig.disk)
                rig.disk.crash(along: &path)
                let isThere = try TopicDirectory.list(on: rig.disk) == [topic]
                try TopicDirectory.clean(on: rig.disk)
                #expect(rig.disk.files.map(\.path) == (isThere ? files : []))
                #expect(stop < count || !isThere)
                states += 1
            } while path.next()
        }
        print("crash states of one topic delete: \(states), all sound; \(count) operations")
        #expect(states > 20)
    }
}
