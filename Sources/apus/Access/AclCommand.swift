import ArgumentParser

/// `apus acl …`.
struct AclCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "acl",
        abstract: "Show, make and remove rules: who may do what.",
        discussion: """
            A rule allows or denies a principal (alice, or * for everybody) operations on a resource:
              topic:NAME  group:NAME  transactional-id:NAME  subscription:NAME  cluster
            A star behind a name covers every name that begins so, a star alone every name. A denial wins; what nobody
            allowed is denied. Rules count once the broker asks for logins.

            Operations: all read write create delete alter describe describe-configs alter-configs idempotent-write
            """,
        subcommands: [AclList.self, AclAdd.self, AclRemove.self]
    )
}
