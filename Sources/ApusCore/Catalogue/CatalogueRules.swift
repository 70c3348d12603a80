/// What may stand in the catalogue. Every adapter asks here before it commits, so nothing else gets in.
extension Consumer {
    public func validate() throws(InvalidField) {
        try FieldRules.name(self.name.text, "name", "a consumer's name", Limits.catalogueConsumerNameBytesMax)
        try FieldRules.text(self.details, "details", Limits.consumerDetailsBytesMax)
        if let cap = self.subscriptionsMax, !(0...Limits.subscriptionsPerConsumerMax).contains(cap) {
            throw InvalidField(
                "subscriptions-max", "must be between 0 and \(Limits.subscriptionsPerConsumerMax), not \(cap)")
        }
    }
}

extension Subscription {
    /// - Throws: the first field that says what can not be. What depends on topics as they are (a ceiling) is checked
    ///   by whoever knows them.
    public func validate() throws(InvalidField) {
        try FieldRules.name(self.name.text, "name", "a subscription's name", Limits.subscriptionNameBytesMax)
        try FieldRules.name(self.owner.text, "owner", "a consumer's name", Limits.catalogueConsumerNameBytesMax)
        try self.validateInterest()
        if case .time(let time) = self.start, time.rawValue < 0 {
            throw InvalidField("start", "a time is in milliseconds since 1970 and not negative, not \(time.rawValue)")
        }
        try FieldRules.duration(
            self.period, "period", Limits.subscriptionPeriodMin...Limits.subscriptionPeriodMax,
            none: "leave it out to ask for nothing beyond the topic's own retention")
        try FieldRules.duration(
            self.expiry, "expiry", Limits.subscriptionExpiryMin...Limits.subscriptionExpiryMax,
            none: "leave it out to keep an unused subscription")
        if let filter = self.filter { _ = try RecordFilter(filter) }
        if let topic = self.deadLetterTopic { try self.validate(deadLetterTopic: topic) }
        if let endpoint = self.pushEndpoint { _ = try PushEndpoint(endpoint) }
    }

    private func validateInterest() throws(InvalidField) {
        guard self.interest.pattern == nil else { return }
        let names = self.interest.names
        // A group is known before anybody knows what it reads.
        guard !names.isEmpty || self.origin == .group else {
            throw InvalidField("topics", "name at least one topic, or give a pattern")
        }
        guard names.count <= Limits.topicsPerSubscriptionMax else {
            throw InvalidField(
                "topics", "at most \(Limits.topicsPerSubscriptionMax), these are \(names.count): use a pattern")
        }
        for name in names {
            if let refusal = TopicName.refusal(of: name) { throw InvalidField("topics", refusal) }
        }
    }

    private func validate(deadLetterTopic topic: String) throws(InvalidField) {
        guard self.delivery == .queue else {
            throw InvalidField("dead-letter", "only a queue gives up on records; a stream stops at them")
        }
        if let refusal = TopicName.refusal(of: topic) { throw InvalidField("dead-letter", refusal) }
        guard !self.interest.matches(topic: topic) else {
            throw InvalidField("dead-letter", "'\(topic)' is read by this very subscription: records would go round")
        }
    }
}

extension CatalogueTransaction {
    public func validate() throws(InvalidField) {
        guard (1...Limits.catalogueChangesMax).contains(self.changes.count) else {
            throw InvalidField("changes", "1 to \(Limits.catalogueChangesMax), not \(self.changes.count)")
        }
        try FieldRules.name(self.actor.text, "actor", "a consumer's name", Limits.catalogueConsumerNameBytesMax)
        try FieldRules.text(self.reason, "reason", Limits.auditReasonBytesMax)
        for change in self.changes {
            switch change {
            case .putConsumer(let consumer, _): try consumer.validate()
            case .putSubscription(let subscription, _): try subscription.validate()
            case .removeConsumer, .removeSubscription: break
            }
        }
    }
}

/// The rules that several fields share.
enum FieldRules {
    /// Not empty, not longer than `limit`, nothing that hides or moves other text on a screen or in a log.
    static func name(
        _ text: String, _ field: String, _ what: String, _ limit: ByteCount
    ) throws(InvalidField) {
        guard !text.isEmpty else { throw InvalidField(field, "\(what) can not be empty") }
        guard text.utf8.count <= limit.rawValue else {
            throw InvalidField(field, "\(what) has at most \(limit), this has \(text.utf8.count) B")
        }
        guard let bad = text.unicodeScalars.first(where: { self.isHidden($0) }) else { return }
        throw InvalidField(field, "\(what) can not hold the control character \(self.code(of: bad))")
    }

    /// May be empty and hold line breaks and tabs, nothing else that is no text.
    static func text(_ text: String, _ field: String, _ limit: ByteCount) throws(InvalidField) {
        guard text.utf8.count <= limit.rawValue else {
            throw InvalidField(field, "at most \(limit), this has \(text.utf8.count) B")
        }
        let bad = text.unicodeScalars.first { self.isHidden($0) && $0 != "\n" && $0 != "\t" }
        guard let bad else { return }
        throw InvalidField(field, "can not hold the control character \(self.code(of: bad))")
    }

    static func duration(
        _ duration: Duration?, _ field: String, _ range: ClosedRange<Duration>, none: String
    ) throws(InvalidField) {
        guard let duration else { return }
        guard duration != .zero else { throw InvalidField(field, "can not be zero; \(none)") }
        guard duration > .zero else { throw InvalidField(field, "can not be negative; \(none)") }
        guard range.contains(duration) else {
            throw InvalidField(
                field,
                "must be between \(range.lowerBound.inWords) and \(range.upperBound.inWords), not \(duration.inWords)")
        }
        guard duration == .milliseconds(duration.wholeMilliseconds) else {
            throw InvalidField(field, "is counted in whole milliseconds")
        }
    }

    private static func isHidden(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .lineSeparator, .paragraphSeparator: true
        // The ones that turn the direction of text around.
        default: (0x202A...0x202E).contains(scalar.value) || (0x2066...0x2069).contains(scalar.value)
        }
    }

    private static func code(of scalar: Unicode.Scalar) -> String {
        let digits = String(scalar.value, radix: 16, uppercase: true)
        return "U+" + String(repeating: "0", count: max(0, 4 - digits.count)) + digits
    }
}

extension Duration {
    /// `7 d`, `90 min`, `1500 ms`: the largest unit that leaves no rest.
    package var inWords: String {
        let milliseconds = self.wholeMilliseconds
        let units: [(Int64, String)] = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1000, "s")]
        for (unit, name) in units where milliseconds != 0 && milliseconds % unit == 0 {
            return "\(milliseconds / unit) \(name)"
        }
        return "\(milliseconds) ms"
    }
}
