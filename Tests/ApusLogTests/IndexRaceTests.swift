import ApusCore
import ApusFakes
import NIOCore
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
private struct InterruptedDisk: Disk {
    private let disk: any Disk
    private let meanwhile: @Sendable () -> Void

    init(_ disk: any Disk, meanwhile: @escaping @Sendable () -> Void) {
        self.disk = disk
        self.meanwhile = meanwhile
    }

    func create(_ file: DiskPath) throws(DiskError) {
        try self.disk.create(file)
        self.meanwhile()
    }
    func sync(_ file: DiskPath) throws(DiskError) { try self.disk.sync(file) }
    func syncDirectory(_ directory: DiskPath) throws(DiskError) { try self.disk.syncDirectory(directory) }
    func truncate(_ file: DiskPath, to size: ByteCount) throws(DiskError) { try self.disk.truncate(file, to: size) }
    func allocate(_ file: DiskPath, upTo size: ByteCount) throws(DiskError) {
        try self.disk.allocate(file, upTo: size)
    }
    func write(_ bytes: [ByteBuffer], to file: DiskPath, at position: FilePosition) throws(DiskError) {
        try self.disk.write(bytes, to: file, at: position)
    }
    func read(_ file: DiskPath, at position: FilePosition, upTo limit: ByteCount) throws(DiskError) -> ByteBuffer {
        try self.disk.read(file, at: position, upTo: limit)
    }
    func size(of file: DiskPath) throws(DiskError) -> ByteCount { try self.disk.size(of: file) }
    func rename(_ file: DiskPath, to name: DiskPath) throws(DiskError) { try self.disk.rename(file, to: name) }
    func remove(_ file: DiskPath) throws(DiskError) { try self.disk.remove(file) }
    func createDirectory(_ directory: DiskPath) throws(DiskError) { try self.disk.createDirectory(directory) }
    func removeDirectory(_ directory: DiskPath) throws(DiskError) { try self.disk.removeDirectory(directory) }
    func list(_ directory: DiskPath) throws(DiskError) -> [String] { try self.disk.list(directory) }
    func close(_ file: DiskPath) { self.disk.close(file) }
    func freeBytes() throws(DiskError) -> ByteCount { try self.disk.freeBytes() }
}
