@_exported public import ApusCore
public import NIOCore
import Synchronization

/// A client of an Apus cluster, or of any cluster that speaks the Kafka protocol.
///
/// ```swift
/// let apus = ApusClient(.init(servers: ["localhost:9092"]))
/// try await apus.withConnection { apus in
///     try await apus.topics.create("orders", partitions: 6)
///     try await apus.withProducer(.init(topic: "orders")) { producer in
///         for line in lines { try await producer.send(line) }
///     }
///     for try await record in apus.read("orders", from: .start, until: .end) { print(record.offset) }
/// }
/// ```
///
/// It holds one connection to each broker it needs, made when first needed, made again when lost. All of it lives on
/// one event loop; the calls may come from any task.
public final class ApusClient: Sendable {
    public let configuration: ClientConfiguration
    let core: ClientCore
    private let publisher: Mutex<Producer?>

    /// Nothing is connected before something is asked for.
    public convenience init(_ configuration: ClientConfiguration) {
        self.init(configuration, environment: .system(configuration))
    }

    init(_ configuration: ClientConfiguration, environment: ClientEnvironment) {
        self.configuration = configuration
        self.core = ClientCore(configuration, environment: environment)
        self.publisher = Mutex(nil)
    }

    /// Keeps the client open until the task is cancelled or ``close()`` is called; then it is closed.
    ///
    /// The shape of a long-lived service. The client works without it too.
    public func run() async throws {
        let core = self.core
        let waiter = Waiter()
        core.loop.execute { core.whenClosed(waiter) }
        do {
            try await waiter.value()
        } catch is CancellationError {
            await self.close()
        }
    }

    /// Connects (so a wrong address fails here), runs `body`, and closes the client.
    /// - Throws: `.unreachable` when no server answers within `callTimeout`, and what `body` throws.
    public func withConnection<Answer>(_ body: (ApusClient) async throws -> Answer) async throws -> Answer {
        do {
            try await self.core.learn([], within: self.configuration.callTimeout)
            let answer = try await body(self)
            await self.close()
            return answer
        } catch {
            await self.close()
            throw error
        }
    }

    /// Closes the connections. Producers and readers that are still open fail with `.closed`; producers do not flush.
    public func close() async {
        let core = self.core
        await core.ask { core.close() }
    }

    /// Topics: create, delete, list, describe, grow, configure, trim, offsets.
    public var topics: TopicAdmin { TopicAdmin(core: self.core) }

    /// Groups of consumers: list, describe, lag, positions, delete.
    public var groups: GroupAdmin { GroupAdmin(core: self.core) }

    /// Users and their passwords.
    public var users: UserAdmin { UserAdmin(core: self.core) }

    /// Subscriptions: make, change, list, remove; who has read a record, who holds a topic's bytes.
    public var subscriptions: SubscriptionAdmin { SubscriptionAdmin(core: self.core) }

    /// Rules of who may do what: list, make, remove.
    public var acls: AclAdmin { AclAdmin(core: self.core) }

    /// Quotas of users, client ids and addresses: list, set, remove.
    public var quotas: QuotaAdmin { QuotaAdmin(core: self.core) }

    /// The cluster and its brokers.
    public var cluster: ClusterAdmin { ClusterAdmin(core: self.core) }
}

extension ApusClient {
    /// A producer for the length of `body`. On the way out it is flushed; if `body` succeeded but a record that was
    /// sent did not make it, that record's error is thrown.
    public func withProducer<Answer>(
        _ options: ProducerOptions = ProducerOptions(), _ body: (Producer) async throws -> Answer
    ) async throws -> Answer {
        let producer = try self.producer(options)
        let answer: Answer
        do {
            answer = try await body(producer)
        } catch {
            // The body's own error is the one to be told; when cancelled, this does not wait.
            try? await producer.close()
            throw error
        }
        try await producer.close()
        return answer
    }

    /// A producer that lives until its own ``Producer/close()``, or the client's.
    /// - Throws: `.invalidArgument` for options that can not be right.
    public func producer(_ options: ProducerOptions = ProducerOptions()) throws -> Producer {
        try options.check()
        let engine = ProducerEngine(core: self.core, options: options)
        self.core.loop.execute { engine.start() }
        return Producer(engine)
    }

    /// Sends one record and waits until the brokers hold it as safely as the topic promises.
    ///
    /// All calls of one client share a producer with the default options.
    @discardableResult
    public func publish(
        _ value: ByteBuffer?, key: ByteBuffer? = nil, headers: [RecordHeader] = [], to topic: String,
        partition: PartitionIndex? = nil
    ) async throws -> DeliveryReceipt {
        let producer = try self.publisher.withLock { publisher in
            if let publisher { return publisher }
            let producer = try self.producer()
            publisher = producer
            return producer
        }
        return try await producer.sendAndWait(
            ProducerRecord(value, key: key, headers: headers, topic: topic, partition: partition))
    }

    /// Sends one text as a record and waits until the brokers hold it as safely as the topic promises.
    @discardableResult
    public func publish(_ value: String, key: String? = nil, to topic: String) async throws -> DeliveryReceipt {
        try await self.publish(ByteBuffer(string: value), key: key.map { ByteBuffer(string: $0) }, to: topic)
    }

    /// The records of a topic, one by one, in order within each partition.
    ///
    /// Reading starts with the first `next()`. Records are fetched ahead of the loop, up to
    /// ``ReaderOptions/bufferedBytesMax``, and no further: a slow loop slows the fetching, not the memory.
    /// Leaving the loop ends the fetching.
    /// - Parameter partitions: nil for all the topic has at the start.
    public func read(
        _ topic: String, partitions: [PartitionIndex]? = nil, from start: ReaderStart = .start,
        until end: ReaderEnd = .never, options: ReaderOptions = ReaderOptions()
    ) -> RecordSequence {
        RecordSequence(
            batches: self.readBatches(topic, partitions: partitions, from: start, until: end, options: options)
        )
    }

    /// The same by whole batches, as producers made them: for throughput.
    public func readBatches(
        _ topic: String, partitions: [PartitionIndex]? = nil, from start: ReaderStart = .start,
        until end: ReaderEnd = .never, options: ReaderOptions = ReaderOptions()
    ) -> BatchSequence {
        let plan = ReaderPlan(topic: topic, partitions: partitions, start: start, end: end, options: options)
        return BatchSequence(core: self.core, plan: plan)
    }
}
