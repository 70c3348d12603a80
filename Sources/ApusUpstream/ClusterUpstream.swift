package import ApusAccess
package import ApusBroker
package import ApusClient
package import ApusCore
package import EdgeDoor
package import Logging
package import NIOCore
import KafkaWire
import Synchronization

/// Brokers elsewhere, as the endpoint server asks them: over the Kafka protocol, one connection to each broker that
/// leads what is read, as one principal for all clients.
///
/// The clients' own rights are judged here, by the rules that the brokers tell (``UpstreamRules``); what is then asked,
/// is asked with the endpoint server's. Any thread.
package final class ClusterUpstream: EdgeUpstream, Sendable {
    /// What a start found.
    package struct Started: Sendable {
        package var upstream: ClusterUpstream
        package var cursorKey: [UInt8]
        package var clusterID: String
    }

    let desk: UpstreamDesk
    private let clock: any Clock

    private init(_ desk: UpstreamDesk, clock: any Clock) {
        self.desk = desk
        self.clock = clock
    }

    /// Asks the brokers what has to be known to serve clients. Fails when none answers, or they refuse.
    package static func start(
        _ configuration: ClientConfiguration, clock: any Clock, logger: Logger
    ) -> EventLoopFuture<Started> {
        let desk = UpstreamDesk(DirectCalls(configuration), clock: clock, logger: logger)
        let promise = desk.loop.makePromise(of: Started.self)
        desk.loop.execute {
            desk.look { heard in
                switch heard {
                case .success(let answer):
                    let upstream = ClusterUpstream(desk, clock: clock)
                    promise.succeed(
                        Started(
                            upstream: upstream, cursorKey: Array(buffer: answer.cursorKey),
                            clusterID: answer.clusterID))
                case .failure(let error):
                    desk.close()
                    promise.fail(UpstreamFailure(error))
                }
            }
        }
        return promise.futureResult
    }

    package func close() {
        self.desk.loop.execute { self.desk.close() }
    }

    /// Whether brokers were heard of late, so that clients can be served.
    package var isHeard: Bool { self.desk.mayServe }

    /// A server to log in at with somebody's own credentials; nil: no broker is known.
    package func someServer() -> EventLoopFuture<String?> {
        self.desk.loop.submit { self.desk.calls.someServer }
    }

    // MARK: Topics

    package func topic(
        named name: String, on loop: any EventLoop, then: @escaping (Result<EdgeTopic?, BrokerError>) -> Void
    ) {
        let now = self.clock.now
        let known = self.desk.shared.withLock { shared -> Result<EdgeTopic?, Never>? in
            shared.rules.hold(at: now) ? shared.book.find(name, at: now) : nil
        }
        if case .success(let topic)? = known { return then(.success(topic)) }
        let bound = NIOLoopBound(then, eventLoop: loop)
        self.desk.loop.execute {
            self.desk.ask(name) { result in loop.execute { bound.value(result) } }
        }
    }

    package var topicsVersion: Int64 { self.desk.shared.withLock { $0.book.version } }

    package func topic(_ id: TopicID) -> EdgeTopic? { self.desk.shared.withLock { $0.book[id] } }

    package func create(
        _ topic: TopicSpecification, client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable (Result<EdgeTopic, BrokerError>) -> Void
    ) {
        guard client.mayList(.create, on: .cluster) || client.allows(.create, onTopic: topic.name) else {
            return loop.execute { then(.failure(.topicAuthorizationFailed)) }
        }
        self.ask(CreateTopicsRequest(topic, for: client), on: loop, then: then) { answer in
            guard let made = answer.topics.first else { return .failure(.timedOut) }
            if made.errorCode == .throttlingQuotaExceeded {
                return .failure(.quotaExceeded(.milliseconds(max(0, answer.throttleTimeMs))))
            }
            if let error = BrokerError(made.errorCode, made.errorMessage) { return .failure(error) }
            let id = TopicID(high: made.topicID.high, low: made.topicID.low)
            return .success(EdgeTopic(id: id, name: made.name, partitionCount: max(1, Int(made.numPartitions))))
        }
    }

    package func deleteTopic(
        _ name: String, client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable (Result<Void, BrokerError>) -> Void
    ) {
        guard client.allows(.delete, onTopic: name) else {
            return loop.execute { then(.failure(.topicAuthorizationFailed)) }
        }
        var request = DeleteTopicsRequest()
        var topic = DeleteTopicsRequest.Topic()
        topic.name = name
        request.topics = [topic]
        request.topicNames = [name]
        request.timeoutMs = Int32(clamping: UpstreamLimits.answerWaitMax.wholeMilliseconds)
        request.behalf.principal = client.principal.description
        (request.behalf.clientID, request.behalf.address) = (client.clientID, client.address)
        self.ask(request, on: loop, then: then) { answer in
            guard let deleted = answer.responses.first else { return .failure(.timedOut) }
            if deleted.errorCode == .throttlingQuotaExceeded {
                return .failure(.quotaExceeded(.milliseconds(max(0, answer.throttleTimeMs))))
            }
            return BrokerError(deleted.errorCode, deleted.errorMessage).map { .failure($0) } ?? .success(())
        }
    }

    /// Asks whichever broker is connected, if the rules hold, and answers on the loop that asked.
    func ask<Request: KafkaRequest, Answer: Sendable>(
        _ request: Request, on loop: any EventLoop, then: @escaping @Sendable (Result<Answer, BrokerError>) -> Void,
        _ read: @escaping @Sendable (Request.Response) -> Result<Answer, BrokerError>
    ) {
        self.desk.loop.execute {
            guard self.desk.mayServe else { return loop.execute { then(.failure(UpstreamDesk.unheard)) } }
            self.desk.call(request, to: nil, waiting: UpstreamLimits.answerWaitMax) { result in
                let answer = result.flatMap { read($0) }
                loop.execute { then(answer) }
            }
        }
    }

    // MARK: Records

    package func listOffsets(
        _ queries: [OffsetQuery], client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable ([Result<OffsetAnswer, BrokerError>]) -> Void
    ) {
        let question = OffsetQuestions(queries, self.desk) { answers in loop.execute { then(answers) } }
        self.desk.loop.execute { question.ask() }
    }

    @discardableResult
    package func fetch(
        _ entries: [FetchEntry], limits: FetchLimits, client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable ([FetchResult]) -> Void
    ) -> any EdgeTicket {
        let read = UpstreamRead(entries, limits, at: self.clock.now, home: self.desk.loop, on: loop, then: then)
        let mayRead = self.mayRead(entries, client)
        self.desk.loop.execute {
            if mayRead { self.desk.begin(read) } else { read.fail(.topicAuthorizationFailed) }
        }
        return read
    }

    private func mayRead(_ entries: [FetchEntry], _ client: ClientContext) -> Bool {
        guard client.principal != .embedded, !client.access.isUnrestricted else { return true }
        let names = self.desk.shared.withLock { shared in
            Set(
                entries.map { entry in
                    guard case .id(let id) = entry.topic else { return nil }
                    return shared.book[id]?.name
                } as [String?])
        }
        return names.allSatisfy { $0.map { client.allows(.read, onTopic: $0) } ?? false }
    }

    package func write(
        _ message: AddressedMessage, to topic: String, timeout: Duration, spread: UInt32, client: ClientContext,
        on loop: any EventLoop, then: @escaping @Sendable (Result<WrittenPlace, BrokerError>) -> Void
    ) {
        guard client.allows(.write, onTopic: topic) else {
            return loop.execute { then(.failure(.topicAuthorizationFailed)) }
        }
        let write = UpstreamWrite(
            message, to: topic, timeout: timeout, spread: spread, at: self.clock.wallTime, self.desk
        ) { result in loop.execute { then(result) } }
        self.desk.loop.execute { write.begin() }
    }

    // MARK: Rights and quotas

    package func client(_ principal: Principal, address: String, channels: ChannelGrants?) -> ClientContext {
        let view = self.desk.shared.withLock { $0.rules.view(of: principal, from: HostAddress(address)) }
        return ClientContext(principal: principal, address: address, access: view.bounded(by: channels))
    }

    package func holds(key id: String) -> Bool { self.desk.shared.withLock { $0.keys.hold(id) } }

    package var rightsVersion: Int64 { self.desk.shared.withLock { $0.rules.version } }

    package func renew(_ client: inout ClientContext) {
        self.desk.shared.withLock { $0.rules.renew(&client) }
    }

    /// Counted here: what the brokers count is the endpoint server's.
    package func meter(of client: ClientContext) -> QuotaMeter? {
        QuotaMeter(client.principal, clientID: client.clientID, self.desk.quotas)
    }

    // MARK: For operators

    /// What is held and asked upstream.
    package struct Figures: Sendable {
        /// Brokers that were asked, and those that there is a connection to now.
        package var brokers: Int
        package var connections: Int
        package var readersWaiting: Int
        package var topics: Int
        package var rules: Int
        package var requests: Int
        package var failures: Int
        /// Nil: never.
        package var rulesAge: Duration?
    }

    package func figures() -> EventLoopFuture<Figures> {
        self.desk.loop.submit {
            let links = self.desk.calls.links
            let now = self.clock.now
            let (topics, rules, age) = self.desk.shared.withLock {
                ($0.book.count, $0.rules.count, $0.rules.age(at: now))
            }
            return Figures(
                brokers: links.count, connections: links.count { $0.isConnected },
                readersWaiting: self.desk.parkedCount, topics: topics, rules: rules,
                requests: self.desk.requestsSent, failures: self.desk.requestsFailed, rulesAge: age)
        }
    }
}

extension CreateTopicsRequest {
    /// The topic is to be the client's.
    fileprivate init(_ topic: TopicSpecification, for client: ClientContext) {
        self.init()
        self.behalf.principal = client.principal.description
        (self.behalf.clientID, self.behalf.address) = (client.clientID, client.address)
        var wish = CreateTopicsRequest.Topic()
        wish.name = topic.name
        wish.numPartitions = topic.partitions
        wish.replicationFactor = topic.replicationFactor
        wish.configs = topic.configuration.sorted { $0.key < $1.key }.map { name, value in
            var entry = CreateTopicsRequest.Config()
            entry.name = name
            entry.value = value
            return entry
        }
        self.topics = [wish]
        self.timeoutMs = Int32(clamping: UpstreamLimits.answerWaitMax.wholeMilliseconds)
    }
}
