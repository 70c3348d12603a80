import Testing

@testable import ApusGroups

/// 3,000 lives of a group, each from its seed.
@Suite("Consumer groups under random events")
struct RandomizedGroupTests {
    static let chunks = 10
    static let seedsPerChunk = 300

    @Test(
        "a partition has one owner at most, in the end one exactly, and no commit of an earlier one counts",
        arguments: 0..<Self.chunks
    )
    func lives(chunk: Int) {
        var (accepted, refused, crashes) = (0, 0, 0)
        for seed in chunk * Self.seedsPerChunk..<(chunk + 1) * Self.seedsPerChunk {
            var history = GroupHistory(seed: UInt64(seed))
            do throws(GroupHistory.Violation) {
                try history.run()
            } catch {
                Issue.record("seed \(seed): \(error)\n\(Self.story(of: UInt64(seed)))")
                return
            }
            accepted += history.commitsAccepted
            refused += history.commitsRefused
            crashes += history.crashes
        }
        // Were these not there, the seeds would show nothing.
        #expect(accepted > 50 && refused > 20 && crashes > 100, "\(accepted), \(refused), \(crashes)")
    }

    @Test("the checker sees each planted defect", arguments: GroupHistory.Defect.allCases)
    func checkerSees(defect: GroupHistory.Defect) {
        let caught = (0..<400).contains { seed in
            var history = GroupHistory(seed: UInt64(seed))
            history.defect = defect
            do throws(GroupHistory.Violation) { try history.run() } catch { return true }
            return false
        }
        #expect(caught)
    }

    @Test("the same seed tells the same story")
    func deterministic() {
        for seed in UInt64(1)...10 { #expect(Self.story(of: seed) == Self.story(of: seed)) }
    }

    private static func story(of seed: UInt64) -> String {
        var history = GroupHistory(seed: seed)
        history.trace.isOn = true
        try? history.run()
        return history.trace.lines.joined(separator: "\n")
    }
}
