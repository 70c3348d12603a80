import ApusClient
import ApusCommand
import ApusCore
import ArgumentParser

struct TopicOffsets: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "offsets", abstract: "Show which offset a position or a time is, in each partition.",
        discussion: """
              apus topic offsets orders                     behind the newest record
              apus topic offsets orders --at @-2h           the first record of the last two hours
              apus topic offsets orders --at -100

            Positions are those of apus sub. A time behind the newest record has no offset yet.
            """)

    @Argument(help: "Name of the topic.")
    var name: String

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "start, end, an offset, -100, +5, @2026-11-20T10:00 or @-2h. [default: end]", valueName: "position"),
        transform: { text in try parsing { try Position(text) } })
    var at: Position?

    @Option(name: .shortAndLong, help: "Only this partition; may be repeated.")
    var partition: [Int32] = []

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let position = self.at ?? .end
        let only = self.partition.isEmpty ? nil : self.partition.map(PartitionIndex.init(rawValue:))
        var listing = Listing([
            .init("partition", isNumber: true), .init("start", isNumber: true), .init("end", isNumber: true),
            .init("offset", isNumber: true), .init("timestamp"),
        ])
        try await self.connection.withClient { apus in
            let starts = try await apus.topics.offsets(of: self.name, partitions: only, at: .start)
            let ends = try await apus.topics.offsets(of: self.name, partitions: only, at: .end)
            let timed: [PartitionIndex: OffsetDescription]? =
                if let time = position.time(at: .now) {
                    try await apus.topics.offsets(of: self.name, partitions: only, at: .time(time))
                } else {
                    nil
                }
            for (partition, end) in ends.sorted(by: { $0.key < $1.key }) {
                let (start, end) = (starts[partition]?.offset ?? .zero, end.offset)
                let offset = timed.map { $0[partition]?.offset } ?? position.offset(start: start, end: end)
                let timestamp = timed?[partition]?.timestamp
                listing.add([
                    .number(partition.rawValue), .number(start.rawValue), .number(end.rawValue),
                    offset.map { .number($0.rawValue) } ?? .nothing,
                    timestamp.map { .text(CivilTime($0).text) } ?? .nothing,
                ])
            }
        }
        try StandardOutput.write(listing.rendered(as: self.output.format))
    }
}
