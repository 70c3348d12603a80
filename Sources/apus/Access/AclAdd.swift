import ApusCore
import ApusClient
import ApusCommand
import ArgumentParser

struct AclAdd: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "add", abstract: "Make rules. One that is there already stays.",
        discussion: """
              apus acl add alice write topic:orders
              apus acl add billing read 'topic:orders-*'
              apus acl add billing read group:billing            what a consumer group takes besides its topics
              apus acl add '*' describe 'topic:*'
              apus acl add alice delete topic:orders --deny
              apus acl add ops all cluster --host 10.0.0.7
            """,
        aliases: ["create"])

    @OptionGroup var arguments: AclArguments
    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let rules = try self.arguments.rules()
        let results = try await self.connection.withClient { try await $0.acls.create(rules) }
        var failure: ApusError?
        let words = results.map { result -> String in
            guard case .failure(let error) = result else { return "made" }
            failure = failure ?? error
            return "failed: \(error.message)"
        }
        try StandardOutput.write(AclText.listing(of: rules, results: words).rendered(as: self.output.format))
        if let failure { throw CommandFailure(failure, servers: try self.connection.choice().servers) }
    }
}
