package import NIOCore
import ApusCore
import ApusLog

extension Broker {
    /// Reads the registry and answers with a broker that serves. Opens no partition: that happens at its first use.
    ///
    /// - Parameters:
    ///   - loops: each becomes one shard. The broker uses them until ``close(on:then:)`` has answered.
    ///   - aside: for work that may take long and must not hold up a shard; in use as long. Nil: the first shard's.
    package static func open(
        _ settings: BrokerSettings, ports: BrokerPorts, shards loops: [any EventLoop], aside: (any EventLoop)? = nil,
        on loop: any EventLoop, then: @escaping @Sendable (Result<Broker, BrokerError>) -> Void
    ) {
        precondition(!loops.isEmpty, "a broker needs a loop")
        let table: ConfigurationTable
        do throws(BrokerError) {
            table = try ConfigurationTable(
                brokerID: settings.identity.brokerID, started: settings.configuration, facts: self.facts(of: settings)
            )
        } catch {
            return loop.execute { then(.failure(error)) }
        }
        let empty = TopicRegistry(table: table, leaderEpoch: settings.incarnation)
        let published = BrokerPublication(empty)
        let subscriptions = BrokerSubscriptions(
            ports, home: ShardMailbox(loop: loops[0]), grace: table.duration(.subscriptionGrace))
        let audit = BrokerAudit(isOn: settings.isAuditing ?? settings.isAuthorizing, loop: loops[0], ports: ports)
        let access = BrokerAccess(settings, ports: ports, aside: aside ?? loops[0], audit: audit)
        let world = ShardWorld(
            ports: ports, settings: settings, subscriptions: subscriptions, access: access, shardCount: loops.count,
            topics: { published.topics }, table: { published.table }
        )
        let tailCache = ByteCount(rawValue: settings.tailCache.rawValue / loops.count)
        let shards = loops.enumerated().map { index, loop in
            Shard(index: index, loop: loop, world: world, tailCache: tailCache)
        }
        subscriptions.attach(shards)
        let registry = BrokerRegistry(empty, store: ports.store, loop: loops[0], logger: ports.logger) {
            published.publish($0)
            let names = $0.changedNames
            guard names?.isEmpty != true else { return }
            for shard in shards { shard.mailbox.run { shard.groups.topicsChanged(names) } }
        }
        let broker = Broker(
            settings: settings, ports: ports, shards: shards, registry: registry, subscriptions: subscriptions,
            published: published, access: access, audit: audit
        )
        audit.begin(broker)
        shards[0].mailbox.run {
            registry.load { result in
                switch result {
                case .success(let registry): broker.begin(registry, on: loop, then: then)
                case .failure(let error):
                    loop.execute { then(.failure(error)) }
                }
            }
        }
    }

    /// The registry was read; then the rules, then the windows of subscriptions.
    private func begin(
        _ registry: TopicRegistry, on loop: any EventLoop,
        then: @escaping @Sendable (Result<Broker, BrokerError>) -> Void
    ) {
        let (access, shards) = (self.access, self.shards)
        access.start { error in
            if let error { return loop.execute { then(.failure(error)) } }
            access.onChange { for shard in shards { shard.mailbox.run { shard.rightsChanged() } } }
            shards[0].mailbox.run { self.begin(after: registry, on: loop, then: then) }
        }
    }

    /// The rules were read, too.
    private func begin(
        after registry: TopicRegistry, on loop: any EventLoop,
        then: @escaping @Sendable (Result<Broker, BrokerError>) -> Void
    ) {
        for shard in self.shards { shard.mailbox.run { shard.startSeconds() } }
        for (topic, partitions) in registry.deleted { self.removeFiles(of: topic, partitions) }
        // So that nobody reads before windows are known; a catalogue that can not be read delays no more.
        self.subscriptions.start {
            self.loadGroups()
            self.loadPresence()
            loop.execute { then(.success(self)) }
        }
    }

    /// Refuses new work, lets what is appended reach the disk, closes every log. Answers where they ended, and whether
    /// all of them closed cleanly.
    package func close(on loop: any EventLoop, then: @escaping @Sendable (LogEnds) -> Void) {
        self.access.stop()
        // What was done is written down before nothing can be written any more.
        self.audit.close { self.closeShards(on: loop, then: then) }
    }

    private func closeShards(on loop: any EventLoop, then: @escaping @Sendable (LogEnds) -> Void) {
        let none = ShardEnds(isClean: false, logs: [:])
        let gather = BrokerGather([ShardEnds](repeating: none, count: self.shards.count), missing: self.shards.count) {
            let ends = self.ends($0)
            loop.execute { then(ends) }
        }
        let subscriptions = self.subscriptions
        self.shards[0].mailbox.run { subscriptions.stop() }
        for shard in self.shards {
            shard.mailbox.run {
                shard.close { gather.put(ShardEnds(isClean: $0, logs: shard.ends), at: shard.index) }
            }
        }
    }

    private func ends(_ shards: [ShardEnds]) -> LogEnds {
        let (topics, known) = (self.topics, self.settings.ends)
        var ends: [TopicPartition: Offset] = [:]
        for shard in shards {
            ends.merge(shard.logs.filter { topics.topic($0.key) != nil }) { $1 }
        }
        return known.replacing(ends, life: self.settings.incarnation, isClean: shards.allSatisfy(\.isClean)) {
            topics.topic($0)?.wasThere(in: $1.life) ?? false
        }
    }

    /// What a shard says of its logs when it is closed.
    private struct ShardEnds: Sendable {
        var isClean: Bool
        var logs: [TopicPartition: Offset]
    }

    private static func facts(of settings: BrokerSettings) -> [String: String] {
        [
            BrokerOption.brokerID.rawValue: "\(settings.identity.brokerID)",
            BrokerOption.nodeID.rawValue: "\(settings.identity.brokerID)",
            BrokerOption.clusterID.rawValue: settings.identity.clusterID,
            BrokerOption.logDirectories.rawValue: settings.dataDirectory,
            BrokerOption.requestMemory.rawValue: "\(settings.requestMemory.rawValue)",
            BrokerOption.tailCache.rawValue: "\(settings.tailCache.rawValue)",
            BrokerOption.freeBytesFloor.rawValue: "\(settings.freeBytesFloor.rawValue)",
        ]
    }
}
