import ApusCore

/// What a catalogue holds, as a value: a commit works on a copy, which is taken or thrown away.
struct FakeCatalogueWorld {
    private(set) var version = CatalogueVersion.none
    private(set) var consumers: [ConsumerName: RegisteredConsumer] = [:]
    private(set) var subscriptions: [SubscriptionName: RegisteredSubscription] = [:]
    private(set) var trail: [AuditEntry] = []
    private var subscriptionLast: Int64 = 0
    private var auditLast: Int64 = 0

    func page<Item, Key: Comparable>(
        _ items: some Sequence<Item>, _ limit: Int, _ key: (Item) -> Key
    ) -> CataloguePage<Item, Key> {
        let sorted = items.sorted { key($0) < key($1) }
        let part = Array(sorted.prefix(min(max(1, limit), Limits.cataloguePageMax)))
        return CataloguePage(
            items: part, next: part.count < sorted.count ? part.last.map(key) : nil, version: self.version)
    }

    mutating func note(_ use: SubscriptionUse) {
        guard var entry = self.subscriptions.values.first(where: { $0.id == use.id }) else { return }
        entry.usedAt = max(entry.usedAt, use.at)
        self.subscriptions[entry.subscription.name] = entry
    }

    func committing(
        _ transaction: CatalogueTransaction, _ caps: CatalogueCaps
    ) -> Result<(FakeCatalogueWorld, CatalogueReceipt), CatalogueError> {
        do throws(InvalidField) {
            try transaction.validate()
        } catch {
            return .failure(.invalid(error))
        }
        var world = self
        world.version.rawValue += 1
        var outcomes: [CatalogueOutcome] = []
        do throws(CatalogueError) {
            for change in transaction.changes { outcomes.append(try world.make(change, of: transaction, caps)) }
        } catch {
            return .failure(error)
        }
        world.trail = world.trail.suffix(caps.auditEntries)
        return .success((world, CatalogueReceipt(version: world.version, outcomes: outcomes)))
    }

    private mutating func make(
        _ change: CatalogueChange, of transaction: CatalogueTransaction, _ caps: CatalogueCaps
    ) throws(CatalogueError) -> CatalogueOutcome {
        switch change {
        case .putConsumer(let consumer, let expected): try self.put(consumer, expected, transaction, caps)
        case .removeConsumer(let name, let expected): try self.remove(name, expected, transaction)
        case .putSubscription(let subscription, let expected): try self.put(subscription, expected, transaction, caps)
        case .removeSubscription(let name, let expected): try self.remove(name, expected, transaction)
        }
    }

    private mutating func put(
        _ consumer: Consumer, _ expected: CatalogueVersion, _ transaction: CatalogueTransaction, _ caps: CatalogueCaps
    ) throws(CatalogueError) -> CatalogueOutcome {
        let before = self.consumers[consumer.name]
        let subject = CatalogueSubject.consumer(consumer.name)
        try subject.compare(before?.version, with: expected, mayBeNew: true)
        if before == nil, self.consumers.count >= caps.consumers {
            throw .tooMany("consumers", limit: caps.consumers)
        }
        let entry = RegisteredConsumer(
            consumer: consumer, version: self.version, createdAt: before?.createdAt ?? transaction.at)
        self.consumers[consumer.name] = entry
        self.audit(subject, before == nil, AuditDetail.of(consumer, before: before?.consumer), transaction)
        return .consumer(entry)
    }

    private mutating func remove(
        _ name: ConsumerName, _ expected: CatalogueVersion, _ transaction: CatalogueTransaction
    ) throws(CatalogueError) -> CatalogueOutcome {
        let before = self.consumers[name]
        try CatalogueSubject.consumer(name).compare(before?.version, with: expected, mayBeNew: false)
        let owned = self.owned(by: name)
        guard owned == 0 else { throw .ownsSubscriptions(name, count: owned) }
        self.consumers[name] = nil
        self.audit(.consumer(name), nil, AuditDetail.of(nil, before: before?.consumer), transaction)
        return .consumerRemoved(name)
    }

    private mutating func put(
        _ subscription: Subscription, _ expected: CatalogueVersion, _ transaction: CatalogueTransaction,
        _ caps: CatalogueCaps
    ) throws(CatalogueError) -> CatalogueOutcome {
        let before = self.subscriptions[subscription.name]
        let subject = CatalogueSubject.subscription(subscription.name)
        try subject.compare(before?.version, with: expected, mayBeNew: true)
        guard let owner = self.consumers[subscription.owner]?.consumer else {
            throw .notFound(.consumer(subscription.owner))
        }
        if before?.subscription.owner != subscription.owner, self.owned(by: owner.name) >= owner.subscriptionsCap {
            throw .tooMany("subscriptions of consumer '\(owner.name)'", limit: owner.subscriptionsCap)
        }
        if before == nil {
            guard self.subscriptions.count < caps.subscriptions else {
                throw .tooMany("subscriptions", limit: caps.subscriptions)
            }
            self.subscriptionLast += 1
        }
        let entry = RegisteredSubscription(
            id: before?.id ?? SubscriptionID(rawValue: self.subscriptionLast), subscription: subscription,
            version: self.version, createdAt: before?.createdAt ?? transaction.at,
            usedAt: before?.usedAt ?? transaction.at)
        self.subscriptions[subscription.name] = entry
        self.audit(subject, before == nil, AuditDetail.of(subscription, before: before?.subscription), transaction)
        return .subscription(entry)
    }

    private mutating func remove(
        _ name: SubscriptionName, _ expected: CatalogueVersion, _ transaction: CatalogueTransaction
    ) throws(CatalogueError) -> CatalogueOutcome {
        let subject = CatalogueSubject.subscription(name)
        guard let before = self.subscriptions[name] else { throw .notFound(subject) }
        try subject.compare(before.version, with: expected, mayBeNew: false)
        self.subscriptions[name] = nil
        self.audit(subject, nil, AuditDetail.of(nil, before: before.subscription), transaction)
        return .subscriptionRemoved(name, before.id)
    }

    private func owned(by owner: ConsumerName) -> Int {
        self.subscriptions.values.count { $0.subscription.owner == owner }
    }

    /// `isNew`: nil when it was removed.
    private mutating func audit(
        _ subject: CatalogueSubject, _ isNew: Bool?, _ detail: String, _ transaction: CatalogueTransaction
    ) {
        self.auditLast += 1
        self.trail.append(
            AuditEntry(
                number: AuditNumber(rawValue: self.auditLast), version: self.version, at: transaction.at,
                actor: transaction.actor, action: isNew.map { $0 ? .created : .changed } ?? .removed, subject: subject,
                reason: transaction.reason, detail: detail))
    }
}
