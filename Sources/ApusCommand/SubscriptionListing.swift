package import ApusClient
package import ApusCore

/// Subscriptions as tables and JSON.
extension Listing {
    package static func subscriptions(_ subscriptions: [SubscriptionDescription]) -> Listing {
        var listing = Listing([
            .init("name"), .init("owner"), .init("topics"), .init("delivery"), .init("period_ms", "PERIOD"),
            .init("expiry_ms", "EXPIRY"), .init("origin"), .init("used_at", "LAST-USE"),
        ])
        for entry in subscriptions {
            let subscription = entry.subscription
            listing.add([
                .text(entry.name), .text(subscription.owner.text), .topics(subscription.interest),
                .text(subscription.delivery.rawValue), .period(subscription.period), .period(subscription.expiry),
                .text(subscription.origin.rawValue), .text(CivilTime(entry.usedAt).text),
            ])
        }
        return listing
    }

    /// Who holds records of a topic.
    package static func holders(_ holdings: TopicHoldings) -> Listing {
        var listing = Listing([
            .init("subscription"), .init("owner"), .init("stated_period_ms", "PERIOD"),
            .init("held_bytes", "HOLDS", isNumber: true), .init("own_bytes", "HOLDS-ALONE", isNumber: true),
            .init("unread", isNumber: true),
        ])
        for holder in holdings.holders {
            let unread: Cell = holder.unread.map { .count($0) } ?? .nothing
            let cells: [Cell] = [
                .text(holder.subscription), .text(holder.owner), .period(holder.statedPeriod), .size(holder.held),
                .size(holder.own), unread,
            ]
            listing.add(cells)
        }
        return listing
    }
}

extension Summary {
    package init(_ entry: SubscriptionDescription) {
        self.init()
        let subscription = entry.subscription
        self.add("name", "Name", .text(entry.name))
        self.add("owner", "Owner", .text(subscription.owner.text))
        if let pattern = subscription.interest.pattern {
            self.add("pattern", "Pattern", .text(pattern.text))
        } else {
            self.add("topics", "Topics", .names(subscription.interest.names))
        }
        self.add("delivery", "Delivery", .text(subscription.delivery.rawValue))
        self.add("start", "Start", .text(Self.words(for: subscription.start)))
        self.add("period_ms", "Period", .period(subscription.period))
        self.add("expiry_ms", "Expiry", .period(subscription.expiry))
        self.add("origin", "Origin", .text(subscription.origin.rawValue))
        if let filter = subscription.filter { self.add("filter", "Filter", .text(filter)) }
        if let topic = subscription.deadLetterTopic { self.add("dead_letter_topic", "Dead letters", .text(topic)) }
        if let endpoint = subscription.pushEndpoint { self.add("push_endpoint", "Push to", .text(endpoint)) }
        self.add("version", "Version", .number(entry.version.rawValue))
        self.add("created_at", "Created", .text(CivilTime(entry.createdAt).text))
        self.add("used_at", "Last use", .text(CivilTime(entry.usedAt).text))
    }

    private static func words(for start: Subscription.Start) -> String {
        switch start {
        case .earliest: "start"
        case .latest: "end"
        case .time(let time): "@\(CivilTime(time).text)"
        }
    }
}

extension Cell {
    /// For people in units, for programs in bytes.
    package static func size(_ bytes: ByteCount) -> Cell {
        Cell(.integer(Int64(bytes.rawValue)), text: "\(bytes)")
    }

    /// Names, with commas between.
    package static func names(_ names: [String]) -> Cell {
        names.isEmpty ? .nothing : Cell(.array(names.map { .string($0) }), text: names.joined(separator: ", "))
    }

    /// Names as a list, or a pattern as one text.
    package static func topics(_ interest: TopicInterest) -> Cell {
        interest.pattern.map { .text($0.text) } ?? .names(interest.names)
    }

    /// In words for people, in milliseconds for programs; nothing for none.
    package static func period(_ duration: Duration?) -> Cell {
        duration.map { Cell(.integer($0.wholeMilliseconds), text: $0.inWords) } ?? .nothing
    }
}
