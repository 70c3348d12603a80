import ApusClient
import ApusCommand
import ApusCore
import ArgumentParser

struct TopicTrim: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trim", abstract: "Delete the oldest records of a topic, before a position.",
        discussion: """
              apus topic trim orders --before @-7d          records older than a week
              apus topic trim orders --before -1000         all but the newest 1000
              apus topic trim orders --before end           all

            Positions hold in each partition. They are those of apus sub.
            """)

    @Argument(help: "Name of the topic.")
    var name: String

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("end, an offset, -100, +5, @2026-11-20T10:00 or @-2h.", valueName: "position"),
        transform: { text in try parsing { try Position(text) } })
    var before: Position

    @Option(name: .shortAndLong, help: "Only this partition; may be repeated.")
    var partition: [Int32] = []

    @Flag(name: .shortAndLong, help: "Do not ask.")
    var yes = false

    @Flag(help: "Show what would go, delete nothing.")
    var dryRun = false

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        try await self.connection.withClient { apus in
            let only = self.partition.isEmpty ? nil : self.partition.map(PartitionIndex.init(rawValue:))
            let starts = try await apus.topics.offsets(of: self.name, partitions: only, at: .start).mapValues(\.offset)
            let ends = try await apus.topics.offsets(of: self.name, partitions: only, at: .end).mapValues(\.offset)
            let cuts = try await self.cuts(apus, only, starts, ends)
            var listing = Listing([
                .init("partition", isNumber: true), .init("start", isNumber: true),
                .init("new_start", isNumber: true), .init("records", isNumber: true),
            ])
            for (partition, cut) in cuts.sorted(by: { $0.key < $1.key }) {
                let start = starts[partition] ?? .zero
                listing.add([
                    .number(partition.rawValue), .number(start.rawValue), .number(cut.rawValue),
                    .count(cut.rawValue - start.rawValue),
                ])
            }
            if !self.dryRun, !cuts.isEmpty {
                try Confirmation.ask(
                    toDelete: "the oldest records of \(self.name)", typing: self.name, unless: self.yes)
                try await apus.topics.trim(self.name, before: cuts.mapValues(Optional.some))
            }
            try StandardOutput.write(listing.rendered(as: self.output.format))
        }
    }

    /// The new start of each partition that loses something.
    private func cuts(
        _ apus: ApusClient, _ only: [PartitionIndex]?, _ starts: [PartitionIndex: Offset],
        _ ends: [PartitionIndex: Offset]
    ) async throws -> [PartitionIndex: Offset] {
        let times: [PartitionIndex: Offset]? =
            if let time = self.before.time(at: .now) {
                try await apus.topics.offsets(of: self.name, partitions: only, at: .time(time)).mapValues(\.offset)
            } else {
                nil
            }
        var cuts: [PartitionIndex: Offset] = [:]
        for (partition, end) in ends {
            let start = starts[partition] ?? .zero
            // A time behind the newest record has no offset: everything is older.
            let wanted = times.map { $0[partition] ?? end } ?? self.before.offset(start: start, end: end)
            let cut = min(max(wanted, start), end)
            if cut > start { cuts[partition] = cut }
        }
        return cuts
    }
}
