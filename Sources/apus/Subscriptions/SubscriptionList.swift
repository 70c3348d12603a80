import ApusClient
import ApusCommand
import ApusCore
import ArgumentParser

struct SubscriptionList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ls", abstract: "List subscriptions, consumer groups among them.",
        discussion: """
              apus subscription ls
              apus subscription ls --topic orders
              apus subscription ls --owner alice -o json
            """,
        aliases: ["list"])

    @Option(
        name: [.customShort("t", allowingJoined: true), .long],
        help: ArgumentHelp("Only those that read this topic.", valueName: "topic"))
    var topic: String?

    @Option(help: ArgumentHelp("Only those of this principal.", valueName: "principal"))
    var owner: String?

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let owner = self.owner.map { $0.contains(":") ? $0 : "User:\($0)" }
        let found = try await self.connection.withClient { apus in
            try await apus.subscriptions.list(owner: owner, topic: self.topic)
        }
        try StandardOutput.write(Listing.subscriptions(found).rendered(as: self.output.format))
    }
}
