package import ApusCore
package import Logging
import Synchronization

/// The verbs of a pub-sub system, for every door: callable from any thread, answered exactly once on the event loop
/// that the caller names.
///
/// The broker does nothing itself: topics are decided by the registry on one loop, data by the shard that owns the
/// partition. Owner of what is shared between threads: the published topics, the listeners' addresses, the memory.
package final class Broker: Sendable {
    package let settings: BrokerSettings
    package let memory: MemoryBudget

    private let published: Mutex<TopicSnapshot>
    private let listeners = Mutex<[String: Endpoint]>([:])

    init(settings: BrokerSettings) {
        self.settings = settings
        self.memory = MemoryBudget(limit: settings.requestMemory)
        self.published = Mutex(TopicSnapshot())
    }

    package var identity: BrokerIdentity { self.settings.identity }

    /// All topics as they are now.
    package var topics: TopicSnapshot { self.published.withLock { $0 } }

    func publish(_ topics: TopicSnapshot) {
        self.published.withLock { $0 = topics }
    }

    /// Where clients reach each listener, by the listener's name. Told by the assembly once the port is known.
    package var endpoints: [String: Endpoint] { self.listeners.withLock { $0 } }

    package func advertise(_ endpoint: Endpoint, for listener: String) {
        self.listeners.withLock { $0[listener] = endpoint }
    }
}

/// What the assembly decides about a broker before it starts.
package struct BrokerSettings: Sendable {
    package var identity: BrokerIdentity
    /// This start's number, larger than at every start before: the leader epoch of every partition of a lone broker.
    package var incarnation: Epoch
    /// Whether the last run closed its logs (the data directory's clean mark). False makes recovery read more.
    package var wasCleanShutdown: Bool
    /// Where the data is, for people.
    package var dataDirectory: String
    package var tailCache: ByteCount = Limits.tailCacheDefault
    package var requestMemory: ByteCount = Limits.requestMemoryDefault
    package var freeBytesFloor: ByteCount = Limits.freeBytesFloorDefault
    /// The broker's configuration as started with, by Kafka's names: `num.partitions`, `log.retention.ms`, …
    package var configuration: [String: String] = [:]

    package init(
        identity: BrokerIdentity, incarnation: Epoch, wasCleanShutdown: Bool, dataDirectory: String
    ) {
        self.identity = identity
        self.incarnation = incarnation
        self.wasCleanShutdown = wasCleanShutdown
        self.dataDirectory = dataDirectory
    }
}

/// The world as a broker sees it.
package struct BrokerPorts: Sendable {
    package var disk: any DiskQueue
    package var store: any CoordinatorStore
    package var clock: any Clock
    package var randomness: any Randomness
    package var logger: Logger

    package init(
        disk: any DiskQueue, store: any CoordinatorStore, clock: any Clock, randomness: any Randomness, logger: Logger
    ) {
        self.disk = disk
        self.store = store
        self.clock = clock
        self.randomness = randomness
        self.logger = logger
    }
}
