import ApusCore
import ApusFakes
import KafkaWire
import NIOCore
import Testing

@testable import ApusLog

/// Compaction among everything else that happens to a log, held against a naive model: the list of all that was ever
/// appended. `APUS_SEEDS` sets how many seeds run.
@Suite struct CompactionHistoryTests {
    static let chunks = 20

    @Test("of every key the newest survives whatever happens, and nothing comes back", arguments: 0..<Self.chunks)
    func survives(chunk: Int) throws {
        for seed in LogTestSettings.seeds(chunk: chunk, of: Self.chunks) where seed % 5 == 0 {
            var history = CompactionHistory(seed: seed)
            do {
                try history.run()
            } catch {
                Issue.record("seed \(seed): \(error)\n\(history.trace.joined(separator: "\n"))")
                return
            }
        }
    }

    @Test("passes end, and records go, in these histories")
    func somethingHappens() throws {
        var (removed, passes, stops) = (0, 0, 0)
        for seed in UInt64(1)...200 {
            var history = CompactionHistory(seed: seed)
            try history.run()
            (removed, passes, stops) = (removed + history.removed, passes + history.passes, stops + history.stops)
        }
        print("200 histories: \(passes) passes to their end, \(stops) cut off, \(removed) records removed")
        #expect(removed > 1000 && passes > 200 && stops > 50)
    }

    @Test("the checker sees tombstones that go too early, and files that are not synced")
    func checkerSees() {
        func caught(_ plant: (inout CompactionHistory) -> Void) -> Int? {
            for seed in UInt64(1)...2000 {
                var history = CompactionHistory(seed: seed)
                plant(&history)
                do { try history.run() } catch { return Int(seed) }
            }
            return nil
        }
        #expect(caught { $0.tombstonesExpected = .seconds(100_000) } != nil)
        #expect(caught { $0.rig.view = LyingDisk($0.rig.disk, lie: .sync) } != nil)
        #expect(caught { $0.rig.view = LyingDisk($0.rig.disk, lie: .syncDirectory) } != nil)
    }
}

struct CompactionHistory {
    typealias Broken = LogHistory.Broken

    struct Model {
        var seen: LogRig.Seen
        var appendedAt: Timestamp
    }

    let rig: LogRig
    private(set) var trace: [String] = []
    private(set) var passes = 0
    private(set) var stops = 0
    private(set) var removed = 0
    /// How long tombstones must stay: what the log was told.
    var tombstonesExpected: Duration
    private let tombstoneAge: Duration
    private var random: SplitMix64
    /// Everything appended that may be in the log, in order.
    private var model: [Model] = []
    private var batches: [RecordBatchHeader] = []
    private var durableEnd: Offset = 0
    private var writtenEnd: Offset = 0
    private var startMax: Offset = 0
    /// What lies below may be there again or not, since the state file was lost that knew the start.
    private var startLost: Offset = 0
    private var value = 0

    init(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        self.tombstoneAge = .seconds(random.isOne(in: 3) ? 0 : 500)
        self.tombstonesExpected = self.tombstoneAge
        let configuration = LogConfiguration(
            segmentBytes: .bytes(400 + random.below(1500)), retentionAge: random.isOne(in: 4) ? .seconds(3000) : nil,
            indexIntervalBytes: .bytes(64 + random.below(512)), isDurable: !random.isOne(in: 4),
            checkpointBytes: .bytes(300 + random.below(3000)),
            compaction: CompactionPolicy(dirtyRatioMin: 0, tombstoneAge: self.tombstoneAge))
        self.rig = LogRig(configuration, seed: seed)
        self.random = random
    }

    mutating func run() throws {
        for _ in 0..<15 + self.random.below(30) { try self.act() }
        self.rig.drain()
        try self.pass()
        try self.powerCut()
        try self.check()
    }

    private mutating func note(_ line: String) { self.trace.append(line) }

    private mutating func act() throws {
        switch self.random.below(20) {
        case 0..<6: try self.append()
        case 6, 7: try self.drain()
        case 8:
            if self.rig.log.failure == nil { self.rig.closeSegment() }
            self.ends()
            self.note("closed a segment at \(self.rig.log.endOffset)")
        case 9..<13: try self.pass()
        case 13:
            let passed = self.random.below(800)
            self.rig.wall = self.rig.wall.later(by: .seconds(passed))
            self.note("\(passed) s")
        case 14: try self.advanceStart()
        case 15:
            self.rig.log.applyRetention(wall: self.rig.wall, below: self.rig.log.durableEnd)
            self.startMax = max(self.startMax, self.rig.log.startOffset)
            self.note("retention to \(self.rig.log.startOffset)")
        case 16:
            self.note("kill")
            self.rig.disk.restart()
            try self.check()
        case 17:
            try self.powerCut()
            try self.check()
        case 18: try self.loseState()
        default: try self.look()
        }
    }

