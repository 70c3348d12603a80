import ApusCore
import ApusServer
import Foundation
import Logging

/// Servers for one test, on a data directory and a port of their own.
struct ServerBench {
    let directory: TemporaryDirectory

    init() throws {
        self.directory = try TemporaryDirectory()
    }

    var configuration: ServerConfiguration {
        var configuration = ServerConfiguration(dataDirectory: self.directory.file("data"))
        configuration.kafka.port = 0
        configuration.loops = 1
        configuration.diskThreads = 2
        return configuration
    }

    func refusal(_ configuration: ServerConfiguration) async throws -> ServerError {
        do {
            let server = try await ApusServer.start(configuration, logger: Self.logger)
            await server.shutdown()
            throw Unrefused()
        } catch let error as ServerError {
            return error
        }
    }

    private struct Unrefused: Error {}

    /// Runs a server for the time of the body. Answers whether it stopped cleanly.
    @discardableResult
    func serve(
        _ configuration: ServerConfiguration, _ body: (ApusServer) async throws -> Void
    ) async throws -> Bool {
        let server = try await ApusServer.start(configuration, logger: Self.logger)
        do {
            try await body(server)
        } catch {
            await server.shutdown()
            throw error
        }
        return await server.shutdown()
    }

    static let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
}

/// A directory of its own for one test, removed with everything in it when the test lets go.
final class TemporaryDirectory: Sendable {
    let path: String

    init() throws {
        self.path = FileManager.default.temporaryDirectory.appendingPathComponent("apus-server-\(UUID())").path
        try FileManager.default.createDirectory(atPath: self.path, withIntermediateDirectories: false)
    }

    // Nothing depends on a clean temporary directory.
    deinit { try? FileManager.default.removeItem(atPath: self.path) }

    func file(_ name: String) -> String { "\(self.path)/\(name)" }
}
