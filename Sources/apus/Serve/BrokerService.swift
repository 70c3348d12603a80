import ApusCommand
import ApusCore
import ApusServer
import Foundation
import Logging
import ServiceLifecycle
import UnixSignals

/// The broker as a service: starts, says that it is ready, and stops when told to.
struct BrokerService: Service {
    let settings: ServeSettings
    let logger: Logger

    func run() async throws {
        let server: ApusServer
        do {
            let configuration = try ServerConfiguration(self.settings)
            server = try await ApusServer.start(configuration, logger: self.logger)
        } catch let error as ServerError {
            throw CommandFailure(error)
        }
        do {
            try self.announce(server)
            try await self.serve(server)
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

    /// Until it is told to stop. Files behind TLS and tokens are read again when they change, and at once on SIGHUP.
    private func serve(_ server: ApusServer) async throws {
        let security = self.settings.security
        guard security.certificateFile != nil || security.tokenKeys != nil else { return try await gracefulShutdown() }
        let hangups = await UnixSignalsSequence(trapping: .sighup)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { for await _ in hangups { server.reload() } }
            try await gracefulShutdown()
            group.cancelAll()
        }
    }

    private func announce(_ server: ApusServer) throws {
        let banner = Banner(
            version: Version.current, data: self.settings.data, isNew: server.recovery.isNew,
            broker: server.brokerID.rawValue, process: getpid(),
            kafka: HostPort(host: server.kafka.host, port: server.kafka.port),
            http: server.http.map { HostPort(host: $0.host, port: $0.port) },
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
    init(_ settings: ServeSettings) throws(CommandFailure) {
        self.init(dataDirectory: settings.data)
        self.dataMustExist = settings.dataMustExist
        self.kafka = ServerAddress(host: settings.kafka.host, port: settings.kafka.port)
        switch settings.http {
        case .automatic:
            self.http = ServerAddress(host: WebAddress.usual.host, port: WebAddress.usual.port)
            self.doesWithoutHTTP = true
        case .nowhere: self.http = nil
        case .at(let address): self.http = ServerAddress(host: address.host, port: address.port)
        }
        self.version = Version.current
        self.httpOrigins = settings.httpOrigins
        self.deflatesWebSockets = settings.deflatesWebSockets
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
        self.drainGrace = settings.drainGrace
        self.connectionsMax = settings.connectionsMax
        self.connectionsPerAddressMax = settings.connectionsPerAddressMax
        self.options = settings.options
        self.authentication = try Authentication(settings.security)
        self.tls = TLS(settings.security)
    }
}

extension ServerConfiguration.Authentication {
    fileprivate init(_ settings: SecuritySettings) throws(CommandFailure) {
        self.init()
        self.mechanisms = Set(settings.mechanisms.compactMap { Mechanism(rawValue: $0) })
        self.allowsScramInClear = settings.allowsScramInClear
        self.sessionLifetimeMax = settings.sessionLifetimeMax
        self.superUsers = Set(settings.superUsers)
        if let keys = settings.tokenKeys {
            self.tokens = [
                ServerConfiguration.TokenIssuer(
                    name: settings.tokenIssuer, audiences: Set(settings.tokenAudiences), keys: keys)
            ]
        }
        if let name = settings.firstUser, let file = settings.firstPasswordFile {
            let password = try SecretFile.line(of: file)
            self.firstUser = ServerConfiguration.FirstUser(name: name, password: password)
        }
    }
}

extension ServerConfiguration.TLS {
    fileprivate init?(_ settings: SecuritySettings) {
        guard let certificate = settings.certificateFile, let key = settings.keyFile else { return nil }
        self.init(certificateFile: certificate, keyFile: key)
        self.clientAuthorityFile = settings.clientAuthorityFile
        self.clientCertificate = ClientCertificate(rawValue: settings.clientCertificate) ?? .none
        self.principal = PrincipalSource(rawValue: settings.principal) ?? .subject
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
