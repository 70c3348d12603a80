import ArgumentParser

/// `apus log …`.
struct LogCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "log", abstract: "Look into a data directory.", subcommands: [LogDump.self])
}
