import ApusClient
import ApusCommand
import ArgumentParser
import Foundation

/// Which cluster to talk to.
struct ConnectionOptions: ParsableArguments {
    @Option(
        name: [.customShort("s", allowingJoined: true), .long],
        help: ArgumentHelp(
            "Brokers to ask first, with commas between. [env: APUS_SERVER] [default: \(Self.fallback)]",
            valueName: "host:port"))
    var server: String?

    @Option(
        help: ArgumentHelp(
            "Longest time for one call, retries included. [env: APUS_TIMEOUT] [default: 15s]", valueName: "duration"),
        transform: { text in try parsing { try Quantity.duration(text) } })
    var timeout: Duration?

    private static let fallback = "127.0.0.1:9092"

    /// The servers as the user would name them, for error messages.
    static var named: String { ProcessInfo.processInfo.environment["APUS_SERVER"] ?? Self.fallback }

    /// The address list as it was given.
    var servers: String { self.server ?? Self.named }

    /// What was asked for; nil for the default.
    private var patience: Duration? {
        get throws {
            if let timeout = self.timeout { return timeout }
            return try ProcessInfo.processInfo.environment["APUS_TIMEOUT"].map { try Quantity.duration($0) }
        }
    }

    func configuration() throws -> ClientConfiguration {
        let list = try HostPort.list(self.servers).map(\.description)
        var configuration = ClientConfiguration(servers: list, clientID: "apus-cli")
        if let timeout = try self.patience {
            configuration.callTimeout = timeout
            configuration.requestTimeout = min(configuration.requestTimeout, timeout)
            configuration.connectTimeout = min(configuration.connectTimeout, timeout)
        }
        return configuration
    }

    /// A client for the length of `body`; its errors come out as failures that name these servers.
    func withClient<Result>(
        allowsTopicCreation: Bool = false, _ body: (ApusClient) async throws -> Result
    ) async throws -> Result {
        try await Reachability.check(try HostPort.list(self.servers), named: self.servers)
        var configuration = try self.configuration()
        configuration.allowsTopicCreation = allowsTopicCreation
        // A command line is for a person who waits: a wrong address should be said at once.
        if try self.patience == nil { configuration.callTimeout = .seconds(15) }
        do {
            return try await ApusClient(configuration).withConnection(body)
        } catch let error as ApusError {
            throw CommandFailure(error, servers: self.servers)
        }
    }
}
