package import ApusCore
import KafkaWire
import NIOCore

/// A log as the disk has it, with what had to be done about it.
package struct OpenedLog: Sendable {
    package var log: Log
    package var report: LogReport
}

extension Log {
    /// Opens a log, whatever state the last life of the broker left it in. Blocking.
    ///
    /// What was acknowledged is there afterwards, in order; what was torn off at the end is cut away; what is damaged
    /// is named in the report, throws when it is read, and stays as it is. Everything that is served afterwards
    /// is durable. A partition that was never written to has no directory, and none is made.
    ///
    /// - Parameters:
    ///   - cleanShutdown: every log was closed before the last life ended: a torn end is then damage.
    ///   - noted: where it ended when it was last closed, if that is known. What does not hold below is damage; a log
    ///     that ends below has lost records and takes no appends.
    ///   - wall: now, for records whose time of arrival is not known.
    ///   - seed: random.
    /// - Throws: `.disk` when the disk can not be read or written.
    package static func open(
        identity: LogIdentity, configuration: LogConfiguration, on disk: any Disk, cleanShutdown: Bool,
        noted: NotedEnd = .none, wall: Timestamp, seed: UInt64
    ) throws(LogError) -> OpenedLog {
        var recovery = LogRecovery(
            identity: identity, configuration: configuration, disk: disk, cleanShutdown: cleanShutdown,
            noted: noted, wall: wall, seed: seed
        )
        do throws(DiskError) {
            return try recovery.run()
        } catch {
            throw .disk(error)
        }
    }
}

/// # Recovery
///
/// 1. List the directory. Half-made files go, unknown names stay.
/// 2. Read `state`. It says which segments there are, which are final, and up to where the last one is proven.
///    Segments older than it knows are leftovers of a removal and go. Without it (a short log has none; a lost one is
///    reported) every segment is read, and all but the last are taken to be final: a segment's file is made after the
///    one before was synced.
///    So are files that compaction made and `state` does not know yet, and those that it took the place of.
/// 3. Look at every final segment: there, long enough, its header its own.
/// 4. Read the last segment from the recovery point on (``SegmentRecovery``), and everything that came after `state`.
/// 5. Cut the torn end off. Write the last job once more and sync it: its sync may have failed just before the end,
///    and the page cache would still show what the disk has not got.
/// 6. Compare the end with where the log is known to have ended (``KnownEnd``).
struct LogRecovery {
    let identity: LogIdentity
    let configuration: LogConfiguration
    let disk: any Disk
    var cleanShutdown: Bool
    let noted: NotedEnd
    /// The least end there can be, by all that is known.
    var knownEnd: Offset
    /// What the file `known-end` says.
    var record: KnownEnd?
    let wall: Timestamp
    let seed: UInt64
    var report = LogReport()
    private(set) var segments: [Offset] = []
    /// What compaction left, in no order.
    var compacted: [CompactedFile] = []
    private var areNamesSettled = false
    /// Those whose header does not hold, without a state that says what they were.
    var unreadableCompacted: [LogDamage] = []
    private(set) var hasState = false
    var hasKnownEnd = false
    var isLossAccepted = false
    private var hasMarker = false
    static let chunk = 1 << 20

    init(
        identity: LogIdentity, configuration: LogConfiguration, disk: any Disk, cleanShutdown: Bool,
        noted: NotedEnd, wall: Timestamp, seed: UInt64
    ) {
        self.identity = identity
        self.configuration = configuration
        self.disk = disk
        self.cleanShutdown = cleanShutdown
        self.noted = noted
        self.knownEnd = noted.end
        self.wall = wall
        self.seed = seed
    }

