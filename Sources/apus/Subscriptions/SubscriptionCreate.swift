import ApusClient
import ApusCommand
import ApusCore
import ArgumentParser

struct SubscriptionCreate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Make a subscription.",
        discussion: """
              apus subscription create billing --topic orders --period 24h
              apus subscription create audit --pattern 'orders.*' --period 30d --expiry 90d
              apus subscription create replay --topic orders --start start
              apus subscription create work --topic jobs --delivery queue --dead-letter jobs.dead

            A Kafka client reads for a stream subscription with its name as group.id. With --start, the group's \
            positions are set now, in every partition that there is; without, the client's auto.offset.reset decides.
            """)

    @Argument(help: "Name of the subscription; for streams, the group.id of its readers.")
    var name: String

    @OptionGroup var fields: SubscriptionFields

    @Option(
        help: ArgumentHelp(
            "stream: every partition in order; queue: one record each to competing workers.", valueName: "delivery"),
        transform: { text in
            guard let delivery = Subscription.Delivery(rawValue: text) else {
                throw ValidationError("\"\(text)\" is no delivery: stream or queue")
            }
            return delivery
        })
    var delivery = Subscription.Delivery.stream

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Where reading begins: start, end, @2026-11-20T10:00 or @-2h.", valueName: "position"),
        transform: { text in try parsing { try SubscriptionWords.start(text, at: .now) } })
    var start: Subscription.Start?

    @Flag(help: "Check that it would work, make nothing.")
    var dryRun = false

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        var wish = Subscription(
            name: SubscriptionName(self.name), owner: ConsumerName(""), interest: .names([]), delivery: self.delivery,
            start: self.start ?? .latest)
        try self.fields.apply(to: &wish)
        let asked = wish
        let (made, failure) = try await self.connection.withClient {
            apus -> (SubscriptionDescription, CommandFailure?) in
            let made = try await apus.subscriptions.create(
                asked, hasOwner: self.fields.owner != nil, validateOnly: self.dryRun, reason: self.fields.reason)
            guard !self.dryRun, let start = self.start, asked.delivery == .stream else { return (made, nil) }
            return (made, try await self.failureToPlace(made.subscription, at: start, apus))
        }
        let result = self.dryRun ? "would be created" : failure == nil ? "created" : "created, but not placed"
        var listing = Listing([
            .init("name"), .init("owner"), .init("topics"), .init("period_ms", "PERIOD"), .init("result"),
        ])
        listing.add([
            .text(self.name), .text(made.subscription.owner.text), .topics(made.subscription.interest),
            .period(made.subscription.period), .text(result),
        ])
        try StandardOutput.write(listing.rendered(as: self.output.format))
        if let failure { throw failure }
    }

    /// Its group begins where it shall. If it can not, the subscription is there nevertheless.
    private func failureToPlace(
        _ subscription: Subscription, at start: Subscription.Start, _ apus: ApusClient
    ) async throws -> CommandFailure? {
        do {
            try await self.place(subscription, at: start, apus)
            return nil
        } catch let error as ApusError {
            return SubscriptionWords.notPlaced(self.name, at: start, error)
        }
    }

    private func place(
        _ subscription: Subscription, at start: Subscription.Start, _ apus: ApusClient
    ) async throws {
        let target: GroupSeekPlan.Target =
            switch start {
            case .earliest: .start
            case .latest: .end
            case .time(let time): .time(time)
            }
        let places = try await SeekPlaces(of: subscription.interest, target, apus).all
        try await apus.groups.commit(GroupSeekPlan(target, places).positions, for: self.name)
    }
}

/// Every partition of the topics that a subscription reads now.
struct SeekPlaces {
    var all: [GroupSeekPlan.Place] = []

    init(of interest: TopicInterest, _ target: GroupSeekPlan.Target, _ apus: ApusClient) async throws {
        let known = try await apus.topics.list().map(\.name)
        for topic in known where interest.matches(topic: topic) {
            let starts = try await apus.topics.offsets(of: topic, at: .start)
            let ends = try await apus.topics.offsets(of: topic, at: .end)
            var times: [PartitionIndex: OffsetDescription] = [:]
            if case .time(let time) = target { times = try await apus.topics.offsets(of: topic, at: .time(time)) }
            for (partition, end) in ends {
                self.all.append(
                    .init(
                        NamedPartition(topic, partition), position: nil, start: starts[partition]?.offset ?? .zero,
                        end: end.offset, timed: times[partition]?.offset))
            }
        }
    }
}
