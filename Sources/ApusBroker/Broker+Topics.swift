package import NIOCore
import ApusAccess
import ApusCore
import ApusLog
import Logging

extension Broker {
    /// Creates topics, each on its own: one that is refused does not touch the others. A topic that is answered can be
    /// written to. With `validateOnly` nothing is created and the answers are what would have been. Where users log in
    /// a topic is the client's who made it, and counts for its caps.
    package func create(
        _ specifications: [TopicSpecification], validateOnly: Bool = false, client: ClientContext,
        on loop: any EventLoop, then: @escaping @Sendable ([Result<Topic, BrokerError>]) -> Void
    ) {
        let mayAll = client.mayList(.create, on: .cluster)
        let forbidden = Set(
            specifications.map(\.name).filter { !mayAll && !client.allows(.create, onTopic: $0) })
        // What is forbidden is refused without being counted.
        let partitions = specifications.reduce(0) { sum, wish in
            sum + (forbidden.contains(wish.name) ? 0 : max(1, Int(wish.partitions), wish.assignments.count))
        }
        if !validateOnly, let wait = self.mustWait(toMake: partitions, client) {
            let refused = specifications.map { wish in
                Result<Topic, BrokerError>.failure(
                    forbidden.contains(wish.name) ? .topicAuthorizationFailed : .quotaExceeded(wait))
            }
            return self.mailbox(of: loop).run { then(refused) }
        }
        let isEmbedded = client.principal == .embedded
        let owner = self.access.isAuthorizing && !isEmbedded ? client.principal : nil
        let caps = OwnerCaps(for: client, self.access)
        let randomness = self.ports.randomness
        let wishes = specifications.map { (wish: $0, newID: TopicID(from: randomness)) }
        let twice = Broker.repeated(specifications.map(\.name))
        self.decide(on: loop, validateOnly: validateOnly) { draft in
            wishes.map { wish, newID in
                Broker.catching { () throws(BrokerError) in
                    guard !forbidden.contains(wish.name) else { throw .topicAuthorizationFailed }
                    guard isEmbedded || !InternalTopic.isOne(wish.name) else { throw .internalTopic(wish.name) }
                    guard !twice.contains(wish.name) else {
                        throw .invalidRequest("'\(wish.name.limited)' is asked for more than once")
                    }
                    return try draft.create(wish, newID: newID, for: owner, caps: caps)
                }
            }
        } then: { [audit = self.audit] results, isCommitted in
            for case .success(let topic) in results where isCommitted {
                audit.note(.createTopic, topic.name, by: client)
            }
            then(results)
        }
    }

    /// Creates a topic because a client asked for it, if `auto.create.topics.enable`; answers the one that is there.
    package func autoCreate(
        _ name: String, client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable (Result<Topic, BrokerError>) -> Void
    ) {
        let home = self.mailbox(of: loop)
        if let topic = self.topics.topic(named: name) { return home.run { then(.success(topic)) } }
        guard self.allowsAutoCreate else { return home.run { then(.failure(.unknownTopicOrPartition)) } }
        self.create([TopicSpecification(name: name)], client: client, on: loop) { results in
            // Another client may have been faster.
            if case .failure(.topicExists) = results[0], let topic = self.topics.topic(named: name) {
                return then(.success(topic))
            }
            then(results[0])
        }
    }

    package var allowsAutoCreate: Bool { self.table.value(.autoCreate).lowercased() == "true" }

    /// Deletes topics for good: the names are free when this answers, the files go soon after. Answers the deleted.
    package func deleteTopics(
        _ topics: [TopicReference], expecting: Set<TopicTag>? = nil, client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable ([Result<Topic, BrokerError>]) -> Void
    ) {
        let known = self.topics
        let partitions = topics.reduce(0) { $0 + Self.partitionCount(of: $1, in: known, .delete, for: client) }
        if let wait = self.mustWait(toMake: partitions, client) {
            let refused = topics.map { _ in Result<Topic, BrokerError>.failure(.quotaExceeded(wait)) }
            return self.mailbox(of: loop).run { then(refused) }
        }
        self.decide(on: loop) { draft in
            topics.map { reference in
                Broker.catching { () throws(BrokerError) in
                    let topic = try draft.snapshot.topic(reference, .delete, for: client)
                    try topic.check(expecting)
                    guard !topic.isInternal || client.principal == .embedded else { throw .internalTopic(topic.name) }
                    return try draft.delete(reference)
                }
            }
        } then: { results, isCommitted in
            if isCommitted {
                for case .success(let topic) in results {
                    self.audit.note(.deleteTopic, topic.name, by: client)
                    self.removeFiles(of: topic.id, topic.partitionCount)
                    for shard in self.shards {
                        shard.mailbox.run { shard.groups.topicDeleted(topic.name, topic.id) }
                    }
                }
            }
            then(results)
        }
    }