    mutating func run() throws(DiskError) -> OpenedLog {
        try self.list()
        try self.readKnownEnd()
        let state = try self.state()
        guard state != nil || !self.segments.isEmpty || !self.compacted.isEmpty else {
            var log = self.emptyLog(startingAt: .zero)
            try self.compareEnd(of: &log)
            log.damage = self.report.damage.filter { !$0.offsets.isEmpty }
            return OpenedLog(log: log, report: self.report)
        }
        var row: [CompactedFile] = []
        if state == nil { row = try self.chooseCompacted() }
        let oldest = [self.segments.first, row.first?.base].compactMap { $0 }.min() ?? .zero
        let first = state.map { $0.closed.first?.base ?? $0.active.base } ?? oldest
        var log = self.emptyLog(startingAt: first)
        log.startOffset = max(first, state?.start ?? first)
        log.work.isMarked = self.hasMarker
        if let state {
            log.epochs = state.epochs
            log.producers = ProducerStates(state.producers)
            try self.removeLeftovers(before: first)
            for segment in state.closed { try self.check(segment) }
            log.closed = state.closed
            log.compactedEnd = state.compactedEnd
            try self.finishSwaps(of: state)
            self.nameStrays(state)
        }
        try self.readTail(of: state, compacted: row, into: &log)
        if let last = self.unreadableCompacted.last(where: { $0.offsets.lowerBound >= log.endOffset }) {
            log.failure = .endUnknown(last, record: nil)
        }
        try self.compareEnd(of: &log)
        self.forgetHoles(below: log.startOffset, isKnown: state != nil)
        log.work.durableStart = log.startOffset
        log.epochs.forget(below: log.startOffset)
        log.damage = self.report.damage.filter { !$0.offsets.isEmpty && $0.offsets.upperBound > log.startOffset }
        log.producers.expire(wall: self.wall)
        return OpenedLog(log: log, report: self.report)
    }

    /// In front of the start that `state` knows there may be a hole: what does not hold there is nobody's loss.
    private mutating func forgetHoles(below start: Offset, isKnown: Bool) {
        guard isKnown else { return }
        self.report.damage.removeAll {
            $0.kind == .batch && !$0.offsets.isEmpty && $0.offsets.upperBound <= start
        }
    }

    private func emptyLog(startingAt start: Offset) -> Log {
        Log(
            identity: self.identity, configuration: self.configuration, startingAt: start, seed: self.seed,
            wall: self.wall
        )
    }

    func path(_ name: String) -> DiskPath { self.identity.directory.appending(name) }

    // MARK: The directory

    private mutating func list() throws(DiskError) {
        for name in try self.disk.list(self.identity.directory) {
            switch FileName(name) {
            case .segment(let base): self.segments.append(base)
            case .compacted(let base, let generation):
                self.compacted.append(CompactedFile(base: base, generation: generation))
            case .index, .acceptedDamage: break
            case .state: self.hasState = true
            case .marker: self.hasMarker = true
            case .knownEnd: self.hasKnownEnd = true
            case .acceptedLoss: self.isLossAccepted = true
            case .temporary: try self.remove(self.path(name))
            case .unknown: self.report.unknownFiles.append(self.path(name))
            }
        }
        self.segments.sort()
    }

    mutating func remove(_ file: DiskPath) throws(DiskError) {
        try self.disk.discard(file)
        self.report.removedFiles.append(file)
    }

    private mutating func state() throws(DiskError) -> LogState? {
        let file = self.path(FileName.stateName)
        guard self.hasState else {
            if self.hasMarker { self.report.damage.append(self.nameOnly(.state, file)) }
            return nil
        }
        let size = min(try self.disk.size(of: file), Limits.stateFileBytesMax)
        guard let state = LogState(from: try self.disk.read(file, at: .start, upTo: size)) else {
            self.report.damage.append(self.nameOnly(.state, file))
            return nil
        }
        guard state.topicPartition == self.identity.topicPartition else {
            self.report.damage.append(self.nameOnly(.wrongIdentity, file))
            return nil
        }
        return state
    }

