import ApusCore

/// From what changed to the next group epoch, and from there to the next target assignment.
extension ConsumerGroup {
    /// Lets the group epoch grow by one if anything changed that the assignment depends on.
    /// - Parameter start: where the records of this batch begin. The group epoch goes in front of them: should the
    ///   others be lost, all that happens is that one more target is computed.
    mutating func grow(
        _ records: inout [ConsumerGroupRecord], from start: Int, _ work: inout [PatternWork], _ moment: GroupMoment
    ) {
        self.catchUp(with: moment)
        self.dropPatterns(&records)
        self.resolvePatterns(&records, &work, moment)
        let mayLook = moment.now >= self.lookNotBefore ?? moment.now
        guard self.isChanged || (self.topicsMayDiffer && mayLook) else { return }
        let isChanged = self.isChanged
        self.isChanged = false
        self.topicsMayDiffer = false
        guard isChanged || self.epoch != nil else { return }
        var hash = self.metadataHash
        if mayLook || self.epoch == nil {
            hash = self.hash(of: moment)
        } else {
            // New members are not kept waiting for it; whether they brought topics is seen at the next look.
            self.topicsMayDiffer = true
        }
        guard isChanged || hash != self.metadataHash else { return }
        let epoch = max((self.epoch ?? .join).next, self.assignmentEpoch.next)
        let record = ConsumerGroupRecord.group(self.id, .init(epoch: epoch, metadataHash: hash))
        self.apply(record)
        records.insert(record, at: start)
        self.changedAt = moment.now
    }

    /// Computes the target assignment of the group epoch, unless it is there, or the last one is too recent.
    mutating func retarget(_ records: inout [ConsumerGroupRecord], _ moment: GroupMoment) {
        guard let epoch = self.epoch, epoch > self.assignmentEpoch, !self.members.isEmpty,
            moment.now >= self.assignmentNotBefore ?? moment.now
        else { return }
        let ids = self.members.values.map { (order: $0.profile.instance?.rawValue ?? $0.id.rawValue, id: $0.id) }
            .sorted { ($0.order, $0.id) < ($1.order, $1.id) }
        let problem = self.problem(ids, moment.topics)
        let wishes = problem.isHomogeneous ? 0 : problem.members.reduce(0) { $0 + $1.topics.count }
        let partitions = problem.topics.reduce(0) { $0 + Int($1.partitionCount) }
        self.assignmentNotBefore = moment.now.advanced(
            by: self.pause(moment, topics: problem.topics.count + wishes, partitions: partitions)
        )
        let targets: [ConsumerGroupRecord] = zip(ids, self.assignor.assign(problem)).compactMap { member, partitions in
            guard partitions != self.targets[member.id] ?? .empty else { return nil }
            return .targetMember(self.id, member: member.id, partitions)
        }
        self.isTargetTooLarge = targets.contains { $0.byteCountMax > moment.settings.recordBytesMax.rawValue }
        // More members, or fewer topics, may change that; until then everybody keeps what he has.
        guard !self.isTargetTooLarge else { return }
        // Behind all of them: without it the next heartbeat computes them again.
        self.persist(targets + [.target(self.id, .init(epoch: epoch, computedAt: moment.wall))], &records)
    }

    /// How long a group of this size leaves the processor to others.
    private func pause(_ moment: GroupMoment, topics: Int, partitions: Int) -> Duration {
        let parts = self.members.count + topics + partitions / Limits.partitionsPausedAsMember
        return moment.settings.assignmentPausePerMember * parts
    }

    private func problem(
        _ ids: [(order: String, id: MemberID)], _ topics: any SubscribableTopics
    ) -> AssignmentProblem {
        // Worked out once for all members that want the same.
        let names = self.subscriptions.entries.mapValues { self.names(of: $0.subscription, topics) }
        // What nobody may be told of is nobody's part.
        let all = self.subscriptions.hasReaders ? Set(names.values.joined()) : self.topicNames
        let found = all.compactMap { topics.topic(named: $0) }.sorted { $0.id < $1.id }
        var places: [String: Int] = [:]
        for (index, topic) in found.enumerated() { places[topic.name] = index }
        let wanted = names.mapValues { names in Set(names).compactMap { places[$0] }.sorted() }
        let members = ids.map { order, id in
            AssignmentProblem.Member(
                order: order, topics: self.subscriptionOf[id].flatMap { wanted[$0] } ?? [],
                before: self.targets[id] ?? .empty
            )
        }
        return AssignmentProblem(topics: found, members: members, isHomogeneous: Set(wanted.values).count <= 1)
    }

