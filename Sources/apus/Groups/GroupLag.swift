import ApusClient
import ApusCommand
import ArgumentParser

extension LagTable.Grain: ExpressibleByArgument {}

/// `apus group lag`.
struct GroupLagCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lag", abstract: "Show how far behind groups are, the farthest first.",
        discussion: """
              apus group lag                                 each group
              apus group lag billing                         each topic of one
              apus group lag --by partition --top 20         the 20 worst partitions
              apus group lag -o raw | cut -f1,4              names and sums

            Lag is the number of offsets from the committed position to the end. UNKNOWN counts partitions without a \
            position, or that are gone.
            """)

    @Argument(help: "Names of the groups. [default: all]")
    var names: [String] = []

    @Option(help: "What a row stands for: group, topic or partition. [default: group; topic, with names]")
    var by: LagTable.Grain?

    @Option(help: ArgumentHelp("Only the first so many rows.", valueName: "count"))
    var top: Int?

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        if let top = self.top, top < 1 { throw ValidationError("--top must be 1 or more") }
    }

    func run() async throws {
        let table = try await self.connection.withClient { apus in
            var table = LagTable(by: self.by ?? (self.names.isEmpty ? .group : .topic))
            var names = self.names
            if names.isEmpty { names = try await apus.groups.list().map(\.name) }
            for name in names {
                let lags = try await apus.groups.lag(of: name)
                // A name that was typed wrong has no positions either.
                if lags.isEmpty, !self.names.isEmpty { _ = try await apus.groups.describe(name) }
                table.add(lags, of: name)
            }
            return table
        }
        try StandardOutput.write(table.listing(first: self.top ?? .max).rendered(as: self.output.format))
    }
}
