import ApusCore
import KafkaWire
import NIOCore

/// Reads one segment's batches after a start, and decides where it ends. Blocking.
///
/// What does not hold is either *torn* (the last write was cut off; nobody was told of it; it is cut away) or
/// *damaged* (it was acknowledged; it is named and left where it is). It is damaged if any of these proves that it was
/// on the disk once:
/// - it lies below the recovery point, or in a segment that was closed;
/// - a batch behind it holds whose durable job began behind it (see ``Seal``);
/// - the broker ended in an orderly way, so that nothing was being written;
/// - the log ended behind it when it was last closed.
/// Otherwise it is torn. A hole, zeros and then a batch of the same job, is torn too.
struct SegmentRecovery {
    /// The end could not be found: a record that may have been acknowledged can not be told from one that never was.
    struct Blind {
        var damage: LogDamage
        /// Whether the log would be sound without what is damaged.
        var isCutting: Bool
    }

    let file: DiskPath
    /// Below this byte everything was on the disk; the whole file for a segment that is not the last.
    let provenPosition: Int
    /// The offset at `provenPosition`.
    let provenEnd: Offset
    let isLast: Bool
    /// Compacted: offsets may be missing between batches.
    let isSparse: Bool
    let cleanShutdown: Bool
    /// Where the log is known to have ended at least.
    let knownEnd: Offset
    /// What is lost at the end is given up: it is cut, and nothing else is.
    let isLossAccepted: Bool
    let interval: ByteCount
    /// What replay needs: called for every good batch at or above `provenEnd`, or for all when nothing is known.
    let wall: Timestamp

    var scanner: SegmentScanner
    var segment: OpenSegment
    var expected: Offset
    var epoch: Epoch
    var damage: [LogDamage] = []
    var cut: Int?
    var blind: Blind?
    /// Where the last job that is in the file began; what is in front of it was synced if that job was durable.
    var lastJobStart: Int?
    var lastJobIsDurable = false

    /// - Parameter each: told of every batch that is kept.
    mutating func run(each: (RecordBatchHeader) -> Void) throws(DiskError) {
        while self.blind == nil {
            switch try self.scanner.look(whole: true) {
            case .end:
                guard self.scanner.position < self.provenPosition, self.provenEnd > self.expected else { return }
                // Zeros where there was a batch once.
                self.lose(upTo: self.provenEnd, goOnAt: self.provenPosition)
            case .batch(let header, let mark) where self.isInOrder(header):
                self.keep(header, mark: mark)
                each(header)
            case .batch, .bad:
                if try self.passDamage() { continue }
                return
            }
        }
    }

    private func isInOrder(_ header: RecordBatchHeader) -> Bool {
        (self.isSparse
            ? header.baseOffset >= self.expected.rawValue && header.nextOffset <= self.provenEnd.rawValue
            : header.baseOffset == self.expected.rawValue) && header.nextOffset <= Offset.storedMax.rawValue
            && (header.partitionLeaderEpoch < 0 || header.partitionLeaderEpoch >= self.epoch.rawValue)
    }

    private mutating func keep(_ header: RecordBatchHeader, mark: UInt32) {
        let position = self.scanner.position
        self.segment.mark.byteCount = position
        self.segment.append(
            base: Offset(rawValue: header.baseOffset), end: Offset(rawValue: header.nextOffset),
            byteCount: header.totalByteCount, largestTimestamp: header.largestRecordTimestamp,
            wall: header.arrival(by: self.wall), interval: self.interval
        )
        self.expected = Offset(rawValue: header.nextOffset)
        self.epoch = max(self.epoch, Epoch(rawValue: header.partitionLeaderEpoch))
        self.lastJobStart = Seal.jobStart(mark: mark, at: position)
        self.lastJobIsDurable = Seal.durableJobStart(mark: mark, at: position) != nil
        self.scanner.skip(header)
    }

    /// At bytes that do not hold.
    /// - Returns: whether there is more behind them.
    private mutating func passDamage() throws(DiskError) -> Bool {
        let place = self.scanner.position
        let isProven =
            !self.isLast || place < self.provenPosition || self.cleanShutdown || self.expected < self.knownEnd
        let (expected, epoch, isLossAccepted) = (self.expected, self.epoch, self.isLossAccepted)
        let next = try self.scanner.search(from: place + 1) { header, mark, position in
            guard header.baseOffset > expected.rawValue, header.nextOffset <= Offset.storedMax.rawValue,
                header.partitionLeaderEpoch < 0 || header.partitionLeaderEpoch >= epoch.rawValue
            else { return false }
            return isProven || isLossAccepted
                || Seal.durableJobStart(mark: mark, at: position).map { $0 > place } ?? false
        }
        if let next {
            self.lose(upTo: Offset(rawValue: next.header.baseOffset), goOnAt: next.position)
            return true
        }
        guard isProven else {
            self.cut = place
            return false
        }
        if !self.isLast || place < self.provenPosition {
            // A closed segment ends where the next begins; the caller knows where.
            guard self.provenEnd > self.expected else { return false }
            self.lose(upTo: self.provenEnd, goOnAt: self.provenPosition)
            return self.isLast
        }
        return try self.passLastBatch()
    }

    /// After an orderly end the last batch is damaged. If its seal holds, it still says which offsets it had.
    private mutating func passLastBatch() throws(DiskError) -> Bool {
        guard case .batch(let header, _) = try self.scanner.look(whole: false), self.isInOrder(header) else {
            self.blind = Blind(damage: self.lost(upTo: self.expected.next), isCutting: true)
            return false
        }
        let position = self.scanner.position + Seal.byteCount + header.totalByteCount
        self.lose(upTo: Offset(rawValue: header.nextOffset), goOnAt: position)
        return true
    }

    private func lost(upTo end: Offset) -> LogDamage {
        LogDamage(
            .batch, self.file, at: FilePosition(rawValue: Int64(self.scanner.position)), offsets: self.expected..<end
        )
    }

    private mutating func lose(upTo end: Offset, goOnAt position: Int) {
        self.damage.append(self.lost(upTo: end))
        self.expected = end
        self.segment.mark.end = end
        self.segment.mark.byteCount = position
        self.scanner.move(to: position)
    }
}
