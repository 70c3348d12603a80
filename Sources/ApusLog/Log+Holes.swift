import ApusCore
import NIOCore

/// # Holes
///
/// Segments wholly below the log's start are removed. Of the one that the start lies in, the part in front of it is
/// given back to the file system: a hole, which reads as zeros. So what was consumed or deleted frees its bytes at
/// once, however large a segment is.
///
/// A hole is punched only behind the `state` file that says where the log starts, so below the start that survives a
/// power cut, and only there, zeros (or, after a power cut, blocks of before) are no damage. The first block with the
/// file's header stays, and so does everything from the index entry in front of the start on: who reads from the start
/// begins there. Compacted logs have none: compaction leaves out what lies below the start.
struct HoleMark: Hashable, Sendable {
    /// Of the segment.
    var salt: UInt64 = 0
    var start = Offset.zero
}

extension Log {
    /// The hole that is worth punching once the start is durable.
    var holeDue: (mark: HoleMark, source: SegmentSource)? {
        guard self.configuration.compaction == nil else { return nil }
        let segment: ClosedSegment
        var place: Int?
        if let first = self.closed.first {
            segment = first
        } else {
            guard self.writing.isOnDisk else { return nil }
            segment = self.writing.checked
            place = self.writing.index.position(ofOffset: self.startOffset.rawValue - segment.base.rawValue)
        }
        guard !segment.isCompacted, self.startOffset > segment.base, self.startOffset <= segment.end,
            segment.base != self.work.unfinished?.base
        else { return nil }
        let from = self.work.hole.salt == segment.salt ? self.work.hole.start : segment.base
        let freed =
            Double(segment.byteCount.rawValue) * Double(self.startOffset.rawValue - from.rawValue)
            / Double(segment.end.rawValue - segment.base.rawValue)
        guard freed >= Double(Limits.holeBlocksMin * Limits.fileSystemBlockBytes.rawValue) else { return nil }
        return (HoleMark(salt: segment.salt, start: self.startOffset), self.source(of: segment, start: place))
    }

    /// What a read found, in the light of what happened to the log meanwhile: zeros below the start are a hole.
    package func judged(
        _ outcome: Result<LogRead.Result, LogError>, of read: LogRead
    ) -> Result<LogRead.Result, LogError> {
        guard case .failure(.damaged) = outcome, read.from < self.startOffset else { return outcome }
        return .failure(.gone(read.from))
    }
}

extension SegmentSource {
    /// Gives back whole blocks in front of the batch that holds `start`. Blocking.
    func punchHole(below start: Offset, on disk: any Disk) {
        let block = Limits.fileSystemBlockBytes.rawValue
        // Whatever keeps it from being done costs space and nothing else.
        guard let place = try? self.start(for: start, on: disk) else { return }
        let end = place / block * block
        guard end >= block * 2 else { return }
        _ = try? disk.punchHole(
            in: self.file, from: FilePosition(rawValue: Int64(block)), upTo: FilePosition(rawValue: Int64(end)))
    }
}
