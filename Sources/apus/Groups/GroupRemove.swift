import ApusClient
import ApusCommand
import ArgumentParser

struct GroupRemove: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rm", abstract: "Delete groups, or their positions in some topics.",
        discussion: """
              apus group rm billing                          with all its positions
              apus group rm billing search --yes
              apus group rm billing --topic orders           only its positions in orders
              apus group rm billing --dry-run

            A group with members is not deleted: stop them first.
            """,
        aliases: ["delete"])

    @Argument(help: "Names of the groups.")
    var names: [String]

    @Option(
        name: [.customShort("t", allowingJoined: true), .long],
        help: ArgumentHelp("Only positions in this topic, or TOPIC:0,2,5-7; may be repeated.", valueName: "topic"),
        transform: { text in try parsing { try PartitionChoice(text) } })
    var topic: [PartitionChoice] = []

    @Flag(name: .shortAndLong, help: "Do not ask.")
    var yes = false

    @Flag(help: "Show what would go, delete nothing.")
    var dryRun = false

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    private struct Found {
        var group: GroupDescription
        var positions: [NamedPartition]
    }

    func run() async throws {
        try await self.connection.withClient { apus in
            // Asked for before anything is deleted: one wrong name, or one group with members, stops all.
            let groups = try await self.found(apus)
            var failures: [String: ApusError] = [:]
            if !self.dryRun {
                for found in groups {
                    let what =
                        self.topic.isEmpty ? "\(found.group.name) with" : "of group \(found.group.name)"
                    try Confirmation.ask(
                        toDelete: "\(what) \(found.positions.count) positions", typing: found.group.name,
                        unless: self.yes)
                }
                for found in groups {
                    do {
                        try await self.delete(found, apus)
                    } catch let error as ApusError {
                        failures[found.group.name] = error
                    }
                }
            }
            try StandardOutput.write(self.listing(groups, failures).rendered(as: self.output.format))
            for name in self.names { if let failure = failures[name] { throw failure } }
        }
    }

    private func found(_ apus: ApusClient) async throws -> [Found] {
        var groups: [Found] = []
        for name in self.names {
            let group = try await apus.groups.describe(name)
            // Positions in topics nobody is subscribed to may go from a living group: the coordinator knows which.
            guard group.state.hasNoMembers || !self.topic.isEmpty else {
                throw ApusError(.groupNotEmpty, "group \(name) has active members", group: name)
            }
            let positions = try await apus.groups.positions(of: name).keys.filter { partition in
                self.topic.isEmpty
                    || self.topic.contains { $0.topic == partition.topic && $0.holds(partition.partition) }
            }
            groups.append(Found(group: group, positions: positions.sorted()))
        }
        return groups
    }

    private func delete(_ found: Found, _ apus: ApusClient) async throws {
        if self.topic.isEmpty {
            try await apus.groups.delete(found.group.name)
        } else {
            try await apus.groups.deletePositions(of: found.group.name, in: found.positions)
        }
    }

    private func listing(_ groups: [Found], _ failures: [String: ApusError]) -> Listing {
        var listing = Listing([
            .init("name"), .init("kind"), .init("state"), .init("positions", isNumber: true), .init("result"),
        ])
        for found in groups {
            var result = self.dryRun ? "would be deleted" : "deleted"
            if let failure = failures[found.group.name] { result = "failed: \(failure.message)" }
            listing.add([
                .text(found.group.name), .text("\(found.group.kind)"), .text("\(found.group.state)"),
                .count(found.positions.count), .text(result),
            ])
        }
        return listing
    }
}
