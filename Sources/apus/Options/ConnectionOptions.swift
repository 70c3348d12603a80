import ApusClient
import ApusCommand
import ArgumentParser
import Foundation

/// Which cluster to talk to.
struct ConnectionOptions: ParsableArguments {
    @Option(
        name: [.customShort("s", allowingJoined: true), .long],
        help: ArgumentHelp(
            "Brokers to ask first, with commas between. [env: APUS_SERVER] "
                + "[default: \(ConnectionChoice.serverDefault)]",
            valueName: "host:port"))
    var server: String?

    @Option(
        help: ArgumentHelp(
            "Settings of this name instead: apus context. [env: APUS_CONTEXT] [default: the one in use]",
            valueName: "name"))
    var context: String?

    @Option(
        help: ArgumentHelp(
            "Longest time for one call, retries included. [env: APUS_TIMEOUT] [default: 15s]", valueName: "duration"),
        transform: { text in try parsing { try Quantity.duration(text) } })
    var timeout: Duration?

    @OptionGroup(title: "Safety and login") var security: SecurityOptions

    /// What all sources together say.
    func choice() throws(CommandFailure) -> ConnectionChoice {
        try ConnectionChoice(
            server: self.server, context: self.context, timeout: self.timeout, security: self.security.given,
            environment: ProcessInfo.processInfo.environment,
            contexts: { () throws(CommandFailure) in try ContextFile.read() })
    }

    private func configuration(_ choice: ConnectionChoice) throws -> ClientConfiguration {
        let list = try HostPort.list(choice.servers).map(\.description)
        var configuration = ClientConfiguration(servers: list, clientID: "apus-cli")
        guard let timeout = choice.timeout else {
            // A command line is for a person who waits: a wrong address should be said at once.
            configuration.callTimeout = .seconds(15)
            return configuration
        }
        configuration.callTimeout = timeout
        configuration.requestTimeout = min(configuration.requestTimeout, timeout)
        configuration.connectTimeout = min(configuration.connectTimeout, timeout)
        return configuration
    }

    /// A client for the length of `body`; its errors come out as failures that name these servers.
    func withClient<Result>(
        allowsTopicCreation: Bool = false, _ body: (ApusClient) async throws -> Result
    ) async throws -> Result {
        let choice = try self.choice()
        try await Reachability.check(try HostPort.list(choice.servers), named: choice.servers)
        var configuration = try self.configuration(choice)
        configuration.allowsTopicCreation = allowsTopicCreation
        try configuration.secure(choice.security)
        do {
            return try await ApusClient(configuration).withConnection(body)
        } catch let error as ApusError {
            throw CommandFailure(error, servers: choice.servers)
        }
    }
}
