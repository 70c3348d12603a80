package import ApusAccess
package import ApusCore
package import Logging
import NIOCore
import Synchronization

/// The verbs of a pub-sub system, for every door: callable from any thread, answered exactly once on the event loop
/// that the caller names.
///
/// The broker does nothing itself: topics are decided by the registry on one loop, data by the shard that owns the
/// partition. Owner of what is shared between threads: the published topics and the listeners' addresses.
package final class Broker: Sendable {
    package let settings: BrokerSettings
    package let memory: MemoryBudget
    /// For what reads of this process's own code find, until it is handed over as messages.
    package let readMemory: ReplyMemory
    /// Who may do what, as it is now.
    package let access: BrokerAccess
    package let audit: BrokerAudit
    package let quotas: BrokerQuotas
    let ports: BrokerPorts
    let shards: [Shard]
    let registry: BrokerRegistry
    /// Who subscribes to what, in memory.
    package let subscriptions: BrokerSubscriptions
    let producerIDs: BrokerProducerIDs

    private let published: BrokerPublication
    private let listeners = Mutex<[String: Endpoint]>([:])

    init(
        settings: BrokerSettings, ports: BrokerPorts, shards: [Shard], registry: BrokerRegistry,
        subscriptions: BrokerSubscriptions, published: BrokerPublication, access: BrokerAccess,
        audit: BrokerAudit
    ) {
        self.settings = settings
        self.access = access
        self.audit = audit
        self.quotas = BrokerQuotas(access, clock: ports.clock)
        self.ports = ports
        self.memory = MemoryBudget(limit: settings.requestMemory)
        self.readMemory = ReplyMemory(limit: settings.readMemory)
        self.shards = shards
        self.registry = registry
        self.subscriptions = subscriptions
        self.producerIDs = BrokerProducerIDs(registry: registry)
        self.published = published
    }

    package var identity: BrokerIdentity { self.settings.identity }

    /// By the broker's clock.
    package var now: Instant { self.ports.clock.now }
    package var wallTime: Timestamp { self.ports.clock.wallTime }

    /// All topics as they are now.
    package var topics: TopicSnapshot { self.published.topics }

    /// The configuration of brokers and topics as it is now.
    var table: ConfigurationTable { self.published.table }

    /// Where clients reach each listener, by the listener's name. Told by the assembly once the port is known.
    package var endpoints: [String: Endpoint] { self.listeners.withLock { $0 } }

    package func advertise(_ endpoint: Endpoint, for listener: String) {
        self.listeners.withLock { $0[listener] = endpoint }
    }

    // MARK: Loops

    func shard(of topic: Topic, _ partition: PartitionIndex) -> Shard {
        let world = self.shards[0].world
        return self.shards[world.shardIndex(of: TopicPartition(topic: topic.id, partition: partition))]
    }

    /// The way to a caller's loop: mostly a shard's own.
    func mailbox(of loop: any EventLoop) -> ShardMailbox {
        for shard in self.shards where shard.loop === loop { return shard.mailbox }
        return ShardMailbox(loop: loop)
    }
}

/// What is published to all threads. Replaced as a whole by the registry.
final class BrokerPublication: Sendable {
    /// Alone, because every request copies it: two references.
    private let snapshot: Mutex<TopicSnapshot>
    private let configuration: Mutex<ConfigurationTable>

    init(_ registry: TopicRegistry) {
        self.snapshot = Mutex(registry.snapshot)
        self.configuration = Mutex(registry.table)
    }

    var topics: TopicSnapshot { self.snapshot.withLock { $0 } }
    var table: ConfigurationTable { self.configuration.withLock { $0 } }

    func publish(_ registry: TopicRegistry) {
        self.configuration.withLock { $0 = registry.table }
        self.snapshot.withLock { $0 = registry.snapshot }
    }
}

/// What the assembly decides about a broker before it starts.
package struct BrokerSettings: Sendable {
    package var identity: BrokerIdentity
    /// This start's number, larger than at every start before: the leader epoch of every partition of a lone broker.
    package var incarnation: Epoch
    /// Whether the life before ended with ``Broker/close(on:then:)`` answering that all is clean (or there was none).
    /// Otherwise the end of a log may be torn, and is cut where it is.
    package var wasCleanShutdown: Bool
    /// Where the logs ended when a broker was last closed; no log may end below.
    package var ends = LogEnds()
    /// Where the data is, for people.
    package var dataDirectory: String
    /// For all shards together.
    package var tailCache: ByteCount = Limits.tailCacheDefault
    package var requestMemory: ByteCount = Limits.requestMemoryDefault
    /// For reads of this process's own code.
    package var readMemory: ByteCount = Limits.readMemoryDefault
    package var freeBytesFloor: ByteCount = Limits.freeBytesFloorDefault
    /// What each shard keeps open; see ``Limits/partitionsOpenPerShardMax``.
    package var partitionsOpenPerShardMax = Limits.partitionsOpenPerShardMax
    /// Whether rights are asked for; false: everybody may do everything.
    package var isAuthorizing = false
    /// Whether logins, denials and changes are written to ``InternalTopic/audit``. Nil: where rights are asked for.
    package var isAuditing: Bool?
    /// Whom no rule concerns.
    package var superUsers: Set<Principal> = []
    /// What each user may do where no quota says anything. Nil: ``QuotaRules/generous`` where users log in; where
    /// nobody has to, all are one user, and nothing.
    package var quotaFallback: [QuotaKind: Double]?
    var quotas: [QuotaKind: Double] { self.quotaFallback ?? (self.isAuthorizing ? QuotaRules.generous : [:]) }
    /// The broker's configuration as started with, by Kafka's names: `num.partitions`, `log.retention.ms`, …
    package var configuration: [String: String] = [:]

    package init(identity: BrokerIdentity, incarnation: Epoch, wasCleanShutdown: Bool, dataDirectory: String) {
        self.identity = identity
        self.wasCleanShutdown = wasCleanShutdown
        self.incarnation = incarnation
        self.dataDirectory = dataDirectory
    }
}

/// The world as a broker sees it.
package struct BrokerPorts: Sendable {
    package var disk: any DiskQueue
    package var store: any CoordinatorStore
    /// Nil: there are no subscriptions, and none can be made.
    package var catalogue: (any Catalogue)?
    package var clock: any Clock
    package var randomness: any Randomness
    package var logger: Logger

    package init(
        disk: any DiskQueue, store: any CoordinatorStore, catalogue: (any Catalogue)? = nil, clock: any Clock,
        randomness: any Randomness, logger: Logger
    ) {
        self.disk = disk
        self.store = store
        self.catalogue = catalogue
        self.clock = clock
        self.randomness = randomness
        self.logger = logger
    }
}
