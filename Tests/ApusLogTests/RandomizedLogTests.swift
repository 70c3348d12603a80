import ApusCore
import ApusFakes
import KafkaWire
import NIOCore
import Testing

@testable import ApusLog

/// Random operations, kills, power cuts and faults on the simulated disk; after every start the log is compared with
/// what was acknowledged. `APUS_SEEDS` sets how many seeds run (10,000 by default).
@Suite struct RandomizedLogTests {
    static let chunks = 20

    @Test("what was acknowledged survives whatever happens, and nothing else comes back", arguments: 0..<Self.chunks)
    func survives(chunk: Int) throws {
        for seed in LogTestSettings.seeds(chunk: chunk, of: Self.chunks) {
            var history = LogHistory(seed: seed)
            do {
                try history.run()
            } catch {
                Issue.record("seed \(seed): \(error)\n\(history.trace.joined(separator: "\n"))")
                return
            }
        }
    }

    @Test("the same seed tells the same story")
    func deterministic() throws {
        for seed in UInt64(1)...20 {
            var (one, other) = (LogHistory(seed: seed), LogHistory(seed: seed))
            try one.run()
            try other.run()
            #expect(one.trace == other.trace)
            #expect(!one.trace.isEmpty)
        }
    }

    @Test("the checker sees a disk that does not sync")
    func checkerSeesLostSyncs() {
        #expect(Self.seedsUntilCaught { $0.view = LyingDisk($0.disk, lie: .sync) } != nil)
    }

    @Test("the checker sees a disk that does not sync directories")
    func checkerSeesLostNames() {
        #expect(Self.seedsUntilCaught { $0.view = LyingDisk($0.disk, lie: .syncDirectory) } != nil)
    }

    @Test("the checker sees a disk that does not truncate")
    func checkerSeesTornEnds() {
        #expect(Self.seedsUntilCaught { $0.view = LyingDisk($0.disk, lie: .truncate) } != nil)
    }

    /// How many seeds it takes until a planted fault is noticed; nil when 2,000 do not.
    static func seedsUntilCaught(_ plant: (LogRig) -> Void) -> Int? {
        for seed in 1...2000 {
            var history = LogHistory(seed: UInt64(seed))
            plant(history.rig)
            do { try history.run() } catch { return seed }
        }
        return nil
    }
}

/// One run: what was done, and what must hold.
struct LogHistory {
    struct Broken: Error, CustomStringConvertible {
        var description: String

        init(_ description: String) { self.description = description }
    }

    let rig: LogRig
    private(set) var trace: [String] = []
    private var random: SplitMix64
    /// Everything appended that may be in the log, by base offset.
    private var appended: [Offset: ByteBuffer] = [:]
    private var order: [Offset] = []
    private var producers: [LogRig.Producer] = []
    /// Below it everything must be there after a power cut, and after a kill.
    private var durableEnd: Offset = 0
    private var writtenEnd: Offset = 0
    private var durableStart: Offset = 0
    private var startMax: Offset = 0

    init(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        let configuration = LogConfiguration(
            segmentBytes: .bytes(600 + random.below(3000)), retentionAge: nil,
            retentionBytes: random.isOne(in: 3) ? .bytes(2000) : nil,
            indexIntervalBytes: .bytes(64 + random.below(512)), isDurable: !random.isOne(in: 4),
            checkpointBytes: .bytes(300 + random.below(3000))
        )
        self.rig = LogRig(configuration, seed: seed)
        self.random = random
    }

    mutating func run() throws {
        for _ in 0..<10 + self.random.below(25) { try self.act() }
        try self.powerCut()
        try self.check(clean: false)
    }

    private mutating func note(_ line: String) { self.trace.append(line) }

    private mutating func act() throws {
        switch self.random.below(22) {
        case 0..<7: self.append()
        case 7..<12: try self.job(of: self.rig.log.nextJob())
        case 12: try self.drain()
        case 13: try self.advanceStart()
        case 14:
            let dropped = self.rig.log.applyRetention(wall: self.rig.wall, below: self.rig.log.durableEnd)
            self.startMax = max(self.startMax, self.rig.log.startOffset)
            self.note("retention took \(dropped.segments)")
        case 15: try self.compare(from: self.rig.log.startOffset, to: self.rig.log.writtenEnd)
        case 16: try self.fault()
        case 17:
            self.note("kill")
            self.rig.disk.restart()
            try self.check(clean: false)
        case 18, 19:
            try self.powerCut()
            try self.check(clean: false)
        case 20: try self.stopInTheMiddle()
        default: try self.close()
        }
    }

