import ApusCore
import ApusSubscriptions
import Logging
import NIOCore
import Synchronization

/// Reading the catalogue: all of it page by page, then every commit as it is told. On the home loop.
extension BrokerSubscriptions {
    /// A read under way.
    private struct Load {
        var index = SubscriptionIndex()
        var pages: [CataloguePage<RegisteredSubscription, SubscriptionName>] = []
        /// Of the first page: whatever was committed after it is told by the watch.
        var version: CatalogueVersion?
    }

    /// Reads the catalogue. Answers when it was read, or could not be; then it is tried again by itself.
    func start(then: @escaping @Sendable () -> Void) {
        self.home.loop.assertInEventLoop()
        guard self.catalogue != nil, !self.isLoading, !self.isStopped else { return then() }
        self.isLoading = true
        self.watch?.cancel()
        self.watch = nil
        self.loadConsumers(Load(), after: nil) { result in
            self.isLoading = false
            switch result {
            case .success(let load): self.loaded(load)
            case .failure(let error): self.failedToLoad(error)
            }
            then()
        }
    }

    private func loadConsumers(
        _ load: Load, after: ConsumerName?, then: @escaping @Sendable (Result<Load, CatalogueError>) -> Void
    ) {
        self.catalogue?.consumers(ConsumerQuery(after: after)) { answer in
            self.home.loop.execute {
                switch answer {
                case .failure(let error): then(.failure(error))
                case .success(let page):
                    var load = load
                    load.index.load(page)
                    load.version = load.version ?? page.version
                    if let next = page.next { return self.loadConsumers(load, after: next, then: then) }
                    self.loadSubscriptions(load, after: nil, then: then)
                }
            }
        }
    }

    private func loadSubscriptions(
        _ load: Load, after: SubscriptionName?, then: @escaping @Sendable (Result<Load, CatalogueError>) -> Void
    ) {
        self.catalogue?.subscriptions(SubscriptionQuery(after: after)) { answer in
            self.home.loop.execute {
                switch answer {
                case .failure(let error): then(.failure(error))
                case .success(let page):
                    var load = load
                    load.index.load(page)
                    load.pages.append(page)
                    if let next = page.next { return self.loadSubscriptions(load, after: next, then: then) }
                    then(.success(load))
                }
            }
        }
    }

    private func loaded(_ load: Load) {
        guard !self.isStopped, let catalogue = self.catalogue else { return }
        let before = self.view.knowledge
        for page in load.pages { self.expiries.load(page) }
        // Only here, on the home loop, is the index changed: nothing comes between.
        var index = self.view.index
        let gone = index.reload(load.index, readAt: load.version ?? .none)
        self.expiries.forget(gone)
        self.publish(claiming: nil) { view in
            view.index = index
            view.knowledge = .read
        }
        self.forget(gone)
        if case .unread(.some) = before { self.logger.notice("the catalogue can be read again") }
        let box = SubscriptionsBox(self)
        self.watch = catalogue.watch(after: load.version ?? .none) { event in
            // Never here: the catalogue must not be called back from its own telling.
            box.subscriptions?.home.loop.execute { box.subscriptions?.told(event) }
        }
        self.registerSeen()
    }

    private func failedToLoad(_ error: CatalogueError) {
        let before = self.view.knowledge
        if before != .read, before != .unread(error) {
            self.publish(claiming: []) { $0.knowledge = .unread(error) }
            self.logger.error(
                "the catalogue can not be read: nothing goes that a subscription might hold, and none can be changed",
                metadata: ["reason": "\(error)"])
        }
        self.loadAgainAt = self.seconds &+ UInt32(clamping: Limits.catalogueRetryPeriod.components.seconds)
    }

    private func told(_ event: CatalogueEvent) {
        guard !self.isStopped else { return }
        switch event {
        case .committed(let receipt): self.apply(receipt)
        case .missed: self.start {}
        }
    }

    /// What a commit changed, whoever made it. The same one may come twice: from the commit's own answer, and from the
    /// watch.
    func apply(_ receipt: CatalogueReceipt) {
        self.expiries.apply(receipt)
        var news: [RegisteredSubscription] = []
        var gone: [SubscriptionID] = []
        for outcome in receipt.outcomes {
            switch outcome {
            case .subscription(let entry): news.append(entry)
            case .subscriptionRemoved(_, let id): gone.append(id)
            case .consumer, .consumerRemoved: break
            }
        }
        self.publish(claiming: news) { $0.index.apply(receipt) }
        self.forget(gone)
    }

    private func forget(_ ids: [SubscriptionID]) {
        guard !ids.isEmpty else { return }
        self.shared.withLock { shared in
            for id in ids { shared.topicsRead[id] = nil }
        }
        for shard in self.shards { shard.mailbox.run { shard.forgetReaders(ids) } }
    }

    // MARK: Time

    /// Housekeeping, once a second: who was used, who expired, what is to be tried again.
    func second() {
        self.seconds &+= 1
        guard let catalogue = self.catalogue, !self.isStopped else { return }
        let now = self.now()
        self.noteUses(at: now)
        if let at = self.loadAgainAt, self.seconds >= at {
            self.loadAgainAt = nil
            self.start {}
        }
        if let at = self.registerAgainAt, self.seconds >= at {
            self.registerAgainAt = nil
            self.register()
        }
        guard case .read = self.view.knowledge else { return }
        self.removeExpired(at: now)
        let uses = self.expiries.usesToNote()
        guard !uses.isEmpty else { return }
        // What is not noted is noted again with the next use; a start in between forgets a minute.
        catalogue.note(uses) { _ in }
    }

    func noteUses(at now: Timestamp) {
        let ids = self.shared.withLock { shared in
            let used = shared.used
            shared.used.removeAll(keepingCapacity: true)
            return used.compactMap { shared.view.index.subscription(named: $0)?.id }
        }
        for id in ids { self.expiries.used(id, at: now) }
    }

    private func removeExpired(at now: Timestamp) {
        guard let look = self.expiries.nextLook, look <= now, let catalogue = self.catalogue else { return }
        for entry in self.expiries.expired(at: now) {
            let name = entry.subscription.name
            let removal = SubscriptionExpiries.removal(of: entry, by: Self.actor, at: now)
            catalogue.commit(removal) { answer in
                self.home.loop.execute {
                    switch answer {
                    case .success(let receipt):
                        self.apply(receipt)
                        self.logger.info("unused subscription removed", metadata: ["name": "\(name)"])
                    case .failure(let error):
                        self.expiries.retry(entry.id, at: self.now())
                        self.logger.warning(
                            "an unused subscription could not be removed",
                            metadata: ["name": "\(name)", "reason": "\(error)"])
                    }
                }
            }
        }
    }

    /// Notes all uses and hears no more. The catalogue may be closed once what it was asked here is done.
    func stop() {
        guard !self.isStopped else { return }
        self.noteUses(at: self.now())
        self.isStopped = true
        self.watch?.cancel()
        self.watch = nil
        let uses = self.expiries.allUsesToNote()
        if !uses.isEmpty { self.catalogue?.note(uses) { _ in } }
    }

    /// In whose name the broker itself changes subscriptions.
    static let actor = ConsumerName("broker")
}

/// Lets a watch outlive the broker without keeping it.
///
/// Unchecked because a weak reference may be read from any thread.
private final class SubscriptionsBox: @unchecked Sendable {
    private(set) weak var subscriptions: BrokerSubscriptions?

    init(_ subscriptions: BrokerSubscriptions) {
        self.subscriptions = subscriptions
    }
}
