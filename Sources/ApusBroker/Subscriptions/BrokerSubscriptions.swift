package import ApusAccess
package import ApusCore
import ApusSubscriptions
import Logging
import NIOCore
import Synchronization

/// Keeps what the catalogue says of subscriptions in memory for all shards, registers the groups that appear, notes who
/// is used and removes who is not.
///
/// The catalogue being away stops nothing (promise P8): what was read stays in force, and changes are refused by the
/// catalogue's own error.
///
/// Unchecked because: what is not behind `shared` is touched on the home loop only, that of shard 0; `shards` is set
/// once, before anything runs.
package final class BrokerSubscriptions: @unchecked Sendable {
    /// What callers on any thread leave here, and find here.
    struct Shared {
        var view: SubscriptionView
        /// Used since the last second.
        var used: Set<SubscriptionName> = []
        /// Seen, and not what the catalogue says.
        var seen = SeenGroups()
        /// Positions of those the catalogue does not know yet.
        var unclaimed: [SubscriptionName: [TopicPartition: Offset]] = [:]
        var unclaimedCount = 0
        /// Topics that a group is known to read, so that a commit need not look at names.
        var topicsRead: [SubscriptionID: Set<TopicID>] = [:]
    }

    let catalogue: (any Catalogue)?
    let clock: any Clock
    let logger: Logger
    let home: ShardMailbox
    private(set) var shards: [Shard] = []
    let shared: Mutex<Shared>
    /// The generation of the view, for those who only want to know whether it is another.
    private let generationNow = Atomic<UInt64>(1)

    // MARK: Home loop

    var expiries: SubscriptionExpiries
    var retentionClock: RetentionClock
    var watch: (any CatalogueWatch)?
    var isLoading = false
    var isStopped = false
    /// Seconds since the start, as shard 0 counts them.
    var seconds: UInt32 = 0
    var loadAgainAt: UInt32?
    /// Groups on their way into the catalogue, or that wait to go there again.
    var registering = SeenGroups()
    var inFlight: Set<SubscriptionName> = []
    var ownersInFlight: Set<ConsumerName> = []
    var registerAgainAt: UInt32?
    var isRefusalTold = false
    /// The second in which somebody was told last of groups that read more than they can name.
    var leftOutToldAt: UInt32?

    init(_ ports: BrokerPorts, home: ShardMailbox, grace: Duration) {
        self.catalogue = ports.catalogue
        self.clock = ports.clock
        self.logger = ports.logger
        self.home = home
        let knowledge: SubscriptionView.Knowledge = ports.catalogue == nil ? .noCatalogue : .unread(nil)
        self.shared = Mutex(Shared(view: SubscriptionView(knowledge: knowledge)))
        self.retentionClock = RetentionClock(wall: ports.clock.wallTime, now: ports.clock.now)
        self.expiries = SubscriptionExpiries(startedAt: ports.clock.wallTime, grace: grace)
    }

    func attach(_ shards: [Shard]) {
        self.shards = shards
    }

    // MARK: Any thread

    package var view: SubscriptionView { self.shared.withLock { $0.view } }

    /// Cheap: one atomic load.
    package var generation: UInt64 { self.generationNow.load(ordering: .acquiring) }

    /// A consumer group is there: somebody joined it, or gave a sign of life. Counts as a use. A group that the
    /// catalogue does not know, or that reads a topic it did not read before, is written there soon after.
    /// - Parameter topics: those that there are, and that the member may read: what a group has not read may be held.
    package func groupSeen(_ group: String, owner: Principal, topics: [String]) {
        guard self.catalogue != nil else { return }
        let name = SubscriptionName(group)
        // Outside the lock, which all shards share: a request may name thousands.
        let news = self.news(of: name, topics)
        let isFirst = self.shared.withLock { shared in
            self.noteUse(of: name, in: &shared)
            guard let news else { return false }
            let isFirst = shared.seen.isEmpty
            shared.seen.add(name, owner: ConsumerName(owner.description), topics: news)
            return isFirst && !shared.seen.isEmpty
        }
        if isFirst { self.home.loop.execute { self.registerSeen() } }
    }

    /// What the catalogue has to hear of a group; nil: nothing.
    private func news(of name: SubscriptionName, _ topics: [String]) -> Set<String>? {
        guard let known = self.view.index.subscription(named: name)?.subscription else { return Set(topics) }
        guard known.origin == .group else { return nil }
        let news = Set(topics).filter { !known.interest.matches(topic: $0) }
        return news.isEmpty ? nil : news
    }

    /// Positions of a group as they are durable now, and those that were found while its coordinator was loaded. Told
    /// in order for each partition.
    /// - Parameter isLoading: found, not committed just now: no use of the group.
    package func positionsChanged(
        of group: String, _ positions: [(TopicPartition, Offset)], isLoading: Bool = false
    ) {
        guard self.catalogue != nil, !positions.isEmpty else { return }
        let name = SubscriptionName(group)
        let id = self.shared.withLock { shared -> SubscriptionID? in
            if !isLoading { self.noteUse(of: name, in: &shared) }
            if let known = shared.view.index.subscription(named: name) {
                self.noteTopics(of: positions, known, in: &shared)
                return known.id
            }
            var kept = shared.unclaimed[name] ?? [:]
            let before = kept.count
            for (partition, offset) in positions { kept[partition] = offset }
            guard shared.unclaimedCount + kept.count - before <= Limits.positionsUnclaimedMax else { return nil }
            shared.unclaimedCount += kept.count - before
            shared.unclaimed[name] = kept
            return nil
        }
        if let id { self.tell(positions, of: id) }
    }

    /// A group reads what it has positions in.
    private func noteTopics(
        of positions: [(TopicPartition, Offset)], _ known: RegisteredSubscription, in shared: inout Shared
    ) {
        guard known.subscription.origin == .group, let world = self.shards.first?.world else { return }
        var news: Set<String> = []
        for (partition, _) in positions
        where shared.topicsRead[known.id, default: []].insert(partition.topic).inserted {
            guard let topic = world.topic(partition.topic)?.name,
                !known.subscription.interest.matches(topic: topic)
            else { continue }
            news.insert(topic)
        }
        guard !news.isEmpty else { return }
        if shared.seen.isEmpty { self.home.loop.execute { self.registerSeen() } }
        shared.seen.add(known.subscription.name, owner: known.subscription.owner, topics: news)
    }

    /// The group and its positions were deleted. Its subscription goes with it if the group made it; one that somebody
    /// declared stays, and has read nothing.
    package func groupDeleted(_ group: String) {
        guard self.catalogue != nil else { return }
        self.home.loop.execute { self.unregister(SubscriptionName(group)) }
    }

    /// Every position of one partition of `__consumer_offsets` was told, out of `count` partitions.
    package func coordinatorLoaded(partition: PartitionIndex, of count: Int32) {
        for shard in self.shards { shard.mailbox.run { shard.coordinatorLoaded(partition, of: count) } }
    }

    /// Somebody reads for a subscription by its name.
    package func used(_ name: SubscriptionName) {
        self.shared.withLock { self.noteUse(of: name, in: &$0) }
    }

    /// Somebody reads a topic and does not say for which subscription.
    /// - Returns: in how many seconds that is worth another word.
    func used(by owner: ConsumerName, of topic: String) -> UInt32 {
        let index = self.view.index
        var names: [SubscriptionName] = []
        var pause = Limits.subscriptionUseNotedPeriod
        for reader in index.readers(of: topic, ownedBy: owner) {
            guard let known = index[id: reader.id]?.subscription else { continue }
            names.append(known.name)
            if let expiry = known.expiry { pause = min(pause, expiry / 4) }
        }
        if !names.isEmpty {
            self.shared.withLock { shared in
                for name in names { self.noteUse(of: name, in: &shared) }
            }
        }
        return UInt32(clamping: max(1, pause.components.seconds))
    }

    private func noteUse(of name: SubscriptionName, in shared: inout Shared) {
        guard shared.used.count < Limits.subscriptionsMax else { return }
        shared.used.insert(name)
    }

    /// Hands positions to the shards that own the partitions.
    /// - Parameter areOld: they waited to be claimed. Newer ones may have overtaken them, and stay.
    func tell(_ positions: [(TopicPartition, Offset)], of id: SubscriptionID, areOld: Bool = false) {
        guard let world = self.shards.first?.world else { return }
        if self.shards.count == 1 {
            let shard = self.shards[0]
            return shard.mailbox.run { shard.positionsChanged(of: id, positions, areOld: areOld) }
        }
        for (index, part) in Dictionary(grouping: positions, by: { world.shardIndex(of: $0.0) }) {
            let shard = self.shards[index]
            shard.mailbox.run { shard.positionsChanged(of: id, part, areOld: areOld) }
        }
    }

    // MARK: Home loop

    /// Puts another view in force, and hands on the positions of those that it makes known. Both at once: from then on
    /// a group's positions go straight to the shards, and must find none that waits.
    /// - Parameter news: the subscriptions that may be new; nil: any.
    func publish(claiming news: [RegisteredSubscription]?, _ change: (inout SubscriptionView) -> Void) {
        let (generation, claims) = self.shared.withLock { shared in
            change(&shared.view)
            shared.view.generation += 1
            return (shared.view.generation, self.claims(of: news, in: &shared))
        }
        self.generationNow.store(generation, ordering: .releasing)
        for claim in claims { self.tell(claim.positions, of: claim.id, areOld: true) }
    }

    /// Positions that came before the catalogue knew whose they are.
    private func claims(
        of news: [RegisteredSubscription]?, in shared: inout Shared
    ) -> [(id: SubscriptionID, positions: [(TopicPartition, Offset)])] {
        guard !shared.unclaimed.isEmpty else { return [] }
        var claims: [(id: SubscriptionID, positions: [(TopicPartition, Offset)])] = []
        for name in news.map({ $0.map(\.subscription.name) }) ?? Array(shared.unclaimed.keys) {
            guard let known = shared.view.index.subscription(named: name),
                let kept = shared.unclaimed.removeValue(forKey: name)
            else { continue }
            shared.unclaimedCount -= kept.count
            let positions = kept.map { ($0.key, $0.value) }
            self.noteTopics(of: positions, known, in: &shared)
            claims.append((known.id, positions))
        }
        return claims
    }

    func now() -> Timestamp {
        self.retentionClock.read(wall: self.clock.wallTime, now: self.clock.now)
    }
}
