package import ApusCore
import Synchronization

/// The catalogue in memory: everything the port promises, and nothing survives.
///
/// Answers and events come on the thread of the caller, events in the order of their commits. Watchers must not call
/// back into the catalogue.
package final class FakeCatalogue: Catalogue {
    fileprivate struct State {
        var world = FakeCatalogueWorld()
        var history: CatalogueHistory
        var watchers: [Int: @Sendable (CatalogueEvent) -> Void] = [:]
        var watcherNext = 0
        var failure: CatalogueError?
    }

    fileprivate let state: Mutex<State>
    /// Held while watchers are told, so that they hear of commits in order.
    private let telling = Mutex(())
    private let caps: CatalogueCaps

    package init(caps: CatalogueCaps = CatalogueCaps()) {
        self.caps = caps
        self.state = Mutex(State(history: CatalogueHistory(startingAt: .none, keeping: caps.history)))
    }

    /// Every question and every change fails with this until it is nil again; nothing is changed meanwhile.
    /// `.readOnly` and `.full` let questions through, as they do elsewhere.
    package var failure: CatalogueError? {
        get { self.state.withLock { $0.failure } }
        set { self.state.withLock { $0.failure = newValue } }
    }

    package func consumers(
        _ query: ConsumerQuery,
        then: @escaping @Sendable (Result<CataloguePage<RegisteredConsumer, ConsumerName>, CatalogueError>) -> Void
    ) {
        then(
            self.read { world in
                let items = world.consumers.values.filter { entry in
                    (query.named.map { $0 == entry.consumer.name } ?? true)
                        && (query.after.map { $0 < entry.consumer.name } ?? true)
                }
                return world.page(items, query.limit, { $0.consumer.name })
            })
    }

    package func subscriptions(
        _ query: SubscriptionQuery,
        then:
            @escaping @Sendable (Result<CataloguePage<RegisteredSubscription, SubscriptionName>, CatalogueError>) ->
            Void
    ) {
        then(
            self.read { world in
                let items = world.subscriptions.values.filter { query.asks(for: $0.subscription) }
                return world.page(items, query.limit, { $0.subscription.name })
            })
    }

    package func audit(
        _ query: AuditQuery,
        then: @escaping @Sendable (Result<CataloguePage<AuditEntry, AuditNumber>, CatalogueError>) -> Void
    ) {
        then(
            self.read { world in
                let items = world.trail.filter { entry in
                    (query.subject.map { $0 == entry.subject } ?? true)
                        && (query.after.map { $0 < entry.number } ?? true)
                }
                return world.page(items, query.limit, { $0.number })
            })
    }

    package func commit(
        _ transaction: CatalogueTransaction,
        then: @escaping @Sendable (Result<CatalogueReceipt, CatalogueError>) -> Void
    ) {
        let answer = self.telling.withLock { _ -> Result<CatalogueReceipt, CatalogueError> in
            let (answer, watchers) = self.state.withLock { ($0.commit(transaction, self.caps), $0.watchers) }
            if case .success(let receipt) = answer {
                for (_, tell) in watchers.sorted(by: { $0.key < $1.key }) { tell(.committed(receipt)) }
            }
            return answer
        }
        then(answer)
    }

    package func note(_ uses: [SubscriptionUse], then: @escaping @Sendable (Result<Void, CatalogueError>) -> Void) {
        then(
            self.state.withLock { state in
                if let failure = state.failure { return .failure(failure) }
                for use in uses { state.world.note(use) }
                return .success(())
            })
    }

    package func watch(
        after version: CatalogueVersion, onEvent: @escaping @Sendable (CatalogueEvent) -> Void
    ) -> any CatalogueWatch {
        self.telling.withLock { _ in
            let (number, events) = self.state.withLock { state in
                state.watcherNext += 1
                let events = state.history.events(after: version)
                if events != [.missed] { state.watchers[state.watcherNext] = onEvent }
                return (state.watcherNext, events)
            }
            for event in events { onEvent(event) }
            return FakeCatalogueWatch(catalogue: self, number: number)
        }
    }

    private func read<Answer>(_ body: (FakeCatalogueWorld) -> Answer) -> Result<Answer, CatalogueError> {
        self.state.withLock { state in
            switch state.failure {
            case nil, .readOnly, .full: .success(body(state.world))
            case .some(let failure): .failure(failure)
            }
        }
    }
}

extension FakeCatalogue.State {
    fileprivate mutating func commit(
        _ transaction: CatalogueTransaction, _ caps: CatalogueCaps
    ) -> Result<CatalogueReceipt, CatalogueError> {
        if let failure = self.failure { return .failure(failure) }
        return self.world.committing(transaction, caps).map { world, receipt in
            self.world = world
            self.history.append(receipt)
            return receipt
        }
    }
}

private struct FakeCatalogueWatch: CatalogueWatch {
    let catalogue: FakeCatalogue
    let number: Int

    func cancel() {
        self.catalogue.state.withLock { $0.watchers[self.number] = nil }
    }
}
