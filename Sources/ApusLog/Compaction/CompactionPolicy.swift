package import ApusCore

/// What a topic's configuration says about its compaction (`cleanup.policy` with `compact` in it).
package struct CompactionPolicy: Hashable, Sendable {
    /// `min.cleanable.dirty.ratio`, 0 to 1: a pass is due when more than this part of the log's bytes was never
    /// compacted.
    package var dirtyRatioMin: Double
    /// `min.compaction.lag.ms`: segments with a younger record are left alone.
    package var lagMin: Duration
    /// `max.compaction.lag.ms`: a record that is older was compacted, or is about to be, whatever the ratio; nil: no
    /// bound.
    package var lagMax: Duration?
    /// `delete.retention.ms`: how long a tombstone stays after it was compacted.
    package var tombstoneAge: Duration

    package init(
        dirtyRatioMin: Double = 0.5, lagMin: Duration = .zero, lagMax: Duration? = nil,
        tombstoneAge: Duration = .seconds(24 * 3600)
    ) {
        self.dirtyRatioMin = dirtyRatioMin
        self.lagMin = lagMin
        self.lagMax = lagMax
        self.tombstoneAge = tombstoneAge
    }
}

/// Why a log should be compacted, for the choice between several of them.
package struct CompactionNeed: Hashable, Comparable, Sendable {
    /// The part of the bytes that was never compacted, 0 to 1.
    package var dirtyRatio: Double
    /// Records are older than `max.compaction.lag.ms`, or tombstones past their time.
    package var isOverdue: Bool

    /// Less urgent.
    package static func < (left: CompactionNeed, right: CompactionNeed) -> Bool {
        guard left.isOverdue == right.isOverdue else { return right.isOverdue }
        return left.dirtyRatio < right.dirtyRatio
    }
}

/// Segments that a pass made into one: the new file is there, whole, synced and named. The log takes it in
/// (``Log/take(_:)``).
package struct CompactedSegments: Hashable, Sendable {
    let sources: [ClosedSegment]
    let result: ClosedSegment

    /// The offset behind the last one that they stand for.
    package var end: Offset { self.result.end }
    package var bytesBefore: ByteCount { .bytes(self.sources.reduce(0) { $0 + $1.byteCount.rawValue }) }
    package var bytesAfter: ByteCount { self.result.byteCount }
}

/// Why a pass ended before its time. The log is as good as before; what was swapped stays.
package enum CompactionFailure: Error, Hashable, Sendable, CustomStringConvertible {
    /// A batch does not hold. Nothing at or behind its segment is compacted until it does again.
    case damaged(LogDamage)
    case disk(DiskError)
    /// A segment was removed by retention or deletion while the pass read it.
    case gone
    /// One batch has more keys than there is memory for.
    case tooManyKeys(at: Offset)
    /// What was kept of a segment would make a file longer than a segment can be.
    case tooLong(at: Offset)

    init(_ error: DiskError) {
        self = error.reason == .notFound ? .gone : .disk(error)
    }

    package var description: String {
        switch self {
        case .damaged(let damage): "\(damage)"
        case .disk(let error): "\(error)"
        case .gone: "a segment was removed meanwhile"
        case .tooManyKeys(let offset):
            "the batch at \(offset) has more keys than \(Limits.compactionKeysBytesMax) hold"
        case .tooLong(let offset): "what is kept before \(offset) does not fit into a segment"
        }
    }
}
