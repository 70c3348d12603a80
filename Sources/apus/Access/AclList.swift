import ApusCore
import ApusClient
import ApusCommand
import ArgumentParser

struct AclList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ls", abstract: "List rules.",
        discussion: """
              apus acl ls
              apus acl ls alice                    rules that name alice
              apus acl ls --for topic:orders       every rule that decides about orders
            """,
        aliases: ["list"])

    @Argument(help: "Only rules of this principal.")
    var principal: String?

    @Option(
        name: .customLong("for"),
        help: ArgumentHelp("Only rules that decide about this resource.", valueName: "resource"),
        transform: { text in try parsing { try AclText.resource(text) } })
    var resource: AclRule.Resource?

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        var query = AclQuery()
        query.principal = try self.principal.map { text in try parsing { try AclText.principal(text) } }
        if let resource = self.resource {
            query.kind = resource.kind
            query.name = resource.name
            query.matchesName = !resource.isPrefix
            if resource.isPrefix { query.isPrefix = true }
        }
        let rules = try await self.connection.withClient { try await $0.acls.list(query) }
        try StandardOutput.write(AclText.listing(of: rules).rendered(as: self.output.format))
        if rules.isEmpty, StandardOutput.isTerminal, self.output.format == .table {
            StandardError.write("No such rules. Make one:  apus acl add alice read,write topic:hello\n")
        }
    }
}

/// A rule for each operation, as it is typed.
struct AclArguments: ParsableArguments {
    @Argument(help: "Who: alice, User:alice, or * for everybody.")
    var principal: String

    @Argument(
        help: "Operations with commas between: read,write.",
        transform: { text in try parsing { try AclText.operations(text) } })
    var operations: [AclRule.Operation]

    @Argument(
        help: "On what: topic:NAME, group:NAME, cluster, …; topic:orders-* for all that begin so.",
        transform: { text in try parsing { try AclText.resource(text) } })
    var resource: AclRule.Resource

    @Flag(help: "Deny instead of allow.")
    var deny = false

    @Option(help: ArgumentHelp("Only from this IP address.", valueName: "address"))
    var host = "*"

    func rules() throws -> [AclRule] {
        let principal = try parsing { try AclText.principal(self.principal) }
        return self.operations.map {
            AclRule(self.deny ? .deny : .allow, principal, from: self.host, $0, on: self.resource)
        }
    }
}