    private mutating func append() throws {
        guard self.rig.log.takesAppends else { return }
        for _ in 0...self.random.below(4) {
            if self.random.isOne(in: 10) { self.rig.epoch += 1 }
            var records: [(key: String?, value: String?)] = []
            for _ in 0...self.random.below(4) {
                self.value += 1
                let isTombstone = self.random.isOne(in: 5)
                let value = "\(self.value)" + String(repeating: "v", count: self.random.below(60))
                records.append(("k\(self.random.below(8))", isTombstone ? nil : value))
            }
            var producer: LogRig.Producer?
            if self.random.isOne(in: 3) {
                let id = Int64(self.random.below(3))
                let known = self.rig.log.producers.sorted.first { $0.id == id }
                producer = LogRig.Producer(id: id, epoch: 0, sequence: known?.sequenceExpected ?? 0)
            }
            let codec = CompressionCodec(rawValue: UInt8(self.random.below(5))) ?? .none
            let header = try self.rig.put(records, codec: codec, producer: producer)
            self.batches.append(header)
            for (index, record) in records.enumerated() {
                let seen = LogRig.Seen(
                    offset: header.baseOffset + Int64(index), key: record.key, value: record.value,
                    timestamp: self.rig.wall.rawValue + Int64(index))
                self.model.append(Model(seen: seen, appendedAt: self.rig.wall))
            }
        }
        self.note("append to \(self.rig.log.endOffset)")
    }

    private mutating func drain() throws {
        self.rig.drain()
        self.ends()
        self.note("drain, durable \(self.durableEnd)")
    }

    private mutating func ends() {
        self.durableEnd = max(self.durableEnd, self.rig.log.durableEnd)
        self.writtenEnd = max(self.writtenEnd, self.rig.log.writtenEnd)
    }

    private mutating func advanceStart() throws {
        let (start, end) = (self.rig.log.startOffset.rawValue, self.rig.log.durableEnd.rawValue)
        guard self.rig.log.failure == nil, end > start, self.random.isOne(in: 2) else { return }
        let offset = Offset(rawValue: start + Int64(self.random.below(Int(end - start) / 2 + 1)))
        try self.rig.log.advanceStart(to: offset)
        self.startMax = max(self.startMax, offset)
        self.note("start to \(offset)")
    }

    /// A pass, whole or cut off by a stop of the process somewhere in it, with appends and jobs in between.
    private mutating func pass() throws {
        let limit = ByteCount.bytes(24 * (self.random.isOne(in: 2) ? 16 : 64))
        guard self.rig.log.failure == nil,
            var pass = self.rig.log.beginCompaction(
                wall: self.rig.wall, below: self.rig.log.durableEnd, keysBytesMax: limit)
        else { return }
        let isStopped = self.random.isOne(in: 4)
        if isStopped { self.rig.disk.stop(after: self.random.below(40)) }
        self.note("pass over \(pass.plan.segments.map(\.fileName)) to \(pass.end)")
        defer { self.removed += pass.recordsRemoved }
        while true {
            let step: Compaction.Step
            do throws(CompactionFailure) {
                step = try pass.step(on: self.rig.view, upTo: .bytes(50 + self.random.below(400)))
            } catch {
                guard isStopped || error == .gone else { throw Broken("a pass failed: \(error)") }
                self.note("pass ended by \(error)")
                return isStopped ? try self.stopped() : pass.abandon(on: self.rig.view)
            }
            switch step {
            case .more:
                if self.random.isOne(in: 6), !isStopped { try self.between() }
            case .swap(let swap):
                let isTaken = self.rig.log.take(swap)
                self.note("swap of \(swap.sources.map(\.fileName)): \(isTaken)")
                guard isTaken else { return pass.abandon(on: self.rig.view) }
                if self.random.isOne(in: 2) { self.rig.drain() }
            case .done(let end):
                self.rig.log.compacted(through: end)
                self.rig.drain()
                self.note("compacted to \(end), \(pass.recordsRemoved) records gone")
                self.passes += 1
                if isStopped { return try self.stopped() }
                self.ends()
                return try self.look()
            }
        }
    }

    private mutating func between() throws {
        switch self.random.below(4) {
        case 0: try self.append()
        case 1: try self.drain()
        case 2: try self.look()
        default:
            self.rig.log.applyRetention(wall: self.rig.wall, below: self.rig.log.durableEnd)
            self.startMax = max(self.startMax, self.rig.log.startOffset)
            self.note("retention to \(self.rig.log.startOffset)")
        }
    }

    private mutating func stopped() throws {
        self.stops += 1
        self.note("stopped there")
        if self.random.isOne(in: 3) { self.rig.disk.restart() } else { try self.powerCut() }
        try self.check()
    }

