import ApusClient
import ApusCommand
import ApusCore
import ArgumentParser

struct TopicReaders: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "readers", abstract: "Show who has read a record, and who is still to.",
        discussion: """
              apus topic readers orders --partition 0 --offset 4711
              apus topic readers orders --offset 4711 -o json

            A subscription has read what is below its committed position.
            """)

    @Argument(help: "Name of the topic.")
    var name: String

    @Option(name: .shortAndLong, help: "The partition.")
    var partition: Int32 = 0

    @Option(parsing: .unconditional, help: "The record's offset.")
    var offset: Int64

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let count = try await self.connection.withClient { apus in
            try await apus.subscriptions.readers(
                of: Offset(rawValue: self.offset), topic: self.name, partition: PartitionIndex(rawValue: self.partition)
            )
        }
        guard self.output.format != .table else { return try StandardOutput.write(count.text + "\n") }
        var summary = Summary()
        summary.add("topic", "Topic", .text(self.name))
        summary.add("partition", "Partition", .number(self.partition))
        summary.add("offset", "Offset", .number(self.offset))
        summary.add("subscriptions", "Subscriptions", .count(count.subscriptions))
        summary.add("read", "Have read it", .count(count.read))
        summary.add("waiting", "Still to read it", .count(count.waiting))
        summary.add("late", "Too late", .count(count.late))
        summary.add("waiting_for", "Waiting for", .names(count.waitingFor))
        summary.add("missed_by", "Missed by", .names(count.missedBy))
        summary.add("text", "In words", .text(count.text))
        try StandardOutput.write(summary.rendered(as: self.output.format))
    }
}
