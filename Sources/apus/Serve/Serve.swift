import ApusCommand
import ArgumentParser
import Foundation
import Logging
import ServiceLifecycle
import UnixSignals

/// `apus serve`.
struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Run a broker.",
        discussion: """
            With no flags: durable, ./apus-data, for this machine only. SIGTERM and SIGINT end it cleanly; SIGKILL and \
            power cuts lose nothing that was acknowledged.

            Each setting may be a flag, an environment variable or a key of the JSON file named by --config; the first \
            of these wins:
              {"data": "/var/lib/apus", "kafka": "127.0.0.1:9092", "partitions": 3}

            When it is ready it prints a banner on a terminal, else one line of JSON with "event":"ready".
            """
    )

    @OptionGroup var flags: ServeFlags

    @Option(help: ArgumentHelp("JSON file with settings. [env: APUS_CONFIG] [default: none]", valueName: "file"))
    var config: String?

    func run() async throws {
        let environment = ProcessInfo.processInfo.environment
        let settings = try ServeSettings(
            from: await SettingsSources.reader(
                flags: self.flags.given, environment: environment, file: self.config ?? environment["APUS_CONFIG"]))
        LoggingSystem.bootstrap(StreamLogHandler.standardError(label:))
        var logger = Logger(label: "apus")
        logger.logLevel = Logger.Level(rawValue: settings.logLevel) ?? .info
        let group = ServiceGroup(
            configuration: ServiceGroupConfiguration(
                services: [
                    .init(
                        service: BrokerService(settings: settings, logger: logger),
                        successTerminationBehavior: .gracefullyShutdownGroup)
                ],
                gracefulShutdownSignals: [.sigterm, .sigint], cancellationSignals: [.sigquit],
                logger: Logger(label: "apus.signals") { _ in SwiftLogNoOpLogHandler() }))
        try await group.run()
    }
}

/// The settings as flags: optional all, because the environment and the file come after them.
struct ServeFlags: ParsableArguments {
    @Option(help: ArgumentHelp(.init(Setting.help("data")), valueName: "dir"))
    var data: String?
    @Option(help: ArgumentHelp(.init(Setting.help("kafka")), valueName: "host:port"))
    var kafka: String?
    @Option(help: ArgumentHelp(.init(Setting.help("advertise")), valueName: "host:port"))
    var advertise: String?
    @Flag(help: ArgumentHelp(.init(Setting.help("insecure"))))
    var insecure = false
    @Flag(help: ArgumentHelp(.init(Setting.help("data-must-exist"))))
    var dataMustExist = false
    @Option(help: ArgumentHelp(.init(Setting.help("loops")), valueName: "n"))
    var loops: String?
    @Option(help: ArgumentHelp(.init(Setting.help("disk-threads")), valueName: "n"))
    var diskThreads: String?
    @Option(help: ArgumentHelp(.init(Setting.help("auto-create")), valueName: "bool"))
    var autoCreate: String?
    @Option(help: ArgumentHelp(.init(Setting.help("partitions")), valueName: "n"))
    var partitions: String?
    @Option(help: ArgumentHelp(.init(Setting.help("durability")), valueName: "fsync|page-cache"))
    var durability: String?
    @Option(help: ArgumentHelp(.init(Setting.help("request-memory")), valueName: "size"))
    var requestMemory: String?
    @Option(help: ArgumentHelp(.init(Setting.help("tail-cache")), valueName: "size"))
    var tailCache: String?
    @Option(help: ArgumentHelp(.init(Setting.help("free-floor")), valueName: "size"))
    var freeFloor: String?
    @Option(help: ArgumentHelp(.init(Setting.help("options")), valueName: "name=value,…"))
    var options: String?
    @Option(help: ArgumentHelp(.init(Setting.help("log-level")), valueName: "level"))
    var logLevel: String?

    /// What was said, by the name of the setting.
    var given: [String: String] {
        var given: [String: String] = [:]
        let texts: [(String, String?)] = [
            ("data", self.data), ("kafka", self.kafka), ("advertise", self.advertise), ("loops", self.loops),
            ("disk-threads", self.diskThreads), ("auto-create", self.autoCreate), ("partitions", self.partitions),
            ("durability", self.durability), ("request-memory", self.requestMemory), ("tail-cache", self.tailCache),
            ("free-floor", self.freeFloor), ("options", self.options), ("log-level", self.logLevel),
        ]
        for (name, text) in texts { given[name] = text }
        if self.insecure { given["insecure"] = "true" }
        if self.dataMustExist { given["data-must-exist"] = "true" }
        return given
    }
}
