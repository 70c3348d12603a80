import ApusClient
import ApusCommand
import ApusCore
import ArgumentParser

struct SubscriptionRemove: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rm", abstract: "Remove subscriptions. What only they held goes with the next look of retention.",
        discussion: """
              apus subscription rm billing
              apus subscription rm billing search --yes
              apus subscription rm billing --dry-run

            The positions of its consumer group stay, and the group comes back as a subscription without a period when \
            somebody joins it: apus group rm removes those.
            """,
        aliases: ["delete"])

    @Argument(help: "Names of the subscriptions.")
    var names: [String]

    @Flag(name: .shortAndLong, help: "Do not ask.")
    var yes = false

    @Flag(help: "Show what would go, remove nothing.")
    var dryRun = false

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        try await self.connection.withClient { apus in
            // Asked for before anything is removed: one wrong name stops all.
            var found: [SubscriptionDescription] = []
            for name in self.names { found.append(try await apus.subscriptions.describe(name)) }
            var results: [Result<Void, ApusError>] = []
            if !self.dryRun {
                for entry in found {
                    let what = "subscription \(entry.name) of \(entry.subscription.owner)"
                    try Confirmation.ask(toDelete: what, typing: entry.name, unless: self.yes)
                }
                results = try await apus.subscriptions.remove(self.names)
            }
            var listing = Listing([
                .init("name"), .init("owner"), .init("topics"), .init("period_ms", "PERIOD"), .init("result"),
            ])
            var failure: ApusError?
            for (place, entry) in found.enumerated() {
                var result = "would be removed"
                if place < results.count {
                    switch results[place] {
                    case .success: result = "removed"
                    case .failure(let error):
                        result = "failed: \(error.message)"
                        failure = failure ?? error
                    }
                }
                listing.add([
                    .text(entry.name), .text(entry.subscription.owner.text), .topics(entry.subscription.interest),
                    .period(entry.subscription.period), .text(result),
                ])
            }
            try StandardOutput.write(listing.rendered(as: self.output.format))
            if let failure { throw failure }
        }
    }
}