    /// All topics that members want, whether they exist or not, and whether a pattern's reader may be told of them or
    /// not.
    var topicNames: Set<String> {
        self.subscriptions.patterns.reduce(into: Set(self.subscriptions.topicNames)) { names, pattern in
            names.formUnion(self.patterns[pattern]?.topicNames ?? [])
        }
    }

    /// What ``topicNames`` are for who must know all of them; nil while a pattern stands for too many.
    var topicsTold: Set<String>? { self.patternsTooLarge.isEmpty ? self.topicNames : nil }

    /// Names were checked when they were said; of a pattern's topics its reader gets those that he may be told of.
    private func names(
        of subscription: SubscriptionTable.Subscription, _ topics: any SubscribableTopics
    ) -> [String] {
        let matched = subscription.pattern.flatMap { self.patterns[$0]?.topicNames } ?? []
        guard let reader = subscription.reader, !matched.isEmpty else { return subscription.topicNames + matched }
        return subscription.topicNames + matched.filter(topics.describable(by: reader))
    }

    /// Changes when a topic of the group comes, goes, or gets partitions, or a right to be told of one does. Stored, so
    /// the same for ever (FNV-1a, 64 bits).
    private mutating func hash(of moment: GroupMoment) -> Int64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        func mix(_ byte: UInt8) { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
        func mix(_ value: UInt64) { for shift in 0..<8 { mix(UInt8(truncatingIfNeeded: value >> UInt64(8 * shift))) } }
        let topics = self.topicNames.compactMap { moment.topics.topic(named: $0) }.sorted { $0.name < $1.name }
        for topic in topics {
            for byte in topic.name.utf8 { mix(byte) }
            mix(topic.id.high)
            mix(topic.id.low)
            mix(UInt64(bitPattern: Int64(topic.partitionCount)))
        }
        let readings = self.readings(moment.topics)
        for (name, reader) in readings {
            for text in [reader.principal, reader.host, name] {
                for byte in text.utf8 { mix(byte) }
                mix(UInt8(0xFF))
            }
        }
        self.lookNotBefore = moment.now.advanced(
            by: self.pause(moment, topics: topics.count + readings.count, partitions: 0)
        )
        return Int64(bitPattern: hash)
    }

    /// Which topic each reader gets by a pattern, in order.
    private func readings(_ topics: any SubscribableTopics) -> [(name: String, reader: TopicReader)] {
        guard self.subscriptions.hasReaders else { return [] }
        var readings: [TopicReader: Set<String>] = [:]
        for entry in self.subscriptions.entries.values {
            guard let reader = entry.subscription.reader else { continue }
            readings[reader, default: []].formUnion(self.names(of: entry.subscription, topics))
        }
        return readings.sorted { $0.key < $1.key }.flatMap { reader, names in
            names.sorted().map { (name: $0, reader: reader) }
        }
    }

    /// Whether the rights are those by which the group's patterns were looked up.
    func knowsRights(_ moment: GroupMoment) -> Bool {
        !self.subscriptions.hasReaders || self.rightsRead == moment.topics.rightsVersion
    }

    /// What the journal of topic changes, and the rights of now, say to this group.
    private mutating func catchUp(with moment: GroupMoment) {
        if !self.knowsRights(moment) {
            self.rightsRead = moment.topics.rightsVersion
            self.topicsMayDiffer = true
        }
        let changes = moment.journal.since(self.journalRead)
        self.journalRead = moment.journal.end
        guard case .these(let names) = changes else {
            self.topicsMayDiffer = true
            self.patternsPending.formUnion(self.subscriptions.patterns)
            return
        }
        guard !names.isEmpty else { return }
        if names.contains(where: { self.subscriptions.names($0) }) { self.topicsMayDiffer = true }
        var stepsLeft = Limits.topicPatternStepsInline
        for text in self.subscriptions.patterns where self.concerns(names, text, moment.topics, &stepsLeft) {
            self.topicsMayDiffer = true
            self.patternsPending.insert(text)
        }
    }

    /// Whether one of these topics is, was, or should be among those of a pattern. True when that takes long to tell.
    private func concerns(
        _ names: ArraySlice<String>, _ text: String, _ topics: any SubscribableTopics, _ stepsLeft: inout Int
    ) -> Bool {
        guard let pattern = self.compiled[text], names.count < stepsLeft, !self.patternsTooLarge.contains(text) else {
            return true
        }
        let known = Set(self.patterns[text]?.topicNames ?? [])
        var matcher = PatternMatcher(pattern)
        let limit = stepsLeft
        defer { stepsLeft -= min(limit, matcher.steps) }
        return names.contains { name in
            known.contains(name) || matcher.steps >= limit
                || (topics.topic(named: name) != nil && matcher.matches(name))
        }
    }
}
