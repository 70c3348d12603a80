import ApusAccess
import ApusBroker
import ApusCore
import ApusGroups
import HTTPTypes
import Hummingbird
import HummingbirdCore
import NIOCore
import WebFormats

/// Reading a stream subscription over HTTP: pull what is next, say what was worked on, move.
///
/// Positions are those of the group of the subscription's name. **At least once:** a pull moves nothing, so who does
/// not say that records were worked on (`:ack`) is given them again; so are two that pull at once. Records of one
/// partition come in their order.
enum PullRoutes {
    static var all: [WebRoute] {
        [
            WebRoute(
                .post, "/v1/subscriptions/{subscription}:pull",
                "Read what comes next for a stream subscription; nothing is moved", body: .pull
            ) { try await self.pull($0, $1) },
            WebRoute(
                .post, "/v1/subscriptions/{subscription}:ack",
                "Say what was worked on: the subscription goes on behind it", body: .positions
            ) { try await self.acknowledge($0, $1) },
            WebRoute(
                .post, "/v1/subscriptions/{subscription}:seek", "Move a stream subscription without members",
                body: .seek
            ) {
                let subscription = try await self.stream($1)
                return try await GroupRoutes.seek($0, $1, group: GroupID(subscription.subscription.name.text))
            },
        ]
    }

    /// The subscription that the path names, which is a stream.
    private static func stream(_ context: WebContext) async throws(Problem) -> RegisteredSubscription {
        let found = try await SubscriptionRoutes.find(try context.segment("subscription"), context)
        guard found.subscription.delivery == .stream else {
            throw Problem(.invalidRequest, "'\(found.subscription.name.text)' is a queue: only streams are pulled")
        }
        return found
    }

    // MARK: Pull

    private static func pull(_ request: Request, _ context: WebContext) async throws -> Response {
        _ = try Query(request.uri.query, names: [])
        return try await context.withFields(of: request, "a pull", ["max", "wait"]) { fields in
            let limit = Int(
                try fields.integer("max", 1...Int64(Limits.webPullRecordsMax)) ?? Int64(Limits.webPageItemsDefault))
            let wait = try fields.duration("wait", max: Limits.webPullWaitMax) ?? .zero
            try await context.throttle(.fetchedBytes)
            let subscription = try await self.stream(context)
            let entries = try await self.entries(of: subscription.subscription, context)
            let (wishes, results) = try await self.fetch(entries.map(\.entry), subscription, wait: wait, context)
            let held = results.reduce(ByteCount.zero) { $0 + $1.byteCount }
            defer { context.door.replyMemory.drop(held) }
            context.charge(.fetchedBytes, held.rawValue)
            var found: [(topic: String, reading: RecordReading)] = []
            var room = limit
            for (index, result) in results.enumerated() {
                let name = entries[index].topic
                if found.last?.topic != name { found.append((name, RecordReading(limit: room))) }
                try found[found.count - 1].reading.take(result, for: wishes[index])
                // The next topic has what this one left.
                room = limit - found.reduce(0) { $0 + $1.reading.count }
            }
            return self.response(found)
        }
    }

    private static func response(_ found: [(topic: String, reading: RecordReading)]) -> Response {
        Response.object { body in
            body.writeJSONArray("topics", found.filter { $0.reading.count > 0 }) { body, entry in
                body.writeJSONBraces {
                    $0.writeJSONMember("topic", entry.topic)
                    entry.reading.writeRecords(into: &$0)
                }
            }
            let next = found.flatMap { topic, reading in reading.next.map { (topic, $0.0, $0.1) } }
            body.writeJSONArray("positions", next) { body, entry in
                body.writeJSONBraces {
                    $0.writeJSONMember("topic", entry.0)
                    $0.writeJSONMember("partition", entry.1.rawValue)
                    $0.writeJSONMember("offset", entry.2.rawValue)
                }
            }
        }
    }

    /// Where the subscription goes on in each partition that it reads, topic by topic.
    private static func entries(
        of subscription: Subscription, _ context: WebContext
    ) async throws -> [(topic: String, entry: FetchEntry)] {
        let group = GroupID(subscription.name.text)
        guard context.client.allows(.read, onGroup: group.rawValue) else {
            throw Problem(BrokerError.groupAuthorizationFailed)
        }
        let topics = context.broker.topics(for: context.client).filter { subscription.interest.matches(topic: $0.name) }
            .sorted { $0.name < $1.name }
        guard !topics.isEmpty else {
            throw Problem(.topicNotFound, "there is none of the topics that '\(subscription.name.text)' reads")
        }
        guard topics.reduce(0, { $0 + Int($1.partitionCount) }) <= Limits.webReadPartitionsMax else {
            throw Problem(.tooMany, "one pull looks at \(Limits.webReadPartitionsMax) partitions at most")
        }
        var held: [String: [PartitionIndex: Offset]] = [:]
        for (topic, positions) in try await GroupLag.positions(of: group, context) {
            for answer in positions { held[topic, default: [:]][answer.partition] = answer.position?.offset }
        }
        var entries: [(String, FetchEntry)] = []
        var fresh: [GroupLag.Move] = []
        for topic in topics {
            let partitions = topic.partitions.map(\.index)
            let missing = partitions.filter { held[topic.name]?[$0] == nil }
            let moves = try await GroupLag.moves(of: topic, missing, to: subscription.start.point, context)
            fresh += moves
            let begins = Dictionary(uniqueKeysWithValues: moves.map { ($0.partition, $0.offset) })
            for partition in partitions {
                let offset = held[topic.name]?[partition] ?? begins[partition] ?? .zero
                entries.append(
                    (
                        topic.name,
                        FetchEntry(
                            topic: .id(topic.id), partition: partition, offset: offset,
                            bytesMax: Limits.webReadBytesDefault)
                    ))
            }
        }
        // Where it begins is fixed by the first pull, or 'latest' would be later at the second one.
        if !fresh.isEmpty { try await GroupLag.commit(fresh, for: group, context) }
        return entries
    }

