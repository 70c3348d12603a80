import ApusAccess
import ApusBroker
import ApusCore
import HTTPTypes
import Hummingbird
import HummingbirdCore
import KafkaWire
import NIOCore
import WebFormats

/// Records: write and read.
enum RecordRoutes {
    static var all: [WebRoute] {
        [
            WebRoute(
                .post, "/v1/topics/{topic}/records", "Write records",
                query: [
                    ("acks", "all (every replica in sync has it) or leader"),
                    ("partition", "for records that name none"),
                ],
                headers: [
                    ("Idempotency-Key", "a name for this write: sent once more, it is not done once more"),
                    ("Prefer", "return=minimal: 204 instead of the places"),
                ],
                body: .records
            ) { try await WriteRoute.write($0, $1) },
            WebRoute(
                .get, "/v1/topics/{topic}/records", "Read records",
                query: [
                    ("partition", "one; else all"),
                    ("from", "earliest, latest, an offset, -100, or @ and a time; earliest unless said"),
                    ("cursor", "where an earlier read, a push or an event ended; of all partitions"),
                    ("limit", "records at most"), ("wait", "how long to wait for the first one, like 20s"),
                    ("max_bytes", "bytes of records to look at"),
                ]
            ) { try await self.read($0, $1) },
        ]
    }

    private static func read(_ request: Request, _ context: WebContext) async throws -> Response {
        let query = try Query(request.uri.query, names: ["partition", "from", "cursor", "limit", "wait", "max_bytes"])
        let limit = Int(
            try query.integer("limit", 1...Int64(Limits.edgeReadRecordsMax)) ?? Int64(Limits.edgeReadRecordsDefault))
        let bytes = try query.integer("max_bytes", 1...Int64(Limits.webReadBytesMax.rawValue))
        let wait = try query.duration("wait", max: Limits.webReadWaitMax) ?? .zero
        try await context.throttle(.fetchedBytes)
        let topic = try TopicRoutes.topic(try context.topic(), context)
        let partitions = try query.partition().map { [$0] } ?? topic.partitions.map(\.index)
        guard partitions.count <= Limits.webReadPartitionsMax else {
            throw Problem(
                .tooMany, "one read looks at \(Limits.webReadPartitionsMax) partitions at most", hint: "name one")
        }
        var gaps: [ResumeGap]?
        let starts: [Offset]
        if let cursor = query.text("cursor") {
            guard query.text("from") == nil, query.text("partition") == nil else {
                throw Problem(
                    .invalidRequest, "a cursor says where to begin in all partitions: no 'from', no 'partition'")
            }
            let resumption = try await ReadPlan.resumption(from: cursor, in: topic, context)
            starts = partitions.map { resumption.starts[$0] ?? .zero }
            gaps = resumption.gaps
        } else {
            starts = try await ReadPlan.offsets(of: try query.start() ?? .earliest, partitions, in: topic, context)
        }
        let bytesMax = bytes.map { ByteCount.bytes(Int($0)) } ?? Limits.webReadBytesDefault
        let entries = zip(partitions, starts).map {
            FetchEntry(topic: .id(topic.id), partition: $0, offset: $1, bytesMax: bytesMax)
        }
        let limits = FetchLimits(bytesMin: .bytes(wait > .zero ? 1 : 0), bytesMax: bytesMax, waitMax: wait)
        let memory = context.door.replyMemory
        let results = await context.wait { (then: @escaping @Sendable ([FetchResult]) -> Void) in
            context.broker.fetch(entries, limits: limits, client: context.client, memory: memory, on: context.loop) {
                memory.hold($0.reduce(.zero) { $0 + $1.byteCount })
                then($0)
            }
        }
        let held = results.reduce(ByteCount.zero) { $0 + $1.byteCount }
        defer { memory.drop(held) }
        context.charge(.fetchedBytes, held.rawValue)
        var reading = RecordReading(limit: limit)
        for (entry, result) in zip(entries, results) { try reading.take(result, for: entry) }
        let seal = partitions.count == Int(topic.partitionCount) ? ReadPlan.seal(of: topic, context) : nil
        return reading.response(gaps, seal: seal)
    }
}
