import ApusClient
import ApusCommand
import ApusCore
import ArgumentParser

struct TopicDescribe: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "describe", abstract: "Show a topic: partitions, offsets, sizes, settings.", aliases: ["info"])

    @Argument(help: "Name of the topic.")
    var name: String

    @Flag(name: .shortAndLong, help: "Show settings that have their default, too.")
    var all = false

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let summary = try await self.connection.withClient { apus in
            let topic = try await apus.topics.describe(self.name)
            let starts = try await apus.topics.offsets(of: self.name, at: .start)
            let ends = try await apus.topics.offsets(of: self.name, at: .end)
            let sizes = try await self.ifAllowed { try await TopicSizes(of: [self.name], from: apus) }
            let settings = try await self.ifAllowed { try await apus.topics.configuration(of: self.name) }
            var summary = self.summary(topic, starts, ends, sizes, settings)
            // A broker of Kafka's knows no subscriptions, and one whose catalogue is away does not say.
            if let holdings = try? await apus.subscriptions.holdings(of: self.name) {
                summary.add("owner", "Owner", holdings.owner.map { .text($0) } ?? .nothing)
                let title = holdings.mode == "consumed" ? "Kept until all read it, at most" : "Kept for"
                summary.add("retention_ms", title, .period(holdings.retention))
                summary.add("holders", "Held by", Listing.holders(holdings))
            }
            return summary
        }
        try StandardOutput.write(summary.rendered(as: self.output.format))
    }

    /// Sizes take DESCRIBE on the cluster, settings DESCRIBE_CONFIGS on the topic: who has only the topic is shown the
    /// rest.
    private func ifAllowed<Value>(_ ask: () async throws -> Value) async throws -> Value? {
        do {
            return try await ask()
        } catch let error as ApusError where error.code == .notAuthorized {
            return nil
        }
    }

    private func summary(
        _ topic: TopicDescription, _ starts: [PartitionIndex: OffsetDescription],
        _ ends: [PartitionIndex: OffsetDescription], _ sizes: TopicSizes?, _ settings: [ConfigurationEntry]?
    ) -> Summary {
        var partitions = Listing([
            .init("partition", isNumber: true), .init("leader", isNumber: true), .init("epoch", isNumber: true),
            .init("replicas"), .init("isr", "ISR"), .init("start", isNumber: true), .init("end", isNumber: true),
            .init("records", isNumber: true), .init("bytes", "SIZE", isNumber: true),
        ])
        var records: Int64 = 0
        for partition in topic.partitions {
            let start = starts[partition.index]?.offset.rawValue
            let end = ends[partition.index]?.offset.rawValue
            // Offsets that compaction or transactions left empty count too: this is an upper bound.
            let count = max(0, (end ?? 0) - (start ?? 0))
            records += count
            partitions.add([
                .number(partition.index.rawValue), partition.leader.map { .number($0.rawValue) } ?? .nothing,
                .number(partition.leaderEpoch.rawValue), .list(partition.replicas.map(\.rawValue)),
                .list(partition.inSyncReplicas.map(\.rawValue)), start.map { .number($0) } ?? .nothing,
                end.map { .number($0) } ?? .nothing, .count(count),
                sizes.map { .size($0.bytes(of: topic.name, partition.index)) } ?? .nothing,
            ])
        }
        var listing = Listing([.init("name", "SETTING"), .init("value"), .init("source")])
        for entry in settings ?? [] where self.all || !entry.isDefault {
            listing.add([
                .text(entry.name), entry.value.map { .text($0) } ?? .nothing, .text("\(entry.source)"),
            ])
        }
        var summary = Summary()
        summary.add("name", "Name", .text(topic.name))
        summary.add("id", "Id", topic.id == .none ? .nothing : .text("\(topic.id)"))
        summary.add("internal", "Internal", .flag(topic.isInternal))
        summary.add("partition_count", "Partitions", .count(topic.partitions.count))
        summary.add("records", "Records", .count(records))
        summary.add("bytes", "Size", sizes.map { .size($0.bytes(of: topic.name)) } ?? .nothing)
        summary.add("partitions", "", partitions)
        if settings != nil { summary.add("settings", "", listing) }
        return summary
    }
}
