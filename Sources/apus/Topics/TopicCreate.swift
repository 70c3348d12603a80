import ApusClient
import ApusCommand
import ArgumentParser

struct TopicCreate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Make topics.",
        discussion: """
            Settings have Kafka's names, and durability besides; times and sizes may have units:
              apus topic create orders -p 6 -c retention.ms=7d -c durability=page-cache
            All there are, with what they mean for a topic: apus topic describe NAME --all
            """,
        aliases: ["add"]
    )

    @Argument(help: "Names of the topics.")
    var names: [String]

    @Option(name: [.short, .long], help: "Number of partitions. [default: the broker's]")
    var partitions: Int?

    @Option(name: [.short, .long], help: "Copies of each partition. [default: the broker's]")
    var replicas: Int?

    @Option(
        name: [.short, .long], help: ArgumentHelp("A setting; may be repeated.", valueName: "name=value"),
        transform: { text in try parsing { try KeyValue.setting(text) } })
    var config: [KeyValue] = []

    @Option(help: "When a record is acknowledged: fsync (on the disk) or page-cache. [default: the broker's]")
    var durability: String?

    @Flag(help: "Succeed if the topic is there already.")
    var ifMissing = false

    @Flag(help: "Check that it would work, make nothing.")
    var dryRun = false

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        var settings = Dictionary(self.config.map { ($0.name, $0.value) }) { _, last in last }
        if let durability = self.durability { settings["durability"] = durability }
        let wanted = self.names.map {
            TopicAdmin.Specification(
                $0, partitions: self.partitions, replicationFactor: self.replicas, configuration: settings)
        }
        let results = try await self.connection.withClient { apus in
            try await apus.topics.create(wanted, validateOnly: self.dryRun)
        }
        var listing = Listing([
            .init("name"), .init("result"), .init("partitions", isNumber: true), .init("id"), .init("error"),
        ])
        var failure: ApusError?
        for (name, result) in zip(self.names, results) {
            switch result {
            case .success(let created):
                listing.add([
                    .text(name), .text(self.dryRun ? "would be created" : "created"),
                    created.partitions.map { .count($0) } ?? .nothing,
                    created.id == .none ? .nothing : .text("\(created.id)"), .nothing,
                ])
            case .failure(let error) where error.code == .topicExists && self.ifMissing:
                listing.add([.text(name), .text("exists"), .nothing, .nothing, .nothing])
            case .failure(let error):
                listing.add([.text(name), .text("failed"), .nothing, .nothing, .text(error.message)])
                failure = failure ?? error
            }
        }
        if self.names.count > 1 || failure == nil {
            try StandardOutput.write(listing.rendered(as: self.output.format))
        }
        if let failure { throw CommandFailure(failure, servers: try self.connection.choice().servers) }
    }
}
