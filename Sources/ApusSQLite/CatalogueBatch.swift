import ApusCore
import GRDB

/// Changes that were waiting together: each holds or fails by itself, seeing what those before it did; all that hold
/// are made durable by one sync.
struct CatalogueBatch {
    /// Changes of one batch; more wait for the next.
    static let writesMax = 256

    enum Write: Sendable {
        case commit(CatalogueTransaction, then: @Sendable (Result<CatalogueReceipt, CatalogueError>) -> Void)
        case note([SubscriptionUse], then: @Sendable (Result<Void, CatalogueError>) -> Void)
    }

    enum Answer {
        case committed(CatalogueReceipt)
        case noted
        case refused(CatalogueError)
    }

    struct Outcome {
        /// One for each write, in order.
        var answers: [Answer] = []
        /// The catalogue must take no more changes.
        var failure: CatalogueError?
    }

    let writes: [Write]
    let caps: CatalogueCaps

    func run(on database: Database) -> Outcome {
        var outcome = Outcome()
        var isCommitting = false
        do {
            try database.inTransaction(.immediate) {
                let before = try CatalogueCounter.mustRead(database)
                var counter = before
                for write in self.writes { outcome.answers.append(try self.run(write, &counter, database)) }
                isCommitting = true
                if counter != before { try counter.write(to: database) }
                return .commit
            }
            return outcome
        } catch {
            // Nothing of the batch holds, not even the refusals: they were judged against what was rolled back.
            let failure = CatalogueFailure(error, isCommitting: isCommitting)
            return Outcome(
                answers: self.writes.map { _ in .refused(failure.error) },
                failure: failure.isFinal ? failure.error : nil)
        }
    }

    private func run(_ write: Write, _ counter: inout CatalogueCounter, _ database: Database) throws -> Answer {
        switch write {
        case .note(let uses, _):
            for use in uses { try CatalogueRows.note(use, in: database) }
            return .noted
        case .commit(let transaction, _):
            do throws(InvalidField) {
                try transaction.validate()
            } catch {
                return .refused(.invalid(error))
            }
            var step = CatalogueStep(transaction: transaction, caps: self.caps, counter: counter)
            do {
                try database.inSavepoint {
                    try step.run(on: database)
                    return .commit
                }
            } catch let refusal as CatalogueError {
                return .refused(refusal)
            }
            counter = step.counter
            return .committed(CatalogueReceipt(version: counter.version, outcomes: step.outcomes))
        }
    }
}

/// One transaction, change by change. A `CatalogueError` thrown on the way takes back all of it.
struct CatalogueStep {
    let transaction: CatalogueTransaction
    let caps: CatalogueCaps
    var counter: CatalogueCounter
    private(set) var outcomes: [CatalogueOutcome] = []

    init(transaction: CatalogueTransaction, caps: CatalogueCaps, counter: CatalogueCounter) {
        self.transaction = transaction
        self.caps = caps
        self.counter = counter
    }

    mutating func run(on database: Database) throws {
        self.counter.version.rawValue += 1
        for change in self.transaction.changes {
            switch change {
            case .putConsumer(let consumer, let expected): try self.put(consumer, expected, database)
            case .removeConsumer(let name, let expected): try self.remove(name, expected, database)
            case .putSubscription(let subscription, let expected): try self.put(subscription, expected, database)
            case .removeSubscription(let name, let expected): try self.remove(name, expected, database)
            }
        }
        let first = self.counter.auditLast - Int64(self.caps.auditEntries) + 1
        if first > self.counter.auditFirst {
            self.counter.auditFirst = first
            try CatalogueRows.removeAudit(before: AuditNumber(rawValue: first), in: database)
        }
    }

    private mutating func put(_ consumer: Consumer, _ expected: CatalogueVersion, _ database: Database) throws {
        let subject = CatalogueSubject.consumer(consumer.name)
        let before = try CatalogueRows.consumer(consumer.name, in: database)
        try subject.compare(before?.version, with: expected, mayBeNew: true)
        if before == nil {
            guard self.counter.consumers < self.caps.consumers else {
                throw CatalogueError.tooMany("consumers", limit: self.caps.consumers)
            }
            self.counter.consumers += 1
        }
        let entry = RegisteredConsumer(
            consumer: consumer, version: self.counter.version, createdAt: before?.createdAt ?? self.transaction.at)
        try CatalogueRows.put(entry, in: database)
        try self.audit(
            subject, before == nil ? .created : .changed, AuditDetail.of(consumer, before: before?.consumer), database)
        self.outcomes.append(.consumer(entry))
    }

