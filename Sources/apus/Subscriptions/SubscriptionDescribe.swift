import ApusClient
import ApusCommand
import ApusCore
import ArgumentParser

struct SubscriptionDescribe: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "describe", abstract: "Show a subscription: what it asks for, where it is, how far behind.",
        discussion: """
              apus subscription describe billing
              apus subscription describe billing -o json
            """,
        aliases: ["info"])

    @Argument(help: "Name of the subscription.")
    var name: String

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let (entry, lags) = try await self.connection.withClient { apus in
            let entry = try await apus.subscriptions.describe(self.name)
            // A queue's positions come with the queues.
            let isStream = entry.subscription.delivery == .stream
            return (entry, isStream ? try await apus.groups.lag(of: self.name) : [])
        }
        var summary = Summary(entry)
        if entry.subscription.delivery == .stream {
            summary.add("total_lag", "Lag", .count(lags.reduce(0) { $0 + ($1.lag ?? 0) }))
            var positions = Listing([
                .init("topic"), .init("partition", isNumber: true), .init("position", isNumber: true),
                .init("end", isNumber: true), .init("lag", isNumber: true),
            ])
            for lag in lags {
                positions.add([
                    .text(lag.partition.topic), .number(lag.partition.partition.rawValue),
                    lag.position.map { .number($0.offset.rawValue) } ?? .nothing,
                    lag.end.map { .number($0.rawValue) } ?? .nothing, lag.lag.map { .count($0) } ?? .nothing,
                ])
            }
            summary.add("positions", "Positions", positions)
        }
        try StandardOutput.write(summary.rendered(as: self.output.format))
    }
}
