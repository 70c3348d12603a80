import ApusClient
import ApusCommand
import ArgumentParser

/// `apus quota …`.
struct QuotaCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "quota",
        abstract: "Show, set and remove what users and clients may use a second.",
        discussion: """
            A quota is for a user, a client id, both, or an address; * is whoever has none of its own. Who uses more is
            answered and told to wait.
              in          bytes written        out          bytes read
              time        percent of a thread  partitions   partitions made or removed
              connections new connections from one address
            """,
        subcommands: [QuotaList.self, QuotaSet.self, QuotaRemove.self]
    )
}

/// Whose quota.
struct QuotaOwner: ParsableArguments {
    // Not --user, which says who logs in to ask.
    @Option(help: ArgumentHelp("A user, or * for all others.", valueName: "name"))
    var principal: String?

    @Option(help: ArgumentHelp("What clients call themselves, or * for all others.", valueName: "id"))
    var clientID: String?

    @Option(help: ArgumentHelp("An IP address, or * for all others.", valueName: "address"))
    var address: String?

    func entity() throws -> QuotaEntity {
        try parsing { try QuotaText.entity(user: self.principal, clientID: self.clientID, address: self.address) }
    }
}

struct QuotaList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ls", abstract: "List quotas.", aliases: ["list"])

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let quotas = try await self.connection.withClient { try await $0.quotas.list() }
        try StandardOutput.write(QuotaText.listing(of: quotas).rendered(as: self.output.format))
        if quotas.isEmpty, StandardOutput.isTerminal, self.output.format == .table {
            StandardError.write("No quotas yet. Set one:  apus quota set --principal alice in=10MiB\n")
        }
    }
}

struct QuotaSet: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "set", abstract: "Set quotas, all of them or none.",
        discussion: """
              apus quota set --principal alice in=10MiB out=50MiB
              apus quota set --principal '*' partitions=10
              apus quota set --principal alice --client-id loader in=1MiB
              apus quota set --address 10.0.0.7 connections=5
            """)

    @Argument(help: "What, and how much a second: in=10MiB time=50.")
    var rates: [String]

    @OptionGroup var owner: QuotaOwner
    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let entity = try self.owner.entity()
        let rates = try self.rates.map { text in try parsing { try QuotaText.rate(text) } }
        let wanted = Dictionary(rates.map { ($0.name, $0.rate) }) { _, last in last }
        try await self.connection.withClient { apus in
            try await apus.quotas.alter(entity, wanted.mapValues { $0 })
            let quotas = try await apus.quotas.list().filter { $0.entity == entity }
            try StandardOutput.write(QuotaText.listing(of: quotas).rendered(as: self.output.format))
        }
    }
}

struct QuotaRemove: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rm", abstract: "Remove quotas.",
        discussion: """
              apus quota rm --principal alice       all that alice has of her own
              apus quota rm --principal alice in out
            """,
        aliases: ["delete"])

    @Argument(help: "Which: in, out, time, partitions, connections. None: all.")
    var kinds: [String] = []

    @OptionGroup var owner: QuotaOwner
    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let entity = try self.owner.entity()
        let named = try self.kinds.map { text in try parsing { try QuotaText.name(text) } }
        try await self.connection.withClient { apus in
            let known = try await apus.quotas.list().first { $0.entity == entity }
            let gone = named.isEmpty ? known?.rates.keys.sorted() ?? [] : named
            guard let known, gone.allSatisfy({ known.rates[$0] != nil }) else {
                throw ApusError(.invalidArgument, "there is no such quota")
            }
            try await apus.quotas.alter(entity, Dictionary(uniqueKeysWithValues: Set(gone).map { ($0, nil) }))
            let quotas = try await apus.quotas.list().filter { $0.entity == entity }
            try StandardOutput.write(QuotaText.listing(of: quotas).rendered(as: self.output.format))
        }
    }
}