    private mutating func powerCut() throws {
        let seed = self.random.next()
        self.note("power cut \(seed)")
        self.rig.disk.crash(seed: seed)
        self.writtenEnd = self.durableEnd
    }

    /// The state file rots while the broker is down.
    private mutating func loseState() throws {
        try self.drain()
        guard self.rig.log.failure == nil, let job = self.rig.log.close() else { return }
        _ = self.rig.log.finished(job.token, job.run(on: self.rig.view))
        self.ends()
        let file = LogRig.file("state")
        guard self.rig.disk.contents(of: file) != nil else { return try self.check() }
        self.rig.disk.damage(file, at: 30) { $0 ^= 1 }
        self.note("state lost")
        let start = self.rig.log.startOffset
        self.startLost = self.startMax
        try self.check(isStateLost: true)
        // The start is among what was lost; and the producers that are older than the log.
        guard self.rig.log.startOffset <= start else { throw Broken("the start moved up") }
    }

    // MARK: What must hold

    private mutating func check(isStateLost: Bool = false) throws {
        let report = try self.rig.open()
        let log = self.rig.log
        self.note("opened \(log.startOffset)..<\(log.endOffset) of \(log.closed.map(\.fileName))")
        guard report.damage.map(\.kind) == (isStateLost ? [.state] : []), report.unknownFiles.isEmpty else {
            throw Broken("damage where there was none: \(report)")
        }
        if let failure = log.failure { throw Broken("failed: \(failure)") }
        guard log.startOffset <= self.startMax else {
            throw Broken("start \(log.startOffset), at most \(self.startMax)")
        }
        guard log.endOffset >= max(self.writtenEnd, self.durableEnd) else {
            throw Broken("acknowledged up to \(self.durableEnd), there up to \(log.endOffset)")
        }
        self.model.removeAll { $0.seen.offset >= log.endOffset.rawValue }
        self.batches.removeAll { $0.baseOffset >= log.endOffset.rawValue }
        (self.durableEnd, self.writtenEnd) = (log.endOffset, log.endOffset)
        if isStateLost {
            // The next job makes it anew.
            self.rig.drain()
        }
        try self.look()
        try self.checkProducers()
        let again = try self.rig.open()
        guard again.damage.isEmpty, self.rig.log.endOffset == log.endOffset, self.rig.log.closed == log.closed else {
            throw Broken("a second recovery came to something else: \(again)")
        }
    }

    private func look() throws {
        guard self.rig.log.failure == nil else { return }
        let end = self.rig.log.writtenEnd
        let seen: [LogRig.Seen]
        do {
            seen = try self.read(below: end)
        } catch {
            throw Broken("a read failed: \(error)")
        }
        let start = self.rig.log.startOffset.rawValue
        let wanted = self.model.filter { $0.seen.offset >= start && $0.seen.offset < end.rawValue }
        let known = Dictionary(uniqueKeysWithValues: wanted.map { ($0.seen.offset, $0) })
        for record in seen where known[record.offset]?.seen != record {
            throw Broken(
                "\(record) at \(record.timestamp) was never written: \(String(describing: known[record.offset]))")
        }
        guard zip(seen, seen.dropFirst()).allSatisfy({ $0.offset < $1.offset }) else { throw Broken("out of order") }
        let there = Set(seen.map(\.offset))
        var newest: [String: Model] = [:]
        for record in wanted where record.seen.offset >= self.startLost.rawValue {
            newest[record.seen.key ?? ""] = record
        }
        for (key, record) in newest where !there.contains(record.seen.offset) {
            let mayBeGone = record.appendedAt.later(by: self.tombstonesExpected)
            guard record.seen.value == nil, mayBeGone <= self.rig.wall else {
                throw Broken("the newest of \(key) is gone: \(record.seen)")
            }
            if let old = seen.first(where: { $0.key == key }) { throw Broken("\(old) outlived \(record.seen)") }
        }
    }

    private func read(below end: Offset) throws -> [LogRig.Seen] {
        guard end > self.rig.log.startOffset else { return [] }
        return try self.rig.seen(below: end)
    }

    /// Every batch among its producer's last five is known as a duplicate.
    private func checkProducers() throws {
        var count: [Int64: Int] = [:]
        for header in self.batches.reversed()
        where header.producerID >= 0 && header.baseOffset >= self.rig.log.startOffset.rawValue {
            guard count[header.producerID, default: 0] < Limits.producerBatchesKept else { continue }
            count[header.producerID, default: 0] += 1
            let verdict = try self.rig.log.verdict(on: header)
            guard case .duplicate(let base, _, _) = verdict, base.rawValue == header.baseOffset else {
                throw Broken("a repeat of \(header.baseOffset) would be stored twice: \(verdict)")
            }
        }
    }
}
