import ApusCommand
import ArgumentParser

/// `apus context …`.
struct ContextCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "context",
        abstract: "Name sets of connection settings and choose among them.",
        discussion: """
              apus context add staging --server 10.0.0.7:9092,10.0.0.8:9092 --timeout 5s
              apus context add prod --server kafka.example.com:9092 --tls --user alice --password-file ~/.alice
              apus context use staging                 from now on
              apus topic ls --context staging          this once

            The first of these that is there counts: --server, --context, APUS_SERVER, APUS_CONTEXT, the context in \
            use, 127.0.0.1:9092. They are kept in ~/.config/apus/contexts.json.
            """,
        subcommands: [ContextAdd.self, ContextUse.self, ContextList.self, ContextRemove.self]
    )
}

struct ContextAdd: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "add", abstract: "Add a context, or change the one of that name.", aliases: ["create"])

    @Argument(help: "Name of the context.")
    var name: String

    @Option(
        name: [.customShort("s", allowingJoined: true), .long],
        help: ArgumentHelp("Brokers to ask first, with commas between.", valueName: "host:port"))
    var server: String

    @Option(help: ArgumentHelp("Longest time for one call, retries included. [default: 15s]", valueName: "duration"))
    var timeout: String?

    @Flag(help: "Use it from now on.")
    var use = false

    @OptionGroup(title: "Safety and login") var security: SecurityOptions

    @OptionGroup var output: OutputOptions

    func run() throws {
        var contexts = try ContextFile.read()
        let isNew = try contexts.add(
            self.name, Contexts.Context(server: self.server, timeout: self.timeout, security: self.security.absolute))
        if self.use { try contexts.use(self.name) }
        try ContextFile.write(contexts)
        try contexts.show(self.name, result: isNew ? "added" : "changed", as: self.output.format)
    }
}

struct ContextUse: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "use", abstract: "Use a context from now on.", aliases: ["select"])

    @Argument(help: "Name of the context.")
    var name: String

    @OptionGroup var output: OutputOptions

    func run() throws {
        var contexts = try ContextFile.read()
        try contexts.use(self.name)
        try ContextFile.write(contexts)
        try contexts.show(self.name, result: "in use", as: self.output.format)
    }
}

struct ContextList: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ls", abstract: "List contexts.", aliases: ["list"])

    @OptionGroup var output: OutputOptions

    func run() throws {
        let contexts = try ContextFile.read()
        var listing = Listing([
            .init("name"), .init("server"), .init("timeout"), .init("in_use"), .init("tls"), .init("user"),
        ])
        for (name, context) in contexts.all.sorted(by: { $0.key < $1.key }) {
            listing.add([
                .text(name), .text(context.server), context.timeout.map { .text($0) } ?? .nothing,
                .flag(name == contexts.current), .flag(context.security.usesTLS),
                context.security.user.map { .text($0) } ?? .nothing,
            ])
        }
        try StandardOutput.write(listing.rendered(as: self.output.format))
        if listing.rows.isEmpty, StandardOutput.isTerminal, self.output.format == .table {
            StandardError.write("No contexts yet. Make one:  apus context add staging --server HOST:PORT\n")
        }
    }
}

struct ContextRemove: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rm", abstract: "Forget a context. The cluster is not touched.", aliases: ["delete"])

    @Argument(help: "Name of the context.")
    var name: String

    @OptionGroup var output: OutputOptions

    func run() throws {
        var contexts = try ContextFile.read()
        let context = try contexts.named(self.name)
        try contexts.remove(self.name)
        try ContextFile.write(contexts)
        try Contexts.show(self.name, context, result: "removed", as: self.output.format)
    }
}

extension Contexts {
    fileprivate func show(_ name: String, result: String, as format: OutputFormat) throws {
        try Self.show(name, try self.named(name), result: result, as: format)
    }

    fileprivate static func show(_ name: String, _ context: Context, result: String, as format: OutputFormat) throws {
        var listing = Listing([.init("name"), .init("server"), .init("timeout"), .init("result")])
        listing.add([
            .text(name), .text(context.server), context.timeout.map { .text($0) } ?? .nothing, .text(result),
        ])
        try StandardOutput.write(listing.rendered(as: format))
    }
}
