import ApusClient
import ApusCommand
import ApusCore
import ArgumentParser

struct TopicList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ls", abstract: "List topics.", aliases: ["list"])

    @Argument(help: "Only topics whose names begin so.")
    var prefix: String?

    @Flag(name: .shortAndLong, help: "Show how large each topic is.")
    var long = false

    @Flag(name: .shortAndLong, help: "Show the system's own topics too.")
    var all = false

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let (topics, sizes) = try await self.connection.withClient { apus in
            let topics = try await apus.topics.list(includingInternal: self.all)
            return (topics, self.long ? try await TopicSizes(of: nil, from: apus) : nil)
        }
        var columns: [Listing.Column] = [
            .init("name"), .init("partitions", isNumber: true), .init("replicas", isNumber: true), .init("id"),
        ]
        if sizes != nil { columns.append(.init("bytes", "SIZE", isNumber: true)) }
        var listing = Listing(columns)
        for topic in topics where topic.name.hasPrefix(self.prefix ?? "") {
            var row: [Cell] = [
                .text(topic.name), .count(topic.partitions.count),
                .count(topic.partitions.first?.replicas.count ?? 0),
                topic.id == .none ? .nothing : .text("\(topic.id)"),
            ]
            if let sizes { row.append(.size(sizes.bytes(of: topic.name))) }
            listing.add(row)
        }
        try StandardOutput.write(listing.rendered(as: self.output.format))
        if listing.rows.isEmpty, StandardOutput.isTerminal, self.output.format == .table {
            StandardError.write("No topics yet. Make one:  apus topic create hello\n")
        }
    }
}

/// How many bytes the brokers keep of each partition, the largest replica counted.
struct TopicSizes {
    private var sizes: [String: [PartitionIndex: ByteCount]] = [:]

    init(of topics: [String]?, from apus: ApusClient) async throws {
        for broker in try await apus.cluster.describe().brokers {
            for directory in try await apus.cluster.logDirectories(of: broker.id, topics: topics) {
                for replica in directory.replicas {
                    let known = self.sizes[replica.topic]?[replica.partition] ?? .zero
                    self.sizes[replica.topic, default: [:]][replica.partition] = max(known, replica.byteCount)
                }
            }
        }
    }

    func bytes(of topic: String) -> ByteCount {
        self.sizes[topic]?.values.reduce(.zero, +) ?? .zero
    }

    func bytes(of topic: String, _ partition: PartitionIndex) -> ByteCount {
        self.sizes[topic]?[partition] ?? .zero
    }
}
