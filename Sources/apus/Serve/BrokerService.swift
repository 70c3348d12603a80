import ApusCommand
import ApusCore
import ApusServer
import Foundation
import Logging
import ServiceLifecycle

/// The broker as a service: starts, says that it is ready, and stops when told to.
struct BrokerService: Service {
    let settings: ServeSettings
    let logger: Logger

    func run() async throws {
        let server: ApusServer
        do {
            server = try await ApusServer.start(ServerConfiguration(self.settings), logger: self.logger)
        } catch {
            throw CommandFailure(error)
        }
        do {
            try self.announce(server)
            try await gracefulShutdown()
        } catch {
            await server.shutdown()
            throw error
        }
        guard await server.shutdown() else {
            throw CommandFailure(
                .failure, code: "unclean_stop", "the broker did not stop cleanly; the next start will check and repair",
                next: "the log lines above say what failed")
        }
    }

    private func announce(_ server: ApusServer) throws {
        let banner = Banner(
            version: Version.current, data: self.settings.data, isNew: server.recovery.isNew,
            broker: server.brokerID.rawValue, process: getpid(),
            kafka: HostPort(host: server.kafka.host, port: server.kafka.port),
            readyAfter: Instant.now.since(ProcessStart.moment), topics: server.recovery.topics,
            partitions: server.recovery.partitions, durability: self.settings.durabilityDefault)
        if StandardOutput.isTerminal {
            let palette = Palette(isTerminal: true, environment: ProcessInfo.processInfo.environment)
            try StandardOutput.write(banner.text(in: palette))
        } else {
            try StandardOutput.write(banner.json.compact + "\n")
        }
    }
}

extension ServerConfiguration {
    init(_ settings: ServeSettings) {
        self.init(dataDirectory: settings.data)
        self.dataMustExist = settings.dataMustExist
        self.kafka = ServerAddress(host: settings.kafka.host, port: settings.kafka.port)
        self.advertised = settings.advertise.map { ServerAddress(host: $0.host, port: $0.port) }
        self.isInsecure = settings.isInsecure
        self.loops = settings.loops == 0 ? nil : settings.loops
        self.diskThreads = settings.diskThreads
        self.requestMemory = settings.requestMemory
        self.tailCache = settings.tailCache
        self.freeBytesFloor = settings.freeBytesFloor
        self.createsTopics = settings.createsTopics
        self.partitionsDefault = settings.partitionsDefault
        self.durabilityDefault = Durability(rawValue: settings.durabilityDefault) ?? .fsync
        self.options = settings.options
    }
}

extension CommandFailure {
    /// Why a broker did not start. The server's own message says which flag changes it.
    init(_ error: ServerError) {
        let exit: Exit =
            switch error.code {
            case .configuration: .usage
            case .publicAddress: .denied
            case .dataRefused: .badData
            default: error.isRetryable ? .retryable : .failure
            }
        self.init(exit, code: error.code.description, error.message)
    }
}
