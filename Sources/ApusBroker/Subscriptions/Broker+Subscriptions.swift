package import ApusCore
package import NIOCore
import ApusAccess
import ApusSubscriptions

/// Subscribing and what can be asked about it, for every door.
extension Broker {
    /// Makes a subscription or changes one, all of it or nothing.
    ///
    /// Needs CREATE (a new one) or ALTER on the subscription and READ on every topic it reads; for an owner other than
    /// the client itself, ALTER on the cluster. Answers the entry as it is then; with `validateOnly` as it would be.
    /// - Throws: `.catalogue` with the field that can not be, `.subscriptionExists`, …
    package func put(
        _ wish: SubscriptionWish, validateOnly: Bool = false, client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable (Result<RegisteredSubscription, BrokerError>) -> Void
    ) {
        let home = self.mailbox(of: loop)
        let view = self.subscriptions.view
        var wish = wish
        if let known = view.index.subscription(named: wish.subscription.name)?.subscription {
            wish.subscription.origin = GroupSubscription.origin(of: wish.subscription, before: known)
        }
        let subscription = wish.subscription
        let transaction: CatalogueTransaction
        do throws(BrokerError) {
            try self.authorize(wish, client)
            let index = try self.index(of: view)
            try self.check(wish, index)
            var changes: [CatalogueChange] = []
            if index.consumer(named: subscription.owner) == nil {
                changes.append(.putConsumer(Consumer(name: subscription.owner), expecting: .none))
            }
            changes.append(.putSubscription(subscription, expecting: wish.expecting))
            transaction = CatalogueTransaction(
                changes, by: client.consumerName, at: self.ports.clock.wallTime, reason: wish.reason)
            try Self.catching { () throws(InvalidField) in try transaction.validate() }
            if validateOnly {
                let known = index.subscription(named: subscription.name)
                let entry = RegisteredSubscription(
                    id: known?.id ?? SubscriptionID(rawValue: 0), subscription: subscription,
                    version: known?.version ?? .none, createdAt: known?.createdAt ?? transaction.at,
                    usedAt: known?.usedAt ?? transaction.at)
                return home.run { then(.success(entry)) }
            }
        } catch {
            return home.run { then(.failure(error)) }
        }
        let audit = self.audit
        self.subscriptions.commit(transaction) { answer in
            if case .success = answer { audit.note(.changeSubscription, subscription.name.text, by: client) }
            let result = answer.flatMap { receipt -> Result<RegisteredSubscription, BrokerError> in
                for case .subscription(let entry) in receipt.outcomes { return .success(entry) }
                return .failure(.catalogue(.unknown("an answer without the subscription")))
            }
            home.run { then(result) }
        }
    }

    /// Removes subscriptions, each on its own. What they held goes with the next look of retention. Positions of a
    /// consumer group stay: they are the group's.
    ///
    /// Needs DELETE on each.
    package func removeSubscriptions(
        _ names: [SubscriptionName], client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable ([Result<RegisteredSubscription, BrokerError>]) -> Void
    ) {
        let home = self.mailbox(of: loop)
        guard !names.isEmpty else { return home.run { then([]) } }
        let nothing = [Result<RegisteredSubscription, BrokerError>](
            repeating: .failure(.shuttingDown), count: names.count)
        let gather = BrokerGather(nothing, missing: names.count) { results in home.run { then(results) } }
        let view = self.subscriptions.view
        for (place, name) in names.enumerated() {
            do throws(BrokerError) {
                try Self.allow(.delete, name, client)
                guard let known = try self.index(of: view).subscription(named: name) else {
                    throw .catalogue(.notFound(.subscription(name)))
                }
                let removal = CatalogueTransaction(
                    [.removeSubscription(name, expecting: known.version)], by: client.consumerName,
                    at: self.ports.clock.wallTime)
                self.subscriptions.commit(removal) { [audit = self.audit] answer in
                    if case .success = answer { audit.note(.removeSubscription, name.text, by: client) }
                    gather.put(answer.map { _ in known }, at: place)
                }
            } catch {
                gather.put(.failure(error), at: place)
            }
        }
    }

    /// The subscriptions that the client may see (DESCRIBE), by name, at most `Limits.cataloguePageMax` at a time. From
    /// memory: the catalogue itself need not be there.
    package func listSubscriptions(
        _ filter: SubscriptionFilter, client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable (Result<SubscriptionList, BrokerError>) -> Void
    ) {
        let home = self.mailbox(of: loop)
        let view = self.subscriptions.view
        do throws(BrokerError) {
            let index = try self.index(of: view)
            let list: SubscriptionList
            if let names = filter.names {
                list = Self.page(of: names.sorted().lazy.compactMap { index.subscription(named: $0) }, filter, client)
            } else {
                list = Self.page(of: index.all(after: filter.after), filter, client)
            }
            let subscriptions = self.subscriptions
            // The catalogue hears of uses once a minute; who keeps count knows the last one.
            subscriptions.home.run {
                let list = subscriptions.withLastUses(list)
                home.run { then(.success(list)) }
            }
        } catch {
            home.run { then(.failure(error)) }
        }
    }