    private mutating func append() {
        guard self.rig.log.takesAppends else { return }
        for _ in 0...self.random.below(3) {
            if self.random.isOne(in: 10) { self.rig.epoch += 1 }
            var producer: LogRig.Producer?
            let records = 1 + self.random.below(3)
            if self.random.isOne(in: 2) {
                let index = self.random.below(3)
                while self.producers.count <= index {
                    self.producers.append(LogRig.Producer(id: Int64(self.producers.count), epoch: 0, sequence: 0))
                }
                // What the producer sends next is what the log expects; a lost batch is sent again.
                let known = self.rig.log.producers.sorted.first { $0.id == Int64(index) }
                self.producers[index].sequence = known?.sequenceExpected ?? 0
                producer = self.producers[index]
            }
            let base = self.rig.log.endOffset
            let bytes = self.rig.append(
                records: records, payload: self.random.below(self.random.isOne(in: 8) ? 6000 : 200), producer: producer
            )
            self.appended[base] = bytes
            self.order.append(base)
        }
        self.note("append to \(self.rig.log.endOffset)")
    }

    private mutating func job(of job: LogJob?) throws {
        guard let job else { return }
        let progress = self.rig.log.finished(job.token, job.run(on: self.rig.view))
        self.note("job \(progress.event) written \(progress.writtenEnd) durable \(progress.durableEnd)")
        guard progress.durableEnd >= self.durableEnd, progress.durableEnd <= progress.writtenEnd else {
            throw Broken("durable end went from \(self.durableEnd) to \(progress.durableEnd)")
        }
        self.durableEnd = progress.durableEnd
        self.writtenEnd = progress.writtenEnd
        self.durableStart = max(self.durableStart, progress.durableStart)
        // Their producers are told that they failed: these may never be seen again.
        if progress.event == .withdrawn { self.forget(from: progress.writtenEnd) }
        if case .failed = progress.event {
            guard self.rig.log.nextJob() == nil, !self.rig.log.takesAppends else {
                throw Broken("a failed log works on")
            }
        }
    }

    private mutating func drain() throws {
        while let job = self.rig.log.nextJob() { try self.job(of: job) }
    }

    private mutating func forget(from end: Offset) {
        while let last = self.order.last, last >= end {
            self.appended[last] = nil
            self.order.removeLast()
        }
    }

    private mutating func advanceStart() throws {
        let (start, end) = (self.rig.log.startOffset.rawValue, self.rig.log.durableEnd.rawValue)
        guard self.rig.log.failure == nil, end > start else { return }
        let offset = Offset(rawValue: start + Int64(self.random.below(Int(end - start) + 1)))
        try self.rig.log.advanceStart(to: offset)
        self.startMax = max(self.startMax, offset)
        self.note("start to \(offset)")
    }

    private mutating func fault() throws {
        let kinds: [SimulatedFault.Kind] = [
            .writeError(kept: self.random.below(300)), .writeFull(kept: self.random.below(300)), .allocateFull,
            .createFull, .syncError, .syncDirectoryError, .allocateFull, .writeFull(kept: self.random.below(300)),
        ]
        let fault = SimulatedFault(kinds[self.random.below(kinds.count)], after: self.random.below(4))
        self.rig.disk.fail(fault)
        self.note("fault \(fault.kind) after \(fault.after)")
        self.append()
        try self.drain()
        self.rig.disk.clearFaults()
    }

    private mutating func stopInTheMiddle() throws {
        self.append()
        guard let job = self.rig.log.nextJob() else { return }
        self.rig.disk.stop(after: self.random.below(14))
        _ = job.run(on: self.rig.view)
        self.note("stopped in a job")
        if self.random.isOne(in: 3) {
            self.note("killed there")
            self.rig.disk.restart()
        } else {
            try self.powerCut()
        }
        try self.check(clean: false)
    }

