import ApusClient
import ApusCommand
import ArgumentParser

struct GroupDescribe: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "describe", abstract: "Show a group: members, what each has, positions, lag.",
        discussion: """
              apus group describe billing
              apus group describe billing -o json

            A partition without CURRENT-OFFSET has no committed position yet; one without LOG-END-OFFSET is gone.
            """,
        aliases: ["info"])

    @Argument(help: "Name of the group.")
    var name: String

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let (group, lags) = try await self.connection.withClient { apus in
            let group = try await apus.groups.describe(self.name)
            return (group, try await apus.groups.lag(of: self.name, describedAs: group))
        }
        var summary = Summary()
        summary.add("name", "Name", .text(group.name))
        summary.add("kind", "Kind", .text("\(group.kind)"))
        summary.add("state", "State", .text("\(group.state)"))
        summary.add(
            "coordinator", "Coordinator", group.coordinator.map { .number($0.rawValue) } ?? .nothing)
        summary.add("assignor", "Assignor", group.assignor.isEmpty ? .nothing : .text(group.assignor))
        if let epoch = group.epoch { summary.add("epoch", "Epoch", .number(epoch)) }
        summary.add("member_count", "Members", .count(group.members.count))
        summary.add("total_lag", "Lag", .count(lags.reduce(0) { $0 + ($1.lag ?? 0) }))
        summary.add("members", "Members", Listing.members(of: group))
        summary.add("partitions", "Partitions", Listing.partitions(lags, of: group))
        try StandardOutput.write(summary.rendered(as: self.output.format))
    }
}