    /// Damage that costs no record.
    private func nameOnly(_ kind: LogDamage.Kind, _ file: DiskPath) -> LogDamage {
        LogDamage(kind, file, offsets: .zero ..< .zero)
    }

    /// Before a file goes, what took its place is there for good: the life that renamed it may have been killed before
    /// it synced the directory.
    private mutating func settleNames() throws(DiskError) {
        guard !self.areNamesSettled else { return }
        try self.disk.syncDirectory(self.identity.directory)
        self.areNamesSettled = true
    }

    private mutating func removeLeftovers(before first: Offset) throws(DiskError) {
        for base in self.segments where base < first {
            try self.settleNames()
            try self.remove(self.path(FileName.segmentName(base)))
            try self.disk.discard(self.path(FileName.indexName(base)))
        }
        self.segments.removeAll { $0 < first }
        for file in self.compacted where file.base < first { try self.removeCompacted(file) }
    }

    /// An ordinary segment's file that what compaction made of it took the place of.
    mutating func removeSegment(_ base: Offset) throws(DiskError) {
        try self.settleNames()
        try self.remove(self.path(FileName.segmentName(base)))
        try self.disk.discard(self.path(FileName.indexName(base)))
        self.segments.removeAll { $0 == base }
    }

    mutating func removeCompacted(_ file: CompactedFile) throws(DiskError) {
        try self.settleNames()
        try self.remove(self.path(FileName.segmentName(file.base, file.generation)))
        try self.disk.discard(self.path(FileName.indexName(file.base, file.generation)))
        self.compacted.removeAll { $0 == file }
    }

    /// Segments between those that `state` knows: nobody made them. They stay, and are not read.
    private mutating func nameStrays(_ state: LogState) {
        let known = Set(state.closed.lazy.filter { !$0.isCompacted }.map(\.base))
        for base in self.segments where base < state.active.base && !known.contains(base) {
            self.report.damage.append(self.nameOnly(.overlap, self.path(FileName.segmentName(base))))
        }
    }

    /// Whether a final segment is what `state` says, as far as can be told without reading it.
    private mutating func check(_ segment: ClosedSegment) throws(DiskError) {
        let file = self.path(segment.fileName)
        let offsets = segment.base..<segment.end
        let isThere =
            segment.isCompacted
            ? self.compacted.contains(CompactedFile(base: segment.base, generation: segment.generation))
            : self.segments.contains(segment.base)
        guard isThere else {
            return self.report.damage.append(LogDamage(.missing, file, offsets: offsets))
        }
        switch try self.header(of: file) {
        case .success(let header):
            guard header.topicPartition == self.identity.topicPartition, header.baseOffset == segment.base,
                header.salt == segment.salt, header.isCompacted == segment.isCompacted,
                !header.isCompacted || header.compactedEnd == segment.end
            else { return self.report.damage.append(LogDamage(.wrongIdentity, file, offsets: offsets)) }
        case .failure:
            // The salt is in `state` too: the batches can still be read and checked.
            self.report.damage.append(self.nameOnly(.header, file))
        }
        guard try self.disk.size(of: file) < segment.byteCount else { return }
        var scan = try self.scan(
            file, Extent(segment), from: nil, provenPosition: Int.max, provenEnd: segment.end, isLast: false,
            isSparse: segment.isCompacted)
        try scan.run { _ in }
        self.report.damage.append(
            LogDamage(
                .shorter, file, at: FilePosition(rawValue: Int64(scan.segment.mark.byteCount)),
                offsets: min(scan.expected, segment.end)..<segment.end
            )
        )
    }

    func header(of file: DiskPath) throws(DiskError) -> Result<SegmentHeader, LogDamage.Kind> {
        let bytes = try self.disk.read(file, at: .start, upTo: .bytes(SegmentHeader.byteCount))
        do throws(LogDamage.Kind) {
            return .success(try SegmentHeader(from: bytes))
        } catch {
            return .failure(error)
        }
    }
}
