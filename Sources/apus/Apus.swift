import ApusCommand
import ArgumentParser

/// The `apus` command.
///
/// Standard output carries data, standard error everything else. What is decided here at all is decided in
/// `ApusCommand`; these types parse the command line, call the client or the server, and write.
@main
struct Apus: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apus",
        abstract: "A durable publish-subscribe broker that Kafka clients use unchanged.",
        discussion: """
            First steps, each in its own terminal:
              apus serve
              apus sub hello
              apus pub hello "hi"

            Exit codes: 0 done, 64 wrong usage, 65 bad data, 69 no broker reached, 75 try again, 77 denied, 1 any other.
            What each error means, and what to do next: apus errors.
            """,
        version: Version.current,
        subcommands: [
            Serve.self, Publish.self, Subscribe.self, TopicCommand.self, GroupCommand.self, SubscriptionCommand.self,
            UserCommand.self, AclCommand.self, QuotaCommand.self, Bench.self, LogCommand.self, ContextCommand.self,
            NodeCommand.self, GenerateCommand.self, ErrorsCommand.self,
            VersionCommand.self,
        ]
    )

    static func main() async {
        ProcessStart.note()
        do {
            var command = try Self.parseAsRoot()
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
        } catch {
            Ending.end(with: error)
        }
    }
}

/// `apus version`.
struct VersionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "version", abstract: "Print the version.")

    @OptionGroup var output: OutputOptions

    func run() throws {
        try StandardOutput.write(Version.summary.rendered(as: self.output.format))
    }
}
