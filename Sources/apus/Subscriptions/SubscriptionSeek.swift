import ApusClient
import ApusCommand
import ApusCore
import ArgumentParser

struct SubscriptionSeek: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "seek",
        abstract: "Move a subscription to other positions. Without --execute, show what would change.",
        discussion: """
              apus subscription seek billing --to-start                          all of its window again
              apus subscription seek billing --to-end --topic orders --execute   skip what is there
              apus subscription seek billing --to-time -2h --execute             the last two hours again
              apus subscription seek billing --to-offset 100 --topic orders:0 --execute

            All partitions of its topics move, unless --topic names some. A target outside a partition is held at its \
            start or end. A subscription with active members does not move: stop them first.
            """)

    @OptionGroup var seek: GroupSeek

    func run() async throws {
        var seek = self.seek
        if seek.topic.isEmpty {
            let topics = try await seek.connection.withClient { apus in
                let entry = try await apus.subscriptions.describe(seek.name)
                guard entry.subscription.delivery == .stream else {
                    throw ApusError(
                        .invalidArgument,
                        "'\(seek.name)' is a queue: its records are given out one by one, it has no position")
                }
                return try await apus.topics.list().map(\.name).filter {
                    entry.subscription.interest.matches(topic: $0)
                }
            }
            guard !topics.isEmpty else {
                throw CommandFailure.usage("none of the topics of '\(seek.name)' is there", next: "apus topic ls")
            }
            seek.topic = try topics.map { topic in try PartitionChoice(topic) }
        }
        try await seek.run()
    }
}
