import ApusAccess
import ApusCore
import DequeModule
import KafkaWire
import Logging
import NIOCore
import Synchronization

/// Writes down who logged in, who was denied, and who changed what: records of the topic ``InternalTopic/audit``.
///
/// It never holds up what it is told of. Records wait in a queue with a bound, one batch at a time is written, and what
/// there is no room for is counted and told by the next record. The topic is made when the first record comes, and is
/// a topic like others: it is kept for ``Limits/auditRetention`` unless its `retention.ms` says otherwise, and whoever
/// has READ on it may read it.
///
/// Owner of the queue. Any thread.
package final class BrokerAudit: Sendable {
    private struct State {
        var waiting = Deque<AuditRecord>()
        var lost = 0
        var denials = DenialCounts()
        /// A batch is on its way, or will be.
        var isBusy = false
        var isClosed = false
        var drained: [@Sendable () -> Void] = []
        weak var broker: Broker?
    }

    package let isOn: Bool
    private let state = Mutex(State())
    private let loop: any EventLoop
    private let ports: BrokerPorts

    init(isOn: Bool, loop: any EventLoop, ports: BrokerPorts) {
        self.isOn = isOn
        self.loop = loop
        self.ports = ports
    }

    func begin(_ broker: Broker) { self.state.withLock { $0.broker = broker } }

    // MARK: Noting

    /// Somebody did, or could not do, something.
    package func note(
        _ action: AuditRecord.Action, _ resource: String, by client: ClientContext, _ outcome: AuditRecord.Outcome = .ok
    ) {
        guard self.isOn, client.principal != .embedded else { return }
        var record = AuditRecord(
            time: self.ports.clock.wallTime, principal: client.principal, address: client.address,
            clientID: client.clientID, action: action, resource: resource, outcome: outcome)
        if action == .login, case .failed = outcome {
            // Whoever guesses passwords fills the log no faster than whoever asks for what is forbidden.
            let omitted = self.state.withLock { $0.denials.denied(.anonymous, at: record.time) }
            guard let omitted else { return }
            record.omitted = omitted
        }
        self.note(record)
    }

    /// A request was not allowed.
    func denied(_ operation: AccessOperation, on resource: Resource, _ client: ClientContext) {
        guard self.isOn else { return }
        let now = self.ports.clock.wallTime
        guard let omitted = self.state.withLock({ $0.denials.denied(client.principal, at: now) }) else { return }
        var record = AuditRecord(
            time: now, principal: client.principal, address: client.address, clientID: client.clientID, action: .access,
            resource: "\(operation) \(resource.type) \(resource.name)", outcome: .denied)
        record.omitted = omitted
        self.note(record)
    }

    private func note(_ record: AuditRecord) {
        let mustBegin = self.state.withLock { state -> Bool in
            guard !state.isClosed, state.waiting.count < Limits.auditRecordsWaitingMax else {
                state.lost += 1
                return false
            }
            var record = record
            record.lost = state.lost
            state.lost = 0
            state.waiting.append(record)
            defer { state.isBusy = true }
            return !state.isBusy
        }
        if mustBegin { self.loop.execute { self.writeNext() } }
    }

    /// Takes no more, and calls back when what waited is written or can not be.
    func close(then: @escaping @Sendable () -> Void) {
        let isIdle = self.state.withLock { state -> Bool in
            state.isClosed = true
            if state.isBusy { state.drained.append(then) }
            return !state.isBusy
        }
        if isIdle { then() }
    }

    // MARK: Writing, on the loop

    private func writeNext() {
        let records = self.state.withLock { state -> [AuditRecord] in
            let records = Array(state.waiting.prefix(Limits.auditRecordsPerBatchMax)) as [AuditRecord]
            state.waiting.removeFirst(records.count)
            return records
        }
        guard !records.isEmpty else { return self.rest() }
        var builder = RecordBatchBuilder()
        for record in records {
            builder.append(
                key: ByteBuffer(string: record.principal.text.text), value: record.json(),
                timestamp: record.time.rawValue)
        }
        self.write(builder.finish(), of: records)
    }

    private func write(_ batch: ByteBuffer, of records: [AuditRecord]) {
        guard let broker = self.state.withLock({ $0.broker }) else { return self.failed(records, .shuttingDown) }
        let entry = ProduceEntry(
            topic: .name(InternalTopic.audit), partition: PartitionIndex(rawValue: 0), records: batch)
        broker.produce(
            [entry], acks: .all, timeout: Limits.auditWriteWaitMax, client: .embedded, on: self.loop
        ) { results in
            switch results[0].error {
            case nil: self.writeNext()
            case .unknownTopicOrPartition:
                self.makeTopic(broker) {
                    self.write(batch, of: records)
                } orFail: {
                    self.failed(records, $0)
                }
            case let error?: self.failed(records, error)
            }
        }
    }

    private func makeTopic(
        _ broker: Broker, then: @escaping @Sendable () -> Void, orFail: @escaping @Sendable (BrokerError) -> Void
    ) {
        let wish = TopicSpecification(
            name: InternalTopic.audit, partitions: 1,
            configuration: ["retention.ms": "\(Limits.auditRetention.wholeMilliseconds)"])
        broker.create([wish], client: .embedded, on: self.loop) { results in
            switch results[0] {
            case .success, .failure(.topicExists): then()
            case .failure(let error): orFail(error)
            }
        }
    }

    /// Tried again a little later. After a time-out they may be there already: twice is better than never.
    private func failed(_ records: [AuditRecord], _ error: BrokerError) {
        self.ports.logger.error(
            "the audit log can not be written", metadata: ["records": "\(records.count)", "reason": "\(error)"])
        let isClosed = self.state.withLock { state in
            if state.isClosed { state.waiting = [] } else { state.waiting.prepend(contentsOf: records) }
            return state.isClosed
        }
        guard !isClosed else { return self.rest() }
        self.loop.scheduleTask(in: .nanoseconds(Limits.auditRetryPause.wholeNanoseconds)) { self.writeNext() }
    }

    private func rest() {
        let (again, drained) = self.state.withLock { state -> (Bool, [@Sendable () -> Void]) in
            // A record that came while we looked sees us busy, and begins nothing.
            guard state.waiting.isEmpty else { return (true, []) }
            state.isBusy = false
            defer { state.drained = [] }
            return (false, state.drained)
        }
        if again { return self.writeNext() }
        for then in drained { then() }
    }
}
