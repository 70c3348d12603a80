/// Questions about one entry, from the lists every adapter has.
extension Catalogue {
    /// - Returns: through `then`; `.notFound` when there is none of this name.
    public func subscription(
        _ name: SubscriptionName, then: @escaping @Sendable (Result<RegisteredSubscription, CatalogueError>) -> Void
    ) {
        self.subscriptions(SubscriptionQuery(named: name, limit: 1)) { answer in
            then(
                answer.flatMap { page in
                    page.items.first.map { .success($0) } ?? .failure(.notFound(.subscription(name)))
                })
        }
    }

    /// - Returns: through `then`; `.notFound` when there is none of this name.
    public func consumer(
        _ name: ConsumerName, then: @escaping @Sendable (Result<RegisteredConsumer, CatalogueError>) -> Void
    ) {
        self.consumers(ConsumerQuery(named: name, limit: 1)) { answer in
            then(
                answer.flatMap { page in
                    page.items.first.map { .success($0) } ?? .failure(.notFound(.consumer(name)))
                })
        }
    }
}
