import ApusCore
import ApusClient
import ApusCommand
import ArgumentParser

struct AclRemove: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rm", abstract: "Remove rules.",
        discussion: """
              apus acl rm alice write topic:orders
              apus acl rm alice delete topic:orders --deny
              apus acl rm alice --all                      every rule that names alice
              apus acl rm alice --all --dry-run
            """,
        aliases: ["delete"])

    @Argument(help: "Who: alice, User:alice, or * for everybody.")
    var principal: String

    @Argument(
        help: "Operations with commas between.", transform: { text in try parsing { try AclText.operations(text) } })
    var operations: [AclRule.Operation]?

    @Argument(
        help: "On what: topic:NAME, group:NAME, cluster, …",
        transform: { text in try parsing { try AclText.resource(text) } })
    var resource: AclRule.Resource?

    @Flag(help: "Rules that deny, not those that allow.")
    var deny = false

    @Option(help: ArgumentHelp("Rules for this address.", valueName: "address"))
    var host = "*"

    @Flag(help: "Every rule of the principal.")
    var all = false

    @Flag(name: .shortAndLong, help: "Do not ask.")
    var yes = false

    @Flag(help: "Show what would go, remove nothing.")
    var dryRun = false

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard self.all == (self.operations == nil), self.all == (self.resource == nil) else {
            throw ValidationError("Name operations and a resource, or say --all for every rule of the principal.")
        }
    }

    func run() async throws {
        let queries = try self.queries()
        try await self.connection.withClient { apus in
            var rules: [AclRule] = []
            for query in queries { rules += try await apus.acls.list(query) }
            if !self.dryRun, !rules.isEmpty {
                if self.all {
                    try Confirmation.ask(
                        toDelete: "all \(rules.count) rules of \(self.principal)", typing: self.principal,
                        unless: self.yes)
                }
                rules = try await apus.acls.delete(queries)
            }
            let word = self.dryRun ? "would be removed" : "removed"
            let listing = AclText.listing(of: rules, results: rules.map { _ in word })
            try StandardOutput.write(listing.rendered(as: self.output.format))
            if rules.isEmpty { throw ApusError(.invalidArgument, "there is no such rule") }
        }
    }

    private func queries() throws -> [AclQuery] {
        let principal = try parsing { try AclText.principal(self.principal) }
        guard let operations = self.operations, let resource = self.resource else {
            var query = AclQuery()
            query.principal = principal
            return [query]
        }
        return operations.map {
            AclQuery(AclRule(self.deny ? .deny : .allow, principal, from: self.host, $0, on: resource))
        }
    }
}
