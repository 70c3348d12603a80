import ApusBroker
import ApusCore
import NIOCore
import WebFormats

/// Where a read begins in each partition.
enum ReadPlan {
    /// Signs cursors of a topic's own channel, so that a read, an event stream and a WebSocket go on from one another.
    static func seal(of topic: Topic, _ context: WebContext) -> CursorSeal? {
        context.door.configuration.cursorKeys.map { CursorSeal(keys: $0, topic: topic.id, selection: .everything) }
    }

    /// Where a cursor goes on, and what is gone in between.
    static func resumption(
        from text: String, in topic: Topic, _ context: WebContext
    ) async throws(Problem) -> Resumption {
        guard let seal = self.seal(of: topic, context) else {
            throw Problem(.invalidCursor, "this listener has no cursors")
        }
        let partitions = topic.partitions.map(\.index)
        let starts = try await TopicRoutes.offsets(.earliest, of: partitions, in: topic, context)
        let ends = try await TopicRoutes.offsets(.latest, of: partitions, in: topic, context)
        let kept = zip(starts, ends).map { KeptRange(start: $0.offset, end: max($0.offset, $1.offset)) }
        do throws(CursorError) {
            return try Resumption([try seal.cursor(in: ByteBuffer(string: text))], kept: kept, partition: nil)
        } catch {
            throw Problem(error)
        }
    }

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
