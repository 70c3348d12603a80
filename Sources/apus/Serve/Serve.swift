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
        abstract: "Run a broker, or an endpoint server.",
        discussion: """
            With no flags: durable, ./apus-data, for this machine only. SIGTERM and SIGINT end it cleanly; SIGKILL and \
            power cuts lose nothing that was acknowledged.

            With --roles edge --upstream HOST:PORT it is an endpoint server alone: it serves WebSockets and event \
            streams, reads from brokers, and keeps nothing itself.

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
        let service: any Service =
            if let upstream = settings.upstream {
                EndpointService(settings: settings, upstream: upstream, logger: logger)
            } else {
                BrokerService(settings: settings, logger: logger)
            }
        let group = ServiceGroup(
            configuration: ServiceGroupConfiguration(
                services: [.init(service: service, successTerminationBehavior: .gracefullyShutdownGroup)],
                gracefulShutdownSignals: [.sigterm, .sigint], cancellationSignals: [.sigquit],
                logger: Logger(label: "apus.signals") { _ in SwiftLogNoOpLogHandler() }))
        try await group.run()
    }
}
