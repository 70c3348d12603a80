import ApusCore
import ApusFakes
import Foundation
import NIOCore
import Testing

@testable import ApusSystem

/// `APUS_SEEDS` sets how many seeds run (400 by default).
@Suite struct JournalSeedTests {
    static let chunks: UInt64 = 8
    static let seeds = ProcessInfo.processInfo.environment["APUS_SEEDS"].flatMap { UInt64($0) } ?? 400

    @Test(
        "what a sync promised survives kills, power cuts and failing syncs, and nothing void comes back",
        arguments: 0..<Self.chunks)
    func survives(chunk: UInt64) throws {
        var replays = 0
        for seed in stride(from: chunk + 1, through: Self.seeds, by: Int(Self.chunks)) {
            var history = JournalHistory(seed: seed)
            do {
                try history.run()
            } catch {
                Issue.record("seed \(seed): \(error)\n\(history.trace.joined(separator: "\n"))")
                return
            }
            replays += history.replays
        }
        #expect(replays > 0 || Self.seeds < 100)
    }

    @Test("the checker sees a journal that is not synced")
    func seesLyingJournal() {
        let caught = (UInt64(1)...2000).contains { seed in
            var history = JournalHistory(seed: seed)
            history.base = JournalLeftUnsynced(history.simulated)
            do { try history.run() } catch { return true }
            return false
        }
        #expect(caught)
    }
}

/// Says that the journal is synced, and is not.
private struct JournalLeftUnsynced: Disk {
    let disk: any Disk

    init(_ disk: any Disk) { self.disk = disk }

    func sync(_ file: DiskPath) throws(DiskError) {
        if !JournaledDisk.files.contains(file) { try self.disk.sync(file) }
    }

    func create(_ file: DiskPath) throws(DiskError) { try self.disk.create(file) }
    func allocate(_ file: DiskPath, upTo size: ByteCount) throws(DiskError) { try self.disk.allocate(file, upTo: size) }
    func write(_ bytes: [ByteBuffer], to file: DiskPath, at position: FilePosition) throws(DiskError) {
        try self.disk.write(bytes, to: file, at: position)
    }
    func read(_ file: DiskPath, at position: FilePosition, upTo limit: ByteCount) throws(DiskError) -> ByteBuffer {
        try self.disk.read(file, at: position, upTo: limit)
    }
    func size(of file: DiskPath) throws(DiskError) -> ByteCount { try self.disk.size(of: file) }
    func truncate(_ file: DiskPath, to size: ByteCount) throws(DiskError) { try self.disk.truncate(file, to: size) }
    func rename(_ file: DiskPath, to name: DiskPath) throws(DiskError) { try self.disk.rename(file, to: name) }
    func remove(_ file: DiskPath) throws(DiskError) { try self.disk.remove(file) }
    func createDirectory(_ directory: DiskPath) throws(DiskError) { try self.disk.createDirectory(directory) }
    func removeDirectory(_ directory: DiskPath) throws(DiskError) { try self.disk.removeDirectory(directory) }
    func syncDirectory(_ directory: DiskPath) throws(DiskError) { try self.disk.syncDirectory(directory) }
    func list(_ directory: DiskPath) throws(DiskError) -> [String] { try self.disk.list(directory) }
    func close(_ file: DiskPath) { self.disk.close(file) }
    func freeBytes() throws(DiskError) -> ByteCount { try self.disk.freeBytes() }
}
