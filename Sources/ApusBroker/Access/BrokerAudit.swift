import ApusAccess
import ApusCore
import KafkaWire
import Logging
import NIOCore
import Synchronization

/// Writes down who logged in, who was denied, and who changed what: records of the topic ``InternalTopic/audit``.
///
/// It never holds up what it is told of. Records wait in a queue with a bound, one batch at a time is written, and what
/// there is no room for is counted and told by the next record. The topic is made when the first record comes, and is
/// a topic like others: it is kept for ``Limits/auditRetention`` unless its `retention.ms` says otherwise, and whoever
/// has READ on it may read it. But no setting makes it forget (``AuditTopic``).
///
/// Owner of the queue. Any thread.
package final class BrokerAudit: Sendable {
    private struct State {
        var queue = AuditQueue()
        /// When it was last logged that a record could not be written.
        var complained = Timestamp(rawValue: .min)
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

    /// Somebody did, or could not do, something. `resource` is asked for only if it is to be written down.
    package func note(
        _ action: AuditRecord.Action, _ resource: @autoclosure () -> String, by client: ClientContext,
        _ outcome: AuditRecord.Outcome = .ok
    ) {
        guard self.isOn, client.principal != .embedded else { return }
        let kind: AuditRates.Kind =
            switch (action, outcome) {
            case (.login, .ok): .login
            case (.login, _): .failedLogin
            default: .change
            }
        self.note(kind, action, resource(), by: client, outcome)
    }

    /// Somebody had a loss taken by means of a file in the data directory: he has no client.
    func noteAtMachine(_ action: AuditRecord.Action, _ resource: @autoclosure () -> String) {
        self.note(action, resource(), by: ClientContext(principal: .atMachine))
    }

    /// A request was not allowed.
    func denied(_ operation: AccessOperation, on resource: Resource, _ client: ClientContext) {
        guard self.isOn else { return }
        self.note(
            .denial, .access, "\(operation) \(resource.type) \(resource.name.text.auditCut)", by: client, .denied)
    }

    private func note(
        _ kind: AuditRates.Kind, _ action: AuditRecord.Action, _ resource: @autoclosure () -> String,
        by client: ClientContext, _ outcome: AuditRecord.Outcome
    ) {
        let now = self.ports.clock.wallTime
        // Whoever guesses passwords says any name: all who fail share one rate.
        let principal = kind == .failedLogin ? .anonymous : client.principal
        let omitted = self.state.withLock { $0.queue.omitted(before: kind, of: principal, at: now) }
        guard let omitted else { return }
        var record = AuditRecord(
            time: now, principal: client.principal, address: client.address, clientID: client.clientID, action: action,
            resource: resource(), outcome: outcome)
        record.omitted = omitted
        let mustBegin = self.state.withLock { state -> Bool in
            if state.isClosed {
                state.queue.lose(record)
                return false
            }
            guard state.queue.append(record, kind) else { return false }
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
        let records = self.state.withLock { $0.queue.take() }
        guard !records.isEmpty else { return self.rest() }
        self.write(records[...])
    }

    /// As many as one batch takes; the others go back.
    private func write(_ records: ArraySlice<AuditRecord>) {
        var builder = RecordBatchBuilder()
        var bytes = 0
        var end = records.startIndex
        while end < records.endIndex {
            let record = records[end]
            let (key, value) = (ByteBuffer(string: record.principal.text.text), record.json())
            bytes += key.readableBytes + value.readableBytes
            guard end == records.startIndex || bytes <= Limits.auditBatchBytesMax.rawValue else { break }
            builder.append(key: key, value: value, timestamp: record.time.rawValue)
            end += 1
        }
        if end < records.endIndex { self.state.withLock { $0.queue.putBack(records[end...]) } }
        self.write(builder.finish(), of: records[..<end])
    }

    private func write(_ batch: ByteBuffer, of records: ArraySlice<AuditRecord>) {
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
            case let error? where error.isOfBatch: self.refused(records, error)
            case let error?: self.failed(records, error)
            }
        }
    }

    private func makeTopic(
        _ broker: Broker, then: @escaping @Sendable () -> Void, orFail: @escaping @Sendable (BrokerError) -> Void
    ) {
        let wish = TopicSpecification(
            name: InternalTopic.audit, partitions: 1, configuration: AuditTopic.configuration)
        broker.create([wish], client: .embedded, on: self.loop) { results in
            switch results[0] {
            case .success, .failure(.topicExists): then()
            case .failure(let error): orFail(error)
            }
        }
    }

    /// The same bytes would be refused for ever, and everything behind them would wait: half of them is tried, down to
    /// the one record that is at fault, which is counted as lost.
    private func refused(_ records: ArraySlice<AuditRecord>, _ error: BrokerError) {
        let half = records[..<(records.startIndex + records.count / 2)]
        guard half.isEmpty else {
            self.state.withLock { $0.queue.putBack(records[half.endIndex...]) }
            // Not at once: a refusal may come before the call returns, and there may be many.
            return self.loop.execute { self.write(half) }
        }
        let now = self.ports.clock.wallTime
        let mustTell = self.state.withLock { state in
            for record in records { state.queue.lose(record) }
            guard now.rawValue / 1000 != state.complained.rawValue / 1000 else { return false }
            state.complained = now
            return true
        }
        if mustTell { self.complain("a record of the audit log is refused and left out", records.count, error) }
        self.loop.execute { self.writeNext() }
    }

    /// Tried again a little later. After a time-out they may be there already: twice is better than never.
    private func failed(_ records: ArraySlice<AuditRecord>, _ error: BrokerError) {
        self.complain("the audit log can not be written", records.count, error)
        let isClosed = self.state.withLock { state in
            if state.isClosed { state.queue.removeAll() } else { state.queue.putBack(records) }
            return state.isClosed
        }
        guard !isClosed else { return self.rest() }
        self.loop.scheduleTask(in: .nanoseconds(Limits.auditRetryPause.wholeNanoseconds)) { self.writeNext() }
    }

    private func complain(_ what: Logger.Message, _ count: Int, _ error: BrokerError) {
        self.ports.logger.error(what, metadata: ["records": "\(count)", "reason": "\(error)"])
    }

    private func rest() {
        let (again, drained) = self.state.withLock { state -> (Bool, [@Sendable () -> Void]) in
            // A record that came while we looked sees us busy, and begins nothing.
            guard state.queue.isEmpty else { return (true, []) }
            state.isBusy = false
            defer { state.drained = [] }
            return (false, state.drained)
        }
        if again { return self.writeNext() }
        for then in drained { then() }
    }
}

extension BrokerError {
    /// It is these bytes that are not taken, and they would not be later.
    fileprivate var isOfBatch: Bool {
        switch self {
        case .batchTooLarge, .batchLargerThanSegment, .corruptBatch, .invalidRecord, .invalidTimestamp,
            .unsupportedCompression, .unsupportedForMessageFormat:
            true
        default: false
        }
    }
}
