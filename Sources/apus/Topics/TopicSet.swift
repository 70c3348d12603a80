import ApusClient
import ApusCommand
import ArgumentParser

struct TopicSet: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "set", abstract: "Change settings of a topic: all of them or none.",
        discussion: """
              apus topic set orders retention.ms=7d max.message.bytes=2MiB
              apus topic set orders --unset retention.ms
            """)

    @Argument(help: "Name of the topic.")
    var name: String

    @Argument(
        help: ArgumentHelp("Settings, by their Kafka names.", valueName: "name=value"),
        transform: { text in try parsing { try KeyValue.setting(text) } })
    var settings: [KeyValue] = []

    @Option(help: ArgumentHelp("A setting to give its default again; may be repeated.", valueName: "name"))
    var unset: [String] = []

    @Flag(help: "Check that it would work, change nothing.")
    var dryRun = false

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard !self.settings.isEmpty || !self.unset.isEmpty else {
            throw ValidationError("nothing to change: give name=value or --unset name")
        }
    }

    func run() async throws {
        let changes: [ConfigurationChange] =
            self.settings.map { .set($0.name, $0.value) } + self.unset.map { .remove($0) }
        try await self.connection.withClient { apus in
            try await apus.topics.configure(self.name, changes, validateOnly: self.dryRun)
        }
        var listing = Listing([.init("topic"), .init("setting"), .init("value"), .init("result")])
        let result = Cell.text(self.dryRun ? "would be set" : "set")
        for setting in self.settings {
            listing.add([.text(self.name), .text(setting.name), .text(setting.value), result])
        }
        for name in self.unset {
            listing.add([.text(self.name), .text(name), .nothing, .text(self.dryRun ? "would be unset" : "unset")])
        }
        try StandardOutput.write(listing.rendered(as: self.output.format))
    }
}
