import ApusClient
import ApusCommand
import ApusServer
import Foundation
import Logging
import ServiceLifecycle
import UnixSignals

/// An endpoint server as a service: starts, says that it is ready, and when told to stop drains first.
struct EndpointService: Service {
    let settings: ServeSettings
    let upstream: UpstreamSettings
    let logger: Logger

    func run() async throws {
        let server: EndpointServer
        do {
            var client = ClientConfiguration(servers: self.upstream.servers, clientID: "apus-edge")
            client.allowsTopicCreation = false
            try client.secure(self.upstream.security)
            server = try await EndpointServer.start(
                ServerConfiguration(self.settings), upstream: client, logger: self.logger)
        } catch let error as ServerError {
            throw CommandFailure(error)
        }
        do {
            try StandardOutput.write(self.announcement(server).compact + "\n")
            try await self.serve(server)
        } catch {
            await server.shutdown()
            throw error
        }
        await server.shutdown()
    }

    private func announcement(_ server: EndpointServer) -> JSON {
        .object([
            ("event", .string("ready")), ("role", .string("edge")), ("version", .string(Version.current)),
            ("pid", .integer(Int64(getpid()))), ("cluster", .string(server.clusterID)),
            ("http", .string("\(server.http)")),
            ("upstream", .array(self.upstream.servers.map { .string($0) })),
        ])
    }

    /// Until it is told to stop. Files behind TLS and tokens are read again at once on SIGHUP.
    private func serve(_ server: EndpointServer) async throws {
        let hangups = await UnixSignalsSequence(trapping: .sighup)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { for await _ in hangups { server.reload() } }
            try await gracefulShutdown()
            group.cancelAll()
        }
    }
}
