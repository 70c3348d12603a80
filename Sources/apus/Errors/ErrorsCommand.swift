import ApusCommand
import ApusServer
import ArgumentParser

/// `apus errors`.
struct ErrorsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "errors",
        abstract: "Every error, what it means, and what to do next.",
        discussion: """
              apus errors                              the words that commands end with
              apus errors --kafka                      the errors that brokers answer with
              apus errors --web                        the problems that HTTP and WebSockets answer with
              apus errors topic_exists                 one of them: a word, a name of the protocol's,
              apus errors MESSAGE_TOO_LARGE            or its number
              apus errors 56

            The words stand as "code" in the errors of -o json. They, and the exit codes, never change.
            """
    )

    @Argument(help: "Only this one.")
    var code: String?

    @Flag(help: "Those of the Kafka protocol, by number.")
    var kafka = false

    @Flag(help: "Those of HTTP and WebSockets, by code.")
    var web = false

    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard self.code == nil || !(self.kafka || self.web) else {
            throw ValidationError("--kafka and --web list all: name no code with them")
        }
        guard !(self.kafka && self.web) else { throw ValidationError("either --kafka or --web") }
    }

    func run() throws {
        guard let code = self.code else {
            let listing =
                self.web
                ? Self.listing(web: WebProblem.all)
                : self.kafka ? Self.listing(kafka: ErrorGuide.kafkaEntries) : Self.listing(ErrorGuide.entries)
            return try StandardOutput.write(listing.rendered(as: self.output.format))
        }
        let found = try ErrorGuide.find(code)
        var summary = Summary()
        if !found.kafka.isEmpty { summary.add("kafka", "", Self.listing(kafka: found.kafka)) }
        if !found.entries.isEmpty { summary.add("errors", "", Self.listing(found.entries)) }
        try StandardOutput.write(summary.rendered(as: self.output.format))
    }

    private static func listing(_ entries: [ErrorGuide.Entry]) -> Listing {
        var listing = Listing([
            .init("code"), .init("exit", isNumber: true), .init("meaning"), .init("next", "WHAT TO DO NEXT"),
        ])
        for entry in entries {
            listing.add([.text(entry.code), .number(entry.exit.rawValue), .text(entry.meaning), .text(entry.next)])
        }
        return listing
    }

    private static func listing(web problems: [WebProblem]) -> Listing {
        var listing = Listing([
            .init("code"), .init("status", isNumber: true), .init("kafka", isNumber: true), .init("retryable"),
            .init("meaning"),
        ])
        for problem in problems {
            listing.add([
                .text(problem.code), .number(problem.status),
                problem.kafkaError.map { .number($0) } ?? Cell(.null, text: "-"), .flag(problem.isRetryable),
                .text(problem.title),
            ])
        }
        return listing
    }

    private static func listing(kafka entries: [ErrorGuide.KafkaEntry]) -> Listing {
        var listing = Listing([
            .init("number", isNumber: true), .init("name"), .init("retryable"), .init("code"), .init("meaning"),
            .init("next", "WHAT TO DO NEXT"),
        ])
        for entry in entries {
            listing.add([
                .number(entry.number), .text(entry.name), .flag(entry.isRetryable),
                .text(entry.code), entry.meaning.map { .text($0) } ?? Cell(.null, text: "not sent by Apus"),
                .text(entry.next),
            ])
        }
        return listing
    }
}