    private mutating func close() throws {
        try self.drain()
        guard self.rig.log.failure == nil, let job = self.rig.log.close() else { return }
        try self.job(of: job)
        self.note("clean close")
        if self.random.isOne(in: 2) { try self.powerCut() }
        try self.check(clean: true)
    }

    private mutating func powerCut() throws {
        let seed = self.random.next()
        self.note("power cut \(seed)")
        self.rig.disk.crash(seed: seed)
        self.writtenEnd = self.durableEnd
    }

    // MARK: What must hold after a start

    private mutating func check(clean: Bool) throws {
        let report = try self.rig.open(clean: clean)
        let log = self.rig.log
        self.note("opened \(log.startOffset)..<\(log.endOffset) cut \(report.cutBytes)")
        if !report.damage.isEmpty { throw Broken("damage where there was none: \(report.damage)") }
        if let failure = log.failure { throw Broken("failed: \(failure)") }
        if clean, report.cut != nil { throw Broken("a cut after a clean end") }
        guard log.startOffset >= self.durableStart, log.startOffset <= self.startMax else {
            throw Broken("start \(log.startOffset), durable \(self.durableStart), asked \(self.startMax)")
        }
        let least = max(self.writtenEnd, self.durableEnd)
        guard log.endOffset >= least, log.durableEnd == log.endOffset else {
            throw Broken("acknowledged up to \(least), there up to \(log.endOffset)")
        }
        self.forget(from: log.endOffset)
        (self.durableEnd, self.writtenEnd, self.durableStart) = (log.endOffset, log.endOffset, log.startOffset)
        try self.compare(from: log.startOffset, to: log.endOffset)
        try self.compareEpochsAndProducers()
        let again = try self.rig.open(clean: false)
        guard again.cut == nil, again.damage.isEmpty, self.rig.log.endOffset == log.endOffset,
            self.rig.log.startOffset == log.startOffset, self.rig.log.epochs == log.epochs
        else { throw Broken("a second recovery came to something else") }
    }

    private func compare(from start: Offset, to end: Offset) throws {
        guard self.rig.log.failure == nil else { return }
        var expected = self.order.filter { $0 < end }
        // The batch that holds the start comes whole.
        if let first = expected.lastIndex(where: { $0 <= start }) { expected.removeSubrange(..<first) }
        if start == end { expected = [] }
        var batches: [ByteBuffer] = []
        var next = start
        while let read = try self.rig.log.read(from: next, below: end, upTo: .bytes(500)) {
            let result = try self.rig.run(read)
            guard let last = result.batches.last else { break }
            batches += result.batches
            next = Offset(rawValue: try RecordBatchHeader(from: last).nextOffset)
        }
        guard batches.count == expected.count else {
            throw Broken("\(batches.count) batches in \(start)..<\(end), \(expected.count) were written")
        }
        for (batch, base) in zip(batches, expected) where self.appended[base] != batch {
            throw Broken("the batch at \(base) is not what was written")
        }
    }

    /// Every batch still in the log that is among its producer's last five is known as a duplicate.
    private func compareEpochsAndProducers() throws {
        var last: [Int64: Int] = [:]
        for base in self.order.reversed() where base >= self.rig.log.startOffset {
            guard let bytes = self.appended[base] else { continue }
            let header = try RecordBatchHeader(from: bytes)
            guard self.rig.log.epochs.epoch(at: base)?.rawValue == header.partitionLeaderEpoch else {
                throw Broken("the epoch of \(base) is not \(header.partitionLeaderEpoch)")
            }
            guard header.producerID >= 0, last[header.producerID, default: 0] < Limits.producerBatchesKept else {
                continue
            }
            last[header.producerID, default: 0] += 1
            let verdict = try self.rig.log.verdict(on: header)
            guard
                verdict
                    == .duplicate(
                        baseOffset: base, lastOffset: Offset(rawValue: header.lastOffset), timestamp: .none)
            else { throw Broken("a repeat of \(base) would be stored twice: \(verdict)") }
        }
    }
}