    private mutating func remove(_ name: ConsumerName, _ expected: CatalogueVersion, _ database: Database) throws {
        let subject = CatalogueSubject.consumer(name)
        let before = try CatalogueRows.consumer(name, in: database)
        try subject.compare(before?.version, with: expected, mayBeNew: false)
        let owned = try CatalogueRows.owned(by: name, upTo: self.caps.subscriptions + 1, in: database)
        guard owned == 0 else { throw CatalogueError.ownsSubscriptions(name, count: owned) }
        try CatalogueRows.remove(name, in: database)
        self.counter.consumers -= 1
        try self.audit(subject, .removed, AuditDetail.of(nil, before: before?.consumer), database)
        self.outcomes.append(.consumerRemoved(name))
    }

    private mutating func put(_ subscription: Subscription, _ expected: CatalogueVersion, _ database: Database) throws {
        let subject = CatalogueSubject.subscription(subscription.name)
        let before = try CatalogueRows.subscription(subscription.name, in: database)
        try subject.compare(before?.version, with: expected, mayBeNew: true)
        guard let owner = try CatalogueRows.consumer(subscription.owner, in: database) else {
            throw CatalogueError.notFound(.consumer(subscription.owner))
        }
        if before?.subscription.owner != subscription.owner { try self.makeRoom(for: owner.consumer, database) }
        if before == nil {
            guard self.counter.subscriptions < self.caps.subscriptions else {
                throw CatalogueError.tooMany("subscriptions", limit: self.caps.subscriptions)
            }
            self.counter.subscriptions += 1
            self.counter.subscriptionLast += 1
        }
        let entry = RegisteredSubscription(
            id: before?.id ?? SubscriptionID(rawValue: self.counter.subscriptionLast), subscription: subscription,
            version: self.counter.version, createdAt: before?.createdAt ?? self.transaction.at,
            usedAt: before?.usedAt ?? self.transaction.at)
        try CatalogueRows.put(entry, in: database)
        if before == nil { try CatalogueRows.note(SubscriptionUse(id: entry.id, at: entry.usedAt), in: database) }
        try self.audit(
            subject, before == nil ? .created : .changed, AuditDetail.of(subscription, before: before?.subscription),
            database)
        self.outcomes.append(.subscription(entry))
    }

    private mutating func remove(_ name: SubscriptionName, _ expected: CatalogueVersion, _ database: Database) throws {
        let subject = CatalogueSubject.subscription(name)
        guard let before = try CatalogueRows.subscription(name, in: database) else {
            throw CatalogueError.notFound(subject)
        }
        try subject.compare(before.version, with: expected, mayBeNew: false)
        try CatalogueRows.remove(before.id, in: database)
        self.counter.subscriptions -= 1
        try self.audit(subject, .removed, AuditDetail.of(nil, before: before.subscription), database)
        self.outcomes.append(.subscriptionRemoved(name, before.id))
    }

    private func makeRoom(for owner: Consumer, _ database: Database) throws {
        let cap = owner.subscriptionsCap
        // Nobody owns more than there are: mostly that is the end of it, without counting.
        guard self.counter.subscriptions >= cap else { return }
        guard try CatalogueRows.owned(by: owner.name, upTo: cap, in: database) < cap else {
            throw CatalogueError.tooMany("subscriptions of consumer '\(owner.name)'", limit: cap)
        }
    }

    private mutating func audit(
        _ subject: CatalogueSubject, _ action: AuditEntry.Action, _ detail: String, _ database: Database
    ) throws {
        self.counter.auditLast += 1
        let entry = AuditEntry(
            number: AuditNumber(rawValue: self.counter.auditLast), version: self.counter.version,
            at: self.transaction.at, actor: self.transaction.actor, action: action, subject: subject,
            reason: self.transaction.reason, detail: detail)
        try CatalogueRows.append(entry, to: database)
    }
}
