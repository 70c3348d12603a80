import ArgumentParser

/// `apus group …`.
struct GroupCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "group",
        abstract: "Show consumer groups, how far behind they are, and move their positions.",
        discussion: """
              apus group ls
              apus group describe billing
              apus group lag
              apus group seek billing --to-time -2h              shows what would change
              apus group seek billing --to-time -2h --execute    changes it
              apus group rm billing
            """,
        subcommands: [GroupList.self, GroupDescribe.self, GroupLagCommand.self, GroupSeek.self, GroupRemove.self]
    )
}
