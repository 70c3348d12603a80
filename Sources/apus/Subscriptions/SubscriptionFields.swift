import ApusCommand
import ApusCore
import ArgumentParser

/// The fields of a subscription that both `create` and `set` take.
struct SubscriptionFields: ParsableArguments {
    @Option(
        name: [.customShort("t", allowingJoined: true), .long],
        help: ArgumentHelp("A topic it reads; may be repeated, or with commas between.", valueName: "topic"))
    var topic: [String] = []

    @Option(
        help: ArgumentHelp(
            "All topics of this pattern instead, also later ones: * is any characters, ? is one.", valueName: "pattern")
    )
    var pattern: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "How long records stay available to it: 24h, 7d; none to ask for nothing beyond retention.ms.",
            valueName: "duration"),
        transform: { text in try parsing { Stated(try SubscriptionWords.optionalPeriod(text)) } })
    var period: Stated?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Remove it when nobody used it for so long; none to keep it.", valueName: "duration"),
        transform: { text in try parsing { Stated(try SubscriptionWords.optionalPeriod(text)) } })
    var expiry: Stated?

    @Option(help: ArgumentHelp("Whose it is. [default: whoever creates it]", valueName: "principal"))
    var owner: String?

    @Option(
        help: ArgumentHelp(
            "Which records it gets: 'key ^= \"eu-\" and not header.test'; none for all.", valueName: "filter"))
    var filter: String?

    @Option(help: ArgumentHelp("Queues: where records go that nobody could work on; or none.", valueName: "topic"))
    var deadLetter: String?

    @Option(help: ArgumentHelp("Where records are pushed to; or none.", valueName: "url"))
    var pushEndpoint: String?

    @Option(help: ArgumentHelp("Why, for the audit trail.", valueName: "text"))
    var reason: String = ""

    /// A duration that was given, or that there shall be none.
    struct Stated: Sendable {
        var duration: Duration?

        init(_ duration: Duration?) { self.duration = duration }
    }

    /// Puts what was given into a subscription.
    func apply(to subscription: inout Subscription) throws(CommandFailure) {
        if !self.topic.isEmpty || self.pattern != nil {
            subscription.interest = try SubscriptionWords.interest(topics: self.topic, pattern: self.pattern)
        }
        if let period = self.period { subscription.period = period.duration }
        if let expiry = self.expiry { subscription.expiry = expiry.duration }
        if let owner = self.owner {
            subscription.owner = ConsumerName(owner.contains(":") ? owner : "User:\(owner)")
        }
        if let filter = self.filter { subscription.filter = filter == "none" ? nil : filter }
        if let topic = self.deadLetter { subscription.deadLetterTopic = topic == "none" ? nil : topic }
        if let endpoint = self.pushEndpoint { subscription.pushEndpoint = endpoint == "none" ? nil : endpoint }
    }

    /// Nothing that changes a subscription was given.
    var isEmpty: Bool {
        self.topic.isEmpty && self.pattern == nil && self.period == nil && self.expiry == nil && self.owner == nil
            && self.filter == nil && self.deadLetter == nil && self.pushEndpoint == nil
    }
}