    package func createPartitions(
        _ growths: [PartitionGrowth], validateOnly: Bool = false, expecting: Set<TopicTag>? = nil,
        client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable ([Result<Topic, BrokerError>]) -> Void
    ) {
        let known = self.topics
        let partitions = growths.reduce(0) { sum, growth in
            let count = Self.partitionCount(of: .name(growth.topic), in: known, .alter, for: client)
            return sum + (count == 0 ? 0 : max(0, Int(growth.partitions) - count))
        }
        if !validateOnly, let wait = self.mustWait(toMake: partitions, client) {
            let refused = growths.map { _ in Result<Topic, BrokerError>.failure(.quotaExceeded(wait)) }
            return self.mailbox(of: loop).run { then(refused) }
        }
        let twice = Broker.repeated(growths.map(\.topic))
        let caps = OwnerCaps(for: client, self.access)
        self.decide(on: loop, validateOnly: validateOnly) { draft in
            growths.map { growth in
                Broker.catching { () throws(BrokerError) in
                    guard !twice.contains(growth.topic) else {
                        throw .invalidRequest("'\(growth.topic.limited)' is named more than once")
                    }
                    let topic = try draft.snapshot.topic(.name(growth.topic), .alter, for: client)
                    try topic.check(expecting)
                    guard !topic.isInternal || client.principal == .embedded else { throw .internalTopic(topic.name) }
                    return try draft.grow(growth, caps: caps)
                }
            }
        } then: { [audit = self.audit] results, isCommitted in
            for case .success(let topic) in results where isCommitted {
                audit.note(.growTopic, "\(topic.name) to \(topic.partitionCount) partitions", by: client)
            }
            then(results)
        }
    }

    /// How many partitions the topic has; zero when there is none, or the client may not do this with it. A quota that
    /// counted those would tell who may not know it that a topic is there, and how large.
    private static func partitionCount(
        of reference: TopicReference, in known: TopicSnapshot, _ operation: AccessOperation, for client: ClientContext
    ) -> Int {
        // `try?`: what is wrong with it is answered where it is done.
        guard let topic = try? known.topic(reference),
            client.access.isUnrestricted
                || client.mayList(operation, on: Resource(.topic, ExactText(topic.name)))
        else { return 0 }
        return Int(topic.partitionCount)
    }

    /// How long before the client may make or delete so many partitions; nil: it may, and they are counted.
    private func mustWait(toMake partitions: Int, _ client: ClientContext) -> Duration? {
        let wait = self.quotas.mutate(partitions, by: client)
        return wait > .zero ? wait : nil
    }

    /// Lets the registry decide, and answers with the topics as they are then. `isCommitted`: the store has it.
    private func decide(
        on loop: any EventLoop, validateOnly: Bool = false,
        _ decision: @escaping @Sendable (inout TopicRegistry) -> [Result<Topic, BrokerError>],
        then: @escaping @Sendable (_ results: [Result<Topic, BrokerError>], _ isCommitted: Bool) -> Void
    ) {
        let home = self.mailbox(of: loop)
        self.registry.submit { draft in
            let results: [Result<Topic, BrokerError>]
            if validateOnly {
                var trial = draft
                results = decision(&trial)
            } else {
                results = decision(&draft)
            }
            return { outcome in
                switch outcome {
                case .success(let registry):
                    let current = results.map { $0.map { registry.snapshot.topic(id: $0.id) ?? $0 } }
                    home.run { then(current, !validateOnly) }
                case .failure(let error):
                    home.run { then(results.map { Broker.undone($0, error) }, false) }
                }
            }
        }
    }

    // MARK: Files of deleted topics

    /// Lets every shard let go of the topic, then removes its directory, then forgets that it is to be removed. A crash
    /// anywhere between is made good at the next start.
    func removeFiles(of id: TopicID, _ partitionCount: Int32) {
        let gather = BrokerGather([Bool](repeating: true, count: self.shards.count), missing: self.shards.count) { _ in
            let home = self.shards[0]
            home.mailbox.run {
                // One lane for all removals: they rename within the same two directories.
                self.ports.disk.run(in: Self.removalLane, on: home.loop) { disk -> DiskError? in
                    do throws(DiskError) {
                        try TopicDirectory.remove(id, on: disk)
                        return nil
                    } catch {
                        return error
                    }
                } then: { error in
                    if let error {
                        self.ports.logger.error(
                            "files of a deleted topic could not be removed; the next start tries again",
                            metadata: ["topic": "\(id)", "reason": "\(error)"])
                        return
                    }
                    self.registry.submit { draft in
                        draft.removed(id)
                        return { _ in }
                    }
                }
            }
        }
        for shard in self.shards {
            shard.mailbox.run {
                shard.drop(id, partitionCount: partitionCount) { gather.put(true, at: shard.index) }
            }
        }
    }

    private static let removalLane = DiskLane(rawValue: 2)

    // MARK: Small parts

    static func catching<Value>(_ body: () throws(BrokerError) -> Value) -> Result<Value, BrokerError> {
        do throws(BrokerError) { return .success(try body()) } catch { return .failure(error) }
    }

    /// What a result becomes when nothing of its draft was made. "Exists" may have meant a topic of the same draft.
    private static func undone(_ result: Result<Topic, BrokerError>, _ error: BrokerError) -> Result<Topic, BrokerError>
    {
        switch result {
        case .success, .failure(.topicExists): .failure(error)
        case .failure: result
        }
    }

    private static func repeated(_ names: [String]) -> Set<String> {
        var seen: Set<String> = []
        return Set(names.filter { !seen.insert($0).inserted })
    }
}
