import ApusCore

/// A regular expression that is to be held against more topics than an event loop should look at in one go. Run it
/// anywhere, on any snapshot of the topics, and bring the outcome to `ConsumerGroups.resolved`.
package struct PatternWork: Hashable, Sendable {
    package let group: GroupID
    package let pattern: TopicRegex

    package struct Outcome: Hashable, Sendable {
        package let group: GroupID
        package let pattern: String
        package let topicNames: [String]
        package let version: Int64
    }

    /// Takes at most `Limits.topicPatternStepsMax` steps for each character of each name.
    package func run(over topics: any SubscribableTopics) -> Outcome {
        var matcher = PatternMatcher(self.pattern)
        var names: [String] = []
        topics.forEachName { if matcher.matches($0) { names.append($0) } }
        return Outcome(
            group: self.group, pattern: self.pattern.text, topicNames: names.sorted(), version: topics.version
        )
    }
}

/// Which topics the patterns of a group stand for.
extension ConsumerGroup {
    /// Forgets the patterns that nobody has any more.
    mutating func dropPatterns(_ records: inout [ConsumerGroupRecord]) {
        guard !self.patterns.isEmpty || !self.compiled.isEmpty || !self.patternsPending.isEmpty else { return }
        let gone = self.patterns.keys.filter { !self.subscriptions.hasPattern($0) }.sorted()
        self.persist(gone.map { .pattern(self.id, pattern: $0, nil) }, &records)
        self.compiled = self.compiled.filter { self.subscriptions.hasPattern($0.key) }
        self.patternsPending = self.patternsPending.filter { self.subscriptions.hasPattern($0) }
        self.patternsTooLarge = self.patternsTooLarge.filter { self.subscriptions.hasPattern($0) }
    }

    /// Holds the patterns that need it against all topics: now, if that is short work.
    mutating func resolvePatterns(
        _ records: inout [ConsumerGroupRecord], _ work: inout [PatternWork], _ moment: GroupMoment
    ) {
        var stepsLeft = Limits.topicPatternStepsInline
        for text in self.patternsPending.sorted() {
            self.patternsPending.remove(text)
            guard self.patternsUnderWay[text] == nil else {
                self.patternsUnderWay[text] = true
                continue
            }
            // A pattern that came back from the disk, and that this broker does not understand, stands for nothing.
            guard let pattern = self.compiled[text] ?? (try? TopicRegex(text)) else {
                self.note(text, [], moment.topics.version, &records, moment)
                continue
            }
            self.compiled[text] = pattern
            if let names = Self.names(pattern, moment.topics, &stepsLeft) {
                self.note(text, names.sorted(), moment.topics.version, &records, moment)
            } else {
                self.patternsUnderWay[text] = false
                work.append(PatternWork(group: self.id, pattern: pattern))
            }
        }
    }

    /// Nil when that is too much to do at once.
    private static func names(
        _ pattern: TopicRegex, _ topics: any SubscribableTopics, _ stepsLeft: inout Int
    ) -> [String]? {
        // Looking at a name that does not match takes a few steps at least.
        guard topics.count <= stepsLeft / 4 else { return nil }
        var matcher = PatternMatcher(pattern)
        var names: [String] = []
        let limit = stepsLeft
        topics.forEachName { name in
            if matcher.steps < limit, matcher.matches(name) { names.append(name) }
        }
        stepsLeft -= min(matcher.steps, limit)
        return matcher.steps < limit ? names : nil
    }

    /// The work that was given away is done.
    mutating func resolved(
        _ outcome: PatternWork.Outcome, _ records: inout [ConsumerGroupRecord], _ moment: GroupMoment
    ) {
        let isStale = self.patternsUnderWay.removeValue(forKey: outcome.pattern) ?? true
        guard self.subscriptions.hasPattern(outcome.pattern) else { return }
        if isStale { self.patternsPending.insert(outcome.pattern) }
        self.note(outcome.pattern, outcome.topicNames, outcome.version, &records, moment)
    }

    private mutating func note(
        _ text: String, _ names: [String], _ version: Int64, _ records: inout [ConsumerGroupRecord],
        _ moment: GroupMoment
    ) {
        var resolved = ConsumerGroupRecord.ResolvedPattern(
            topicNames: names, version: version, resolvedAt: moment.wall
        )
        let bytes = ConsumerGroupRecord.pattern(self.id, pattern: text, resolved).byteCountMax
        if bytes > moment.settings.recordBytesMax.rawValue {
            self.patternsTooLarge.insert(text)
            // What it stood for it goes on to stand for, and who has that keeps it.
            resolved.topicNames = self.patterns[text]?.topicNames ?? []
        } else {
            self.patternsTooLarge.remove(text)
        }
        guard self.patterns[text]?.topicNames != resolved.topicNames else { return }
        self.persist([.pattern(self.id, pattern: text, resolved)], &records)
        self.topicsMayDiffer = true
    }
}
