package import ApusClient
package import ApusCore

extension Position {
    /// Where a reader starts. `.afterStart` is relative to offsets that only the broker knows.
    ///
    /// - Parameter starts: the oldest offset of each partition, needed for `.afterStart` only.
    package func readerStart(at now: Timestamp, starts: [PartitionIndex: Offset] = [:]) -> ReaderStart {
        switch self {
        case .start: .start
        case .end: .end
        case .offset(let offset): .offset(offset)
        case .beforeEnd(let count): .last(Int(clamping: count))
        case .afterStart(let count):
            .offsets(
                starts.mapValues { start in
                    let (sum, overflow) = start.rawValue.addingReportingOverflow(count)
                    return Offset(rawValue: overflow ? .max : sum)
                })
        case .time(let time): .time(time)
        case .ago(let duration): .time(now.earlier(by: duration))
        }
    }

    /// Where a reader stops.
    package func readerEnd(at now: Timestamp) throws(CommandFailure) -> ReaderEnd {
        switch self {
        case .end: return .end
        case .offset(let offset): return .offset(offset)
        case .time(let time): return .time(time)
        case .ago(let duration): return .time(now.earlier(by: duration))
        case .start, .beforeEnd, .afterStart:
            throw .usage("reading can not stop there", next: "--until takes end, an offset, @2026-11-20T10:00 or @-2h")
        }
    }
}
