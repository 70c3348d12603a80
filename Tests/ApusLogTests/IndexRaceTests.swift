import ApusCore
import ApusFakes
import Testing

@testable import ApusLog

/// The log and its readers are on different threads, and both write the index of a segment that was just rolled.
@Suite struct IndexRaceTests {
    @Test("a reader that makes an index leaves the log its own half-made one")
    func readerBesideRoll() throws {
        let rig = LogRig(LogConfiguration(segmentBytes: .kibibytes(4), indexIntervalBytes: .bytes(300)))
        let roll = try self.rollingJob(of: rig)
        let read = try #require(try rig.log.read(from: 9, below: rig.log.writtenEnd, upTo: .bytes(300)))
        let renaming = roll.steps.firstIndex { $0.renamesFirstIndex }
        let middle = try #require(renaming)
        var begin = roll
        begin.steps = Array(roll.steps[..<middle])
        var end = roll
        end.steps = Array(roll.steps[middle...])
        // The log writes its file after the reader made one, and the reader finishes before the log does.
        let disk = InterruptedDisk(rig.disk) { [begin, shared = rig.disk] in _ = begin.run(on: shared) }
        #expect(try !read.run(on: disk).batches.isEmpty)
        #expect(throws: Never.self) { try end.run(on: rig.disk).get() }
        #expect(rig.log.finished(roll.token, .success(())).event == .advanced)
        #expect(rig.disk.files.allSatisfy { !$0.path.name.hasSuffix(".temporary") })
        #expect(try rig.readAll().count == Int(rig.log.endOffset.rawValue))
    }

    @Test("a reader that can not keep its index leaves nothing behind", arguments: [false, true])
    func readerFails(isSync: Bool) throws {
        let rig = LogRig(LogConfiguration(segmentBytes: .kibibytes(4), indexIntervalBytes: .bytes(300)))
        let roll = try self.rollingJob(of: rig)
        _ = rig.log.finished(roll.token, roll.run(on: rig.disk))
        rig.disk.erase(LogRig.index(0))
        let name = LogRig.index(0).name + ".reader.temporary"
        rig.disk.fail(SimulatedFault(isSync ? .syncError : .writeError(kept: 1), on: name))
        for _ in 0..<2 {
            let read = try #require(try rig.log.read(from: 9, below: rig.log.writtenEnd, upTo: .bytes(300)))
            #expect(try !read.run(on: rig.disk).batches.isEmpty)
            #expect(rig.disk.files.allSatisfy { !$0.path.name.hasSuffix(".temporary") })
        }
        #expect(rig.disk.pendingFaults == [])
    }

    private func rollingJob(of rig: LogRig) throws -> LogJob {
        while true {
            rig.append()
            let job = try rig.job()
            if job.steps.contains(where: { $0.renamesFirstIndex }) { return job }
            _ = rig.log.finished(job.token, job.run(on: rig.disk))
        }
    }
}

extension LogJob.Step {
    fileprivate var renamesFirstIndex: Bool {
        if case .run(.rename(_, to: LogRig.index(0))) = self { true } else { false }
    }
}

/// Another thread is at work right after a file was made here.
private struct InterruptedDisk: ForwardingDisk {
    let base: any Disk
    private let meanwhile: @Sendable () -> Void

    init(_ disk: any Disk, meanwhile: @escaping @Sendable () -> Void) {
        self.base = disk
        self.meanwhile = meanwhile
    }

    func create(_ file: DiskPath) throws(DiskError) {
        try self.base.create(file)
        self.meanwhile()
    }
}
