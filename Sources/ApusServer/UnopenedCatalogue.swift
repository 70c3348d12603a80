import ApusCore
import ApusSQLite

/// Stands for a catalogue that could not be opened: every question and every change is answered with the reason, so
/// that the broker serves records all the same (promise P8). The next start tries again.
struct UnopenedCatalogue: Catalogue {
    let reason: CatalogueError

    init(_ error: SQLiteStoreError) {
        switch error {
        case .missing, .foreign, .newerFormat, .unavailable: self.reason = .unavailable("\(error)")
        case .damaged: self.reason = .corrupt("\(error)")
        case .readOnly: self.reason = .readOnly("\(error)")
        }
    }

    func consumers(
        _ query: ConsumerQuery,
        then: @escaping @Sendable (Result<CataloguePage<RegisteredConsumer, ConsumerName>, CatalogueError>) -> Void
    ) {
        then(.failure(self.reason))
    }

    func subscriptions(
        _ query: SubscriptionQuery,
        then:
            @escaping @Sendable (Result<CataloguePage<RegisteredSubscription, SubscriptionName>, CatalogueError>) ->
            Void
    ) {
        then(.failure(self.reason))
    }

    func audit(
        _ query: AuditQuery,
        then: @escaping @Sendable (Result<CataloguePage<AuditEntry, AuditNumber>, CatalogueError>) -> Void
    ) {
        then(.failure(self.reason))
    }

    func commit(
        _ transaction: CatalogueTransaction,
        then: @escaping @Sendable (Result<CatalogueReceipt, CatalogueError>) -> Void
    ) {
        then(.failure(self.reason))
    }

    func note(_ uses: [SubscriptionUse], then: @escaping @Sendable (Result<Void, CatalogueError>) -> Void) {
        then(.failure(self.reason))
    }

    func watch(
        after version: CatalogueVersion, onEvent: @escaping @Sendable (CatalogueEvent) -> Void
    ) -> any CatalogueWatch {
        UnopenedWatch()
    }
}

private struct UnopenedWatch: CatalogueWatch {
    func cancel() {}
}
