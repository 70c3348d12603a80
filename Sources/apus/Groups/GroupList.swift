import ApusClient
import ApusCommand
import ArgumentParser

struct GroupList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ls", abstract: "List groups.",
        discussion: """
              apus group ls
              apus group ls bill --long
              apus group ls --state empty --kind classic
            """,
        aliases: ["list"])

    @Argument(help: "Only groups whose names begin so.")
    var prefix: String?

    @Flag(name: .shortAndLong, help: "Show members and lag too.")
    var long = false

    @Option(help: ArgumentHelp("Only groups in this state: stable, empty, …; may be repeated.", valueName: "state"))
    var state: [String] = []

    @Option(help: ArgumentHelp("Only groups of this kind: classic or consumer.", valueName: "kind"))
    var kind: String?

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let listing = try await self.connection.withClient { apus in
            let groups = try await apus.groups.list().filter(self.isWanted)
            return try await self.listing(groups, apus)
        }
        try StandardOutput.write(listing.rendered(as: self.output.format))
        if listing.rows.isEmpty, StandardOutput.isTerminal, self.output.format == .table {
            StandardError.write("No groups. One comes to be when a consumer names it.\n")
        }
    }

    private func isWanted(_ group: GroupSummary) -> Bool {
        guard group.name.hasPrefix(self.prefix ?? "") else { return false }
        if let kind = self.kind, group.kind?.rawValue != kind.lowercased() { return false }
        let state = group.state?.rawValue.lowercased() ?? ""
        return self.state.isEmpty || self.state.contains { $0.lowercased() == state }
    }

    private func listing(_ groups: [GroupSummary], _ apus: ApusClient) async throws -> Listing {
        var columns: [Listing.Column] = [
            .init("name"), .init("kind"), .init("state"), .init("protocol"), .init("coordinator", isNumber: true),
        ]
        if self.long {
            columns += [
                .init("members", isNumber: true), .init("partitions", isNumber: true), .init("lag", isNumber: true),
            ]
        }
        var listing = Listing(columns)
        for group in groups {
            var row: [Cell] = [
                .text(group.name), group.kind.map { .text("\($0)") } ?? .nothing,
                group.state.map { .text("\($0)") } ?? .nothing,
                group.protocolType.isEmpty ? .nothing : .text(group.protocolType), .number(group.coordinator.rawValue),
            ]
            if self.long {
                let members = try await Self.description(of: group.name, apus)?.members.count
                let lags = try await apus.groups.lag(of: group.name)
                row += [
                    members.map { .count($0) } ?? .nothing, .count(lags.count),
                    .count(lags.reduce(0) { $0 + ($1.lag ?? 0) }),
                ]
            }
            listing.add(row)
        }
        return listing
    }

    /// nil when it went since it was listed.
    private static func description(of name: String, _ apus: ApusClient) async throws -> GroupDescription? {
        do {
            return try await apus.groups.describe(name)
        } catch let error as ApusError where error.code == .unknownGroup {
            return nil
        }
    }
}
