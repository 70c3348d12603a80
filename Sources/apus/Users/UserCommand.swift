import ApusClient
import ApusCommand
import ArgumentParser

/// `apus user …`.
struct UserCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "user",
        abstract: "Users and their passwords (SCRAM).",
        discussion: """
              apus user add alice                          asks for the password
              apus user add ci --new-password-file ci.txt
              apus user ls
            What a user may do: apus acl. The first one is made by apus serve --bootstrap-user.
            """,
        subcommands: [UserAdd.self, UserSetPassword.self, UserList.self, UserRemove.self]
    )
}

/// Where a new password comes from: never from the command line.
struct NewPasswordOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "File with the new password on its first line; - is standard input. [default: you are asked]",
            valueName: "file"))
    var newPasswordFile: String?

    @Option(help: ArgumentHelp("Rounds of hashing, 4096 to 1000000. [default: 16384]", valueName: "n"))
    var iterations: Int?

    func password(of user: String) throws(CommandFailure) -> String {
        switch self.newPasswordFile {
        case nil: return try PasswordPrompt.askForNew("New password of \(user): ")
        case "-":
            guard let line = readLine() else { throw .usage("there is no password on standard input") }
            return line
        case let file?: return try SecretFile.line(of: file)
        }
    }
}

struct UserAdd: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "add", abstract: "Add a user.", aliases: ["create"])

    @Argument(help: "Name of the user.")
    var name: String

    @OptionGroup var new: NewPasswordOptions
    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        try await self.connection.withClient { apus in
            guard try await apus.users.describe(self.name) == nil else {
                throw CommandFailure(
                    .failure, code: "user_exists", "there is a user \(self.name)",
                    next: "apus user set-password \(self.name)")
            }
            let password = try self.new.password(of: self.name)
            try await apus.users.setPassword(password, of: self.name, iterations: self.new.iterations)
        }
        try UserList.show([(self.name, "added")], as: self.output.format)
    }
}

struct UserSetPassword: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "set-password", abstract: "Give a user another password, from the next login on.")

    @Argument(help: "Name of the user.")
    var name: String

    @OptionGroup var new: NewPasswordOptions
    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        try await self.connection.withClient { apus in
            guard try await apus.users.describe(self.name) != nil else { throw UserList.unknown(self.name) }
            let password = try self.new.password(of: self.name)
            try await apus.users.setPassword(password, of: self.name, iterations: self.new.iterations)
        }
        try UserList.show([(self.name, "changed")], as: self.output.format)
    }
}

struct UserList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ls", abstract: "List users with a password.", aliases: ["list"])

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let users = try await self.connection.withClient { apus in try await apus.users.list() }
        var listing = Listing([.init("name"), .init("mechanisms"), .init("iterations", isNumber: true)])
        for user in users {
            listing.add([
                .text(user.name), .text(user.iterations.keys.sorted().joined(separator: ", ")),
                user.iterations.values.min().map { .count($0) } ?? .nothing,
            ])
        }
        try StandardOutput.write(listing.rendered(as: self.output.format))
    }

    static func show(_ results: [(name: String, result: String)], as format: OutputFormat) throws {
        var listing = Listing([.init("name"), .init("result")])
        for (name, result) in results { listing.add([.text(name), .text(result)]) }
        try StandardOutput.write(listing.rendered(as: format))
    }

    static func unknown(_ name: String) -> CommandFailure {
        CommandFailure(
            .failure, code: "unknown_user", "there is no user \(name) with a password", next: "apus user ls shows them")
    }
}

struct UserRemove: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rm", abstract: "Take users' passwords away. Their rules and their topics stay.",
        aliases: ["delete"])

    @Argument(help: "Names of the users.")
    var names: [String]

    @Flag(name: .shortAndLong, help: "Do not ask.")
    var yes = false

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        try await self.connection.withClient { apus in
            var users: [UserAdmin.Description] = []
            // Asked for before anything is removed: one wrong name stops all.
            for name in self.names {
                guard let user = try await apus.users.describe(name) else { throw UserList.unknown(name) }
                users.append(user)
            }
            for user in users {
                try Confirmation.ask(toDelete: "the password of \(user.name)", typing: user.name, unless: self.yes)
            }
            for user in users { try await apus.users.remove(user) }
        }
        try UserList.show(self.names.map { ($0, "removed") }, as: self.output.format)
    }
}