    /// Twice when retention, or the subscription's window, has passed a position: then from where there is something.
    private static func fetch(
        _ entries: [FetchEntry], _ subscription: RegisteredSubscription, wait: Duration, _ context: WebContext
    ) async throws -> (wishes: [FetchEntry], results: [FetchResult]) {
        let memory = context.door.replyMemory
        let limits = FetchLimits(
            bytesMin: .bytes(wait > .zero ? 1 : 0), bytesMax: Limits.webReadBytesDefault, waitMax: wait)
        var wishes = entries
        for isLast in [false, true] {
            let asked = wishes
            let results = await context.wait { (then: @escaping @Sendable ([FetchResult]) -> Void) in
                context.broker.fetch(
                    asked, limits: limits, client: context.client, for: subscription.subscription.name,
                    memory: memory, on: context.loop
                ) {
                    memory.hold($0.reduce(.zero) { $0 + $1.byteCount })
                    then($0)
                }
            }
            var isPassed = false
            for (index, result) in results.enumerated() {
                guard case .offsetOutOfRange(let start, _)? = result.error, wishes[index].offset < start else {
                    continue
                }
                wishes[index].offset = start
                isPassed = true
            }
            if !isPassed || isLast { return (wishes, results) }
            memory.drop(results.reduce(.zero) { $0 + $1.byteCount })
        }
        return (wishes, [])
    }

    // MARK: Ack

    /// Positions only move forward here, so that an ack which is sent again, or late, does no harm.
    private static func acknowledge(_ request: Request, _ context: WebContext) async throws -> Response {
        _ = try Query(request.uri.query, names: [])
        return try await context.withFields(of: request, "an ack", ["positions"]) { fields in
            let elements = try fields.elements("positions", max: Limits.webReadPartitionsMax) ?? []
            guard !elements.isEmpty else { throw fields.refusal("positions", "is an array with one position at least") }
            let subscription = try await self.stream(context).subscription
            let group = GroupID(subscription.name.text)
            var moves: [GroupLag.Move] = []
            for element in elements { moves.append(try self.move(element, of: subscription)) }
            guard Set(moves.map { "\($0.topic)/\($0.partition)" }).count == moves.count else {
                throw fields.refusal("positions", "names a partition twice")
            }
            var held: [String: [PartitionIndex: Offset]] = [:]
            for (topic, positions) in try await GroupLag.positions(of: group, context) {
                for answer in positions { held[topic, default: [:]][answer.partition] = answer.position?.offset }
            }
            for (name, wanted) in Dictionary(grouping: moves, by: \.topic) {
                try await self.check(wanted, of: try TopicRoutes.topic(.name(name), context), context)
            }
            let forward = moves.filter { $0.offset > held[$0.topic]?[$0.partition] ?? Offset(rawValue: -1) }
            if !forward.isEmpty { try await GroupLag.commit(forward, for: group, context) }
            return Response.object { body in
                body.writeJSONArray("positions", moves) { body, move in
                    body.writeJSONBraces {
                        $0.writeJSONMember("topic", move.topic)
                        $0.writeJSONMember("partition", move.partition.rawValue)
                        $0.writeJSONMember(
                            "offset", max(move.offset, held[move.topic]?[move.partition] ?? .zero).rawValue)
                    }
                }
            }
        }
    }

    private static func move(
        _ element: JSONValue, of subscription: Subscription
    ) throws(Problem) -> GroupLag.Move {
        let object: JSONObject
        do throws(JSONFault) { object = try element.object() } catch { throw Problem(error) }
        let fields = try FieldReader(object, of: "a position", names: ["topic", "partition", "offset"])
        let topic = try fields.topic()
        guard subscription.interest.matches(topic: topic) else {
            throw Problem(.invalidRequest, "'\(subscription.name.text)' does not read '\(topic)'")
        }
        return GroupLag.Move(
            topic: topic, partition: try fields.required("partition", try fields.partition()),
            offset: Offset(rawValue: try fields.required("offset", try fields.integer("offset", 0...Int64.max))))
    }

    /// Nobody has worked on what is not there.
    private static func check(
        _ moves: [GroupLag.Move], of topic: Topic, _ context: WebContext
    ) async throws(Problem) {
        let partitions = moves.map(\.partition)
        guard partitions.allSatisfy({ topic.contains($0) }) else {
            throw Problem(.topicNotFound, "'\(topic.name)' has \(topic.partitionCount) partitions")
        }
        let ends = try await TopicRoutes.offsets(.latest, of: partitions, in: topic, context)
        for (move, end) in zip(moves, ends) where move.offset > end.offset {
            throw Problem(
                .offsetOutOfRange, "partition \(move.partition) of '\(topic.name)' ends at \(end.offset.rawValue)")
        }
    }
}

extension Subscription.Start {
    fileprivate var point: StartPoint {
        switch self {
        case .earliest: .earliest
        case .latest: .latest
        case .time(let time): .time(time)
        }
    }
}
