import ApusBroker
import ApusCore
import ApusGroups
import NIOCore
import WebFormats

/// Where partitions begin and end and how far behind groups are, under the names of kafka_exporter, so that the same
/// dashboards show it. In the order of names, as far as ``Limits/metricsSeriesMax`` reaches.
///
/// Asked as the node itself: who may DESCRIBE the cluster is told of all that is in it.
enum RecordMetrics {
    static func all(_ context: WebContext) async -> [Metric] {
        var room = Limits.metricsSeriesMax
        var leftOut = 0
        var (counts, starts, ends) = ([Metric.Sample](), [Metric.Sample](), [Metric.Sample]())
        var known: [String: [Offset]] = [:]
        for topic in context.broker.topics.all.sorted(by: { $0.name < $1.name }) {
            let series = 1 + 2 * Int(topic.partitionCount)
            guard series <= room else {
                leftOut += series
                continue
            }
            room -= series
            counts.append(Metric.Sample(Double(topic.partitionCount), [("topic", topic.name)]))
            let (first, last) = await (
                self.offsets(.earliest, of: topic, context), self.offsets(.latest, of: topic, context)
            )
            known[topic.name] = last.map { $0 ?? .zero }
            for index in 0..<Int(topic.partitionCount) {
                let labels = self.labels(topic.name, index)
                // A partition that can not say it is left out.
                if let start = first[index] { starts.append(Metric.Sample(Double(start.rawValue), labels)) }
                if let end = last[index] { ends.append(Metric.Sample(Double(end.rawValue), labels)) }
            }
        }
        let groups = await self.groups(context, known, room: &room, leftOut: &leftOut)
        return [
            Metric("kafka_topic_partitions", .gauge, "Partitions of the topic.", counts),
            Metric("kafka_topic_partition_current_offset", .gauge, "Where the partition ends.", ends),
            Metric("kafka_topic_partition_oldest_offset", .gauge, "Where the partition begins.", starts),
        ] + groups + [
            Metric(
                "apus_metrics_left_out", .gauge, "Series of topics and groups that there was no room for.", leftOut)
        ]
    }

    private static func labels(_ topic: String, _ partition: Int) -> [(name: StaticString, value: String)] {
        [("topic", topic), ("partition", "\(partition)")]
    }

    private static func offsets(
        _ position: OffsetQuery.Position, of topic: Topic, _ context: WebContext
    ) async -> [Offset?] {
        let queries = topic.partitions.map {
            OffsetQuery(topic: .id(topic.id), partition: $0.index, position: position)
        }
        let answers = await context.wait { (then: @escaping @Sendable ([Result<OffsetAnswer, BrokerError>]) -> Void) in
            context.broker.listOffsets(
                queries, isolation: .uncommitted, client: .embedded, on: context.loop, then: then)
        }
        return answers.map { answer in
            // `try?`: see above.
            try? answer.get().offset
        }
    }

    private static func groups(
        _ context: WebContext, _ ends: [String: [Offset]], room: inout Int, leftOut: inout Int
    ) async -> [Metric] {
        typealias Listings = Result<[GroupCoordinator.Listing], GroupError>
        let listed = await context.wait { (then: @escaping @Sendable (Listings) -> Void) in
            context.broker.listGroups(client: .embedded, on: context.loop, then: then)
        }
        var (positions, lags) = ([Metric.Sample](), [Metric.Sample]())
        // `try?`: while coordinators still load there are no groups to tell of.
        for group in (try? listed.get()) ?? [] {
            typealias Answers = [Result<[PositionAnswer], GroupError>]
            let query = PositionQuery(group: group.group, partitions: nil)
            let answers = await context.wait { (then: @escaping @Sendable (Answers) -> Void) in
                context.broker.fetchOffsets([query], client: .embedded, on: context.loop, then: then)
            }
            // `try?`: a group that has gone meanwhile is told of no more.
            let held = ((try? answers[0].get()) ?? []).sorted { ($0.topic, $0.partition) < ($1.topic, $1.partition) }
            guard 2 * held.count <= room else {
                leftOut += 2 * held.count
                continue
            }
            room -= 2 * held.count
            for answer in held {
                guard let position = answer.position?.offset else { continue }
                let labels =
                    [("consumergroup" as StaticString, group.group.rawValue)]
                    + self.labels(answer.topic, Int(answer.partition.rawValue))
                positions.append(Metric.Sample(Double(position.rawValue), labels))
                guard let known = ends[answer.topic], known.indices.contains(Int(answer.partition.rawValue)) else {
                    continue
                }
                let lag = max(0, known[Int(answer.partition.rawValue)].rawValue - position.rawValue)
                lags.append(Metric.Sample(Double(lag), labels))
            }
        }
        return [
            Metric("kafka_consumergroup_current_offset", .gauge, "Where the group stands.", positions),
            Metric("kafka_consumergroup_lag", .gauge, "Records between the group and the end.", lags),
        ]
    }
}
