import ApusCore
import ApusFakes
import Foundation
import Testing

@testable import ApusSystem

/// `APUS_SEEDS` sets how many seeds run (400 by default).
@Suite struct JournalSeedTests {
    static let chunks: UInt64 = 8
    static let seeds = ProcessInfo.processInfo.environment["APUS_SEEDS"].flatMap { UInt64($0) } ?? 400

    @Test(
        "what a sync promised survives kills, power cuts, failing syncs and rot elsewhere, and nothing void comes back",
        arguments: 0..<Self.chunks)
    func survives(chunk: UInt64) throws {
        var replays = 0
        var rots = 0
        for seed in stride(from: chunk + 1, through: Self.seeds, by: Int(Self.chunks)) {
            var history = JournalHistory(seed: seed)
            do {
                try history.run()
            } catch {
                Issue.record("seed \(seed): \(error)\n\(history.trace.joined(separator: "\n"))")
                return
            }
            replays += history.replays
            rots += history.rots
        }
        #expect(replays > 0 || Self.seeds < 100)
        #expect(rots > 0 || Self.seeds < 100)
    }

    @Test("the checker sees a replay that ends at rot and says nothing")
    func seesSilence() {
        let caught = (UInt64(1)...400).contains { seed in
            var history = JournalHistory(seed: seed)
            history.isTold = false
            do { try history.run() } catch { return true }
            return false
        }
        #expect(caught)
    }

    @Test("the checker sees a journal that is not synced")
    func seesLyingJournal() {
        let caught = (UInt64(1)...2000).contains { seed in
            var history = JournalHistory(seed: seed)
            history.base = JournalLeftUnsynced(base: history.simulated)
            do { try history.run() } catch { return true }
            return false
        }
        #expect(caught)
    }
}

/// Says that the journal is synced, and is not.
private struct JournalLeftUnsynced: ForwardingDisk {
    let base: any Disk

    func sync(_ file: DiskPath) throws(DiskError) {
        if !JournaledDisk.files.contains(file) { try self.base.sync(file) }
    }
}
