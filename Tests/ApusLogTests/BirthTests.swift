import ApusCore
import ApusFakes
import Testing

@testable import ApusLog

/// New logs whose first files are made together, in step (``Lockstep``).
@Suite struct BirthTests {
    private struct Played {
        var disk: SimulatedDisk
        var rigs: [LogRig]
        var outcomes: [LogProgress]
        var operations: Int
    }

    /// Two partitions of one topic and one of another: they share directories, and none of these is there before.
    private static let identities: [LogIdentity] = [(1, 0), (1, 1), (2, 0)].map { topic, partition in
        LogIdentity(TopicPartition(topic: TopicID(high: 7, low: topic), partition: .init(rawValue: partition)))
    }

    private func play(stopAfter: Int? = nil, fault: SimulatedFault? = nil, logs: Int = 3) throws -> Played {
        let disk = SimulatedDisk()
        let rigs = Self.identities.prefix(logs).enumerated().map { index, identity in
            LogRig(disk: disk, seed: UInt64(index + 1), identity: identity)
        }
        if let stopAfter { disk.stop(after: stopAfter) }
        if let fault { disk.fail(fault) }
        for rig in rigs { rig.append(payload: 40) }
        let jobs = try rigs.map { try $0.job() }
        #expect(jobs.map(\.isBirth) == Array(repeating: true, count: logs))
        let failures = disk.perform(births: jobs.compactMap(\.commands))
        #expect(failures.count == logs)
        let outcomes = zip(rigs, zip(jobs, failures)).map { rig, done in
            rig.log.finished(done.0.token, done.0.outcome(done.1))
        }
        return Played(disk: disk, rigs: rigs, outcomes: outcomes, operations: disk.operations)
    }

    @Test("every crash state of new logs that are made in step holds", arguments: [2, 3])
    func crashStates(logs: Int) throws {
        let whole = try self.play(logs: logs)
        for rig in whole.rigs { #expect(rig.log.durableEnd == 1) }
        var states = 0
        for stop in 0...whole.operations {
            var path = CrashPath()
            repeat {
                let played = try self.play(stopAfter: stop, logs: logs)
                let batches = played.rigs.map(\.log.durableEnd)
                played.disk.crash(along: &path)
                for (rig, durableEnd) in zip(played.rigs, batches) {
                    try self.check(rig, durableEnd: durableEnd, "\(logs) logs, stopped after \(stop)")
                }
                states += 1
            } while path.next() && states < 100_000
        }
        print("crash states of \(logs) births in step: \(states), all sound; \(whole.operations) operations")
        #expect(states >= 200)
    }

    private func check(_ rig: LogRig, durableEnd: Offset, _ place: String) throws {
        let report = try rig.open()
        let end = rig.log.endOffset
        guard report.damage.isEmpty, rig.log.failure == nil, end >= durableEnd, end <= 1,
            try rig.readAll().count == Int(end.rawValue)
        else { throw LogHistory.Broken("\(place): \(rig.identity.directory) \(end), durable \(durableEnd), \(report)") }
        // It goes on from there.
        rig.append()
        rig.drain()
        guard rig.log.durableEnd == end.advanced(by: 1) else { throw LogHistory.Broken("\(place): stuck") }
    }

    @Test("a sync that fails kills the log it is for, and the others are whole")
    func failedSync() throws {
        let file = Self.identities[1].directory.rawValue + "/" + FileName.segmentName(.zero)
        for after in 0...1 {
            let played = try self.play(fault: SimulatedFault(.syncError, on: file, after: after))
            #expect(played.rigs.map { $0.log.failure == nil } == [true, false, true])
            #expect(played.rigs.map(\.log.durableEnd) == [1, 0, 1])
            played.disk.crash(seed: 3)
            for rig in played.rigs { try self.check(rig, durableEnd: rig.log.durableEnd, "after a failed sync") }
        }
    }

    @Test("a shared directory whose sync fails kills the logs that need it")
    func failedDirectory() throws {
        let topic = Self.identities[0].directory.directory.rawValue
        let played = try self.play(fault: SimulatedFault(.syncDirectoryError, on: topic))
        #expect(played.rigs.map { $0.log.failure == nil } == [false, false, true])
        #expect(played.rigs.map(\.log.durableEnd) == [0, 0, 1])
    }

    @Test("a log that finds the disk full is told so, and the others are whole")
    func full() throws {
        let file = Self.identities[1].directory.rawValue + "/" + FileName.segmentName(.zero)
        let played = try self.play(fault: SimulatedFault(.writeFull(kept: 20), on: file))
        #expect(played.outcomes.map(\.event) == [.advanced, .full, .advanced])
        let rig = played.rigs[1]
        #expect(rig.drain().map(\.event) == [.withdrawn])
        rig.append()
        rig.drain()
        #expect(rig.log.durableEnd == 1)
    }
}
