import ApusClient
import ApusCommand
import ApusCore
import ArgumentParser

struct SubscriptionSet: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "set", abstract: "Change a subscription: all of it or nothing. What is not named stays.",
        discussion: """
              apus subscription set billing --period 48h
              apus subscription set billing --period none --expiry 30d
              apus subscription set billing --topic orders --topic payments
            """)

    @Argument(help: "Name of the subscription.")
    var name: String

    @OptionGroup var fields: SubscriptionFields

    @Flag(help: "Check that it would work, change nothing.")
    var dryRun = false

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard !self.fields.isEmpty else { throw ValidationError("nothing to change: give --period, --topic, …") }
    }

    func run() async throws {
        let (before, after) = try await self.connection.withClient { apus in
            let before = try await apus.subscriptions.describe(self.name)
            var wish = before
            try self.fields.apply(to: &wish.subscription)
            let after = try await apus.subscriptions.change(
                wish, validateOnly: self.dryRun, reason: self.fields.reason)
            return (before.subscription, after.subscription)
        }
        var listing = Listing([.init("field"), .init("before"), .init("after"), .init("result")])
        let result = Cell.text(self.dryRun ? "would be set" : "set")
        func row(_ field: String, _ old: Cell, _ new: Cell) {
            if old.text != new.text { listing.add([.text(field), old, new, result]) }
        }
        func text(_ value: String?) -> Cell { value.map { .text($0) } ?? .nothing }
        row("owner", .text(before.owner.text), .text(after.owner.text))
        row("topics", .text("\(before.interest)"), .text("\(after.interest)"))
        row("period", .period(before.period), .period(after.period))
        row("expiry", .period(before.expiry), .period(after.expiry))
        row("filter", text(before.filter), text(after.filter))
        row("dead-letter", text(before.deadLetterTopic), text(after.deadLetterTopic))
        row("push-endpoint", text(before.pushEndpoint), text(after.pushEndpoint))
        try StandardOutput.write(listing.rendered(as: self.output.format))
    }
}
