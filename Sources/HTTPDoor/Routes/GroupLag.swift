import ApusBroker
import ApusCore
import ApusGroups
import Hummingbird
import HummingbirdCore
import NIOCore
import WebFormats

/// Where a group stands, and how far that is from the end.
enum GroupLag {
    /// A position that a group is to have.
    struct Move: Sendable {
        var topic: String
        var partition: PartitionIndex
        var offset: Offset
    }

    /// The group's positions in topics that are there and that the client may know of, by topic.
    static func positions(
        of group: GroupID, _ context: WebContext
    ) async throws(Problem) -> [(topic: String, positions: [PositionAnswer])] {
        typealias Answers = [Result<[PositionAnswer], GroupError>]
        let query = PositionQuery(group: group, partitions: nil)
        let answers = await context.wait { (then: @escaping @Sendable (Answers) -> Void) in
            context.broker.fetchOffsets([query], client: context.client, on: context.loop, then: then)
        }
        let found: [PositionAnswer]
        do throws(GroupError) { found = try answers[0].get() } catch { throw Problem(error, group: group.rawValue) }
        return Dictionary(grouping: found.filter { $0.position != nil }, by: \.topic)
            .map { ($0.key, $0.value.sorted { $0.partition < $1.partition }) }
            .sorted { $0.0 < $1.0 }
    }

    /// Lag counts what can still be read: from the position, or from the partition's start where retention has passed
    /// it, to the end.
    static func response(_ group: GroupID, _ context: WebContext) async throws -> Response {
        var rows = ByteBuffer(string: "[")
        var total: Int64 = 0
        let topics = try await self.positions(of: group, context)
        guard !topics.isEmpty else {
            throw Problem(.groupNotFound, "there is no group '\(group)' with positions")
        }
        for (name, positions) in topics {
            let topic = try TopicRoutes.topic(.name(name), context)
            let held = positions.filter { topic.contains($0.partition) }
            let partitions = held.map(\.partition)
            let starts = try await TopicRoutes.offsets(.earliest, of: partitions, in: topic, context)
            let ends = try await TopicRoutes.offsets(.latest, of: partitions, in: topic, context)
            for (index, answer) in held.enumerated() {
                guard let position = answer.position else { continue }
                let end = ends[index].offset
                let lag = max(0, end.rawValue - max(position.offset, starts[index].offset).rawValue)
                total += lag
                rows.writeJSONComma()
                rows.writeJSONBraces {
                    $0.writeJSONMember("topic", name)
                    $0.writeJSONMember("partition", answer.partition.rawValue)
                    $0.writeJSONMember("position", position.offset.rawValue)
                    $0.writeJSONMember("end", end.rawValue)
                    $0.writeJSONMember("lag", lag)
                }
            }
        }
        return Response.object { body in
            body.writeJSONMember("name", group.rawValue)
            body.writeJSONMember("total_lag", total)
            body.writeJSONName("partitions")
            body.writeImmutableBuffer(rows)
            body.writeInteger(UInt8(ascii: "]"))
        }
    }

    // MARK: Moving

    /// The place that each partition comes to, held at its start and end.
    static func moves(
        of topic: Topic, _ partitions: [PartitionIndex], to place: StartPoint, _ context: WebContext
    ) async throws(Problem) -> [Move] {
        let wanted = try await ReadPlan.offsets(of: place, partitions, in: topic, context)
        let starts = try await TopicRoutes.offsets(.earliest, of: partitions, in: topic, context)
        let ends = try await TopicRoutes.offsets(.latest, of: partitions, in: topic, context)
        return partitions.indices.map { index in
            Move(
                topic: topic.name, partition: partitions[index],
                offset: min(max(wanted[index], starts[index].offset), ends[index].offset))
        }
    }

    /// Commits as one who is no member, which a group with members refuses. All positions, or the first refusal.
    static func commit(_ moves: [Move], for group: GroupID, _ context: WebContext) async throws(Problem) {
        // Makes the coordinators' topic where nobody has needed it before, as a client of Kafka's would have asked for.
        let refusals = await context.wait { (then: @escaping @Sendable ([GroupError?]) -> Void) in
            context.broker.findCoordinators(of: [group], client: context.client, on: context.loop, then: then)
        }
        if let refusal = refusals[0] { throw Problem(refusal, group: group.rawValue) }
        let commit = PositionCommit(
            group: group,
            parts: moves.map { PositionCommit.Part(topic: .name($0.topic), partition: $0.partition, offset: $0.offset) }
        )
        let errors = await context.wait { (then: @escaping @Sendable ([GroupError?]) -> Void) in
            context.broker.commitOffsets(commit, client: context.client, on: context.loop, then: then)
        }
        if let error = errors.compactMap(\.self).first { throw Problem(error, group: group.rawValue) }
    }
}
