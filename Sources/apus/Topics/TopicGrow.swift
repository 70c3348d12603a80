import ApusClient
import ApusCommand
import ArgumentParser

struct TopicGrow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "grow", abstract: "Add partitions to a topic. Keys then go to other partitions than before.")

    @Argument(help: "Name of the topic.")
    var name: String

    @Argument(help: "How many partitions it shall have.")
    var partitions: Int

    @Flag(help: "Check that it would work, change nothing.")
    var dryRun = false

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        try await self.connection.withClient { apus in
            try await apus.topics.grow(self.name, toPartitions: self.partitions, validateOnly: self.dryRun)
        }
        var listing = Listing([.init("name"), .init("partitions", isNumber: true), .init("result")])
        listing.add([
            .text(self.name), .count(self.partitions), .text(self.dryRun ? "would have grown" : "grown"),
        ])
        try StandardOutput.write(listing.rendered(as: self.output.format))
    }
}