    /// As many as an answer may hold: each may name a thousand topics.
    /// - Parameter candidates: in order of their names; no more are looked at than it takes.
    private static func page(
        of candidates: some Sequence<RegisteredSubscription>, _ filter: SubscriptionFilter, _ client: ClientContext
    ) -> SubscriptionList {
        var items: [RegisteredSubscription] = []
        var topics = 0
        for entry in candidates {
            let name = entry.subscription.name
            guard filter.asks(for: entry.subscription),
                client.mayList(.describe, on: Resource(.subscription, ExactText(name.text)))
            else { continue }
            if items.count == Limits.cataloguePageMax || topics > Limits.cataloguePageTopicsMax {
                return SubscriptionList(items: items, next: items.last?.subscription.name)
            }
            items.append(entry)
            topics += entry.subscription.interest.names.count
        }
        return SubscriptionList(items: items, next: nil)
    }

    // MARK: Checks

    /// What is known, or why nothing is.
    func index(of view: SubscriptionView) throws(BrokerError) -> SubscriptionIndex {
        switch view.knowledge {
        case .read: return view.index
        case .unread(let error): throw .catalogue(error ?? .busy("it is being read"))
        case .noCatalogue: throw .catalogue(.unavailable("this broker has no catalogue"))
        }
    }

    private static func allow(
        _ operation: AccessOperation, _ name: SubscriptionName, _ client: ClientContext
    ) throws(BrokerError) {
        guard client.allows(operation, on: Resource(.subscription, ExactText(name.text))) else {
            throw .subscriptionAuthorizationFailed
        }
    }

    private func authorize(_ wish: SubscriptionWish, _ client: ClientContext) throws(BrokerError) {
        let subscription = wish.subscription
        try Self.allow(wish.expecting == .none ? .create : .alter, subscription.name, client)
        if subscription.owner != client.consumerName {
            let known = self.subscriptions.view.index.subscription(named: subscription.name)
            // Changing another field of somebody else's leaves it his.
            guard known?.subscription.owner == subscription.owner || client.allows(.alter, on: .cluster) else {
                throw .clusterAuthorizationFailed
            }
        }
        for topic in subscription.interest.names where !client.allows(.read, onTopic: topic) {
            throw .topicAuthorizationFailed
        }
        guard subscription.interest.pattern != nil, !client.access.isUnrestricted else { return }
        for topic in self.topics.all where subscription.interest.matches(topic: topic.name) {
            guard client.allows(.read, onTopic: topic.name) else { throw .topicAuthorizationFailed }
        }
    }

    /// What depends on other subscriptions and on the topics as they are.
    private func check(_ wish: SubscriptionWish, _ index: SubscriptionIndex) throws(BrokerError) {
        let subscription = wish.subscription
        let known = index.subscription(named: subscription.name)
        if wish.expecting == .none, known != nil { throw .subscriptionExists(subscription.name.text) }
        if let known, known.subscription.delivery != subscription.delivery {
            throw .catalogue(
                .invalid(InvalidField("delivery", "can not be changed: remove the subscription and make it anew")))
        }
        try Self.catching { () throws(InvalidField) in try subscription.validate() }
        guard subscription.period != nil else { return }
        // As many as a pattern may match: a million topics are walked in a tenth of a second, once for a change.
        let topics =
            subscription.interest.pattern == nil
            ? subscription.interest.names.compactMap { self.topics.topic(named: $0) }
            : self.topics.all.filter { subscription.interest.matches(topic: $0.name) }
        for topic in topics {
            let policy = topic.configuration.retentionPolicy
            if let refusal = policy.refusal(of: subscription.period, topic: topic.name) {
                throw .catalogue(.invalid(refusal))
            }
        }
    }

    private static func catching(_ body: () throws(InvalidField) -> Void) throws(BrokerError) {
        do throws(InvalidField) { try body() } catch { throw .catalogue(.invalid(error)) }
    }
}

extension BrokerSubscriptions {
    /// On the home loop.
    fileprivate func withLastUses(_ list: SubscriptionList) -> SubscriptionList {
        self.noteUses(at: self.now())
        var list = list
        for place in list.items.indices {
            let known = list.items[place]
            list.items[place].usedAt = max(known.usedAt, self.expiries.lastUse(of: known.id) ?? known.usedAt)
        }
        return list
    }

    /// Changes the catalogue for somebody; when it answers, this broker goes by it. A consumer that the change wanted
    /// to make known, and that another was faster with, is known: that is no conflict. Any thread.
    func commit(
        _ transaction: CatalogueTransaction,
        then: @escaping @Sendable (Result<CatalogueReceipt, BrokerError>) -> Void
    ) {
        guard let catalogue = self.catalogue else {
            return then(.failure(.catalogue(.unavailable("this broker has no catalogue"))))
        }
        catalogue.commit(transaction) { answer in
            if case .failure(.conflict(.consumer(let name), _)) = answer, let rest = transaction.without(making: name) {
                return self.commit(rest, then: then)
            }
            self.home.loop.execute {
                if case .success(let receipt) = answer { self.apply(receipt) }
                then(answer.mapError { .catalogue($0) })
            }
        }
    }
}

extension CatalogueTransaction {
    /// Without what makes a consumer known; nil when nothing does, or when there is nothing else in it.
    fileprivate func without(making name: ConsumerName) -> CatalogueTransaction? {
        var rest = self
        rest.changes.removeAll { change in
            guard case .putConsumer(let consumer, .none) = change else { return false }
            return consumer.name == name
        }
        return rest.changes.isEmpty || rest.changes.count == self.changes.count ? nil : rest
    }
}
