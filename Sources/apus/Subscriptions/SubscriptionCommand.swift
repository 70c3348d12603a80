import ArgumentParser

/// `apus subscription …`.
struct SubscriptionCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "subscription",
        abstract: "Subscribe to topics: how long records stay for whom, and who is still to read what.",
        discussion: """
              apus subscription create billing --topic orders --period 24h
              apus subscription create audit --pattern 'orders.*' --period 30d --expiry 90d
              apus subscription ls
              apus subscription describe billing
              apus subscription set billing --period 48h
              apus subscription seek billing --to-start --execute
              apus subscription rm billing

            A subscription states how long records stay available to it, and reads no further back. Every consumer \
            group of a Kafka client is one by itself, by its own name. docs/subscriptions.md tells all of it.
            """,
        subcommands: [
            SubscriptionCreate.self, SubscriptionList.self, SubscriptionDescribe.self, SubscriptionSet.self,
            SubscriptionRemove.self, SubscriptionSeek.self,
        ]
    )
}
