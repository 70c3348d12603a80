import ApusClient
import ApusCommand
import ArgumentParser

struct TopicRemove: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rm", abstract: "Delete topics with all their records.", aliases: ["delete"])

    @Argument(help: "Names of the topics.")
    var names: [String]

    @Flag(name: .shortAndLong, help: "Do not ask.")
    var yes = false

    @Flag(help: "Show what would go, delete nothing.")
    var dryRun = false

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        try await self.connection.withClient { apus in
            let sizes = try await TopicSizes(of: self.names, from: apus)
            var listing = Listing([
                .init("name"), .init("partitions", isNumber: true), .init("bytes", "SIZE", isNumber: true),
                .init("result"),
            ])
            // Asked for before anything is deleted: one wrong name stops all.
            let topics = try await self.described(apus)
            var results: [Result<Void, ApusError>] = []
            if !self.dryRun {
                for name in self.names {
                    try Confirmation.ask(
                        toDelete: "\(name) with \(sizes.bytes(of: name)) of records", typing: name, unless: self.yes)
                }
                results = try await apus.topics.delete(self.names)
            }
            var failure: ApusError?
            for (index, topic) in topics.enumerated() {
                var result = "would be deleted"
                if index < results.count {
                    switch results[index] {
                    case .success: result = "deleted"
                    case .failure(let error):
                        result = "failed: \(error.message)"
                        failure = failure ?? error
                    }
                }
                listing.add([
                    .text(topic.name), .count(topic.partitions.count), .size(sizes.bytes(of: topic.name)),
                    .text(result),
                ])
            }
            try StandardOutput.write(listing.rendered(as: self.output.format))
            if let failure { throw failure }
        }
    }

    private func described(_ apus: ApusClient) async throws -> [TopicDescription] {
        var topics: [TopicDescription] = []
        for name in self.names { topics.append(try await apus.topics.describe(name)) }
        return topics
    }
}
