import ApusBroker
import ApusCore
import WebFormats

/// Where a read begins in each partition.
enum ReadPlan {
    /// The offset in each partition, in their order, that a start point stands for now.
    static func offsets(
        of start: StartPoint, _ partitions: [PartitionIndex], in topic: Topic, _ context: WebContext
    ) async throws(Problem) -> [Offset] {
        func ask(_ position: OffsetQuery.Position) async throws(Problem) -> [OffsetAnswer] {
            try await TopicRoutes.offsets(position, of: partitions, in: topic, context)
        }
        switch start {
        case .offset(let offset): return partitions.map { _ in offset }
        case .earliest: return try await ask(.earliest).map(\.offset)
        case .latest: return try await ask(.latest).map(\.offset)
        case .time(let time):
            let found = try await ask(.time(time))
            guard found.contains(.nothing) else { return found.map(\.offset) }
            // Nothing as new as that is there yet: what comes will be.
            let ends = try await ask(.latest)
            return zip(found, ends).map { $0 == .nothing ? $1.offset : $0.offset }
        case .beforeEnd(let count):
            let (starts, ends) = (try await ask(.earliest), try await ask(.latest))
            return zip(starts, ends).map { start, end in
                // Both are offsets of a log, and the count is not negative: this can not overflow.
                max(start.offset, Offset(rawValue: end.offset.rawValue - min(count, end.offset.rawValue)))
            }
        case .lastValues, .cursors:
            throw Problem(
                .invalidRequest, "a read begins at 'earliest', 'latest', an offset, '-100', or '@' and a time")
        }
    }
}
