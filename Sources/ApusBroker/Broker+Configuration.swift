package import NIOCore
import ApusAccess
import ApusCore

extension Broker {
    /// Every option of a resource, sorted by name.
    package func describeConfiguration(
        _ resource: ConfigurationResource, client: ClientContext
    ) -> Result<[ConfigurationEntry], BrokerError> {
        let table = self.table
        return Broker.catching { () throws(BrokerError) in
            try client.requires(.describeConfigs, for: resource)
            switch resource {
            case .topic(let name): return table.describe(try self.topics.topic(.name(name)))
            case .broker(let broker): return try table.describe(broker)
            }
        }
    }

    /// Alters each resource on its own, in order; one that is refused does not touch the others.
    package func alterConfigurations(
        _ alterations: [(resource: ConfigurationResource, alteration: ConfigurationAlteration)],
        validateOnly: Bool = false, expecting: Set<TopicTag>? = nil, client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable ([BrokerError?]) -> Void
    ) {
        let home = self.mailbox(of: loop)
        let audit = self.audit
        self.registry.submit { draft in
            var trial = draft
            let errors = alterations.map { resource, alteration -> BrokerError? in
                do throws(BrokerError) {
                    try client.requires(.alterConfigs, for: resource)
                    if case .topic(let name) = resource { try trial.snapshot.topic(.name(name)).check(expecting) }
                    try trial.alter(resource, by: alteration)
                    return nil
                } catch {
                    return error
                }
            }
            if !validateOnly { draft = trial }
            return { outcome in
                switch outcome {
                case .success:
                    for ((resource, alteration), error) in zip(alterations, errors) where error == nil && !validateOnly
                    {
                        audit.note(.alterConfiguration, "\(resource.audited): \(alteration.audited)", by: client)
                    }
                    home.run { then(errors) }
                case .failure(let failure): home.run { then(errors.map { $0 ?? failure }) }
                }
            }
        }
    }

    /// What a topic with these wishes would be described as (CreateTopics answers with it).
    package func describeConfiguration(of topic: Topic) -> [ConfigurationEntry] {
        self.table.describe(topic)
    }
}

extension ClientContext {
    fileprivate func requires(
        _ operation: AccessOperation, for resource: ConfigurationResource
    ) throws(BrokerError) {
        switch resource {
        case .topic(let name):
            guard self.allows(operation, onTopic: name) else { throw .topicAuthorizationFailed }
        case .broker:
            guard self.allows(operation, on: .cluster) else { throw .clusterAuthorizationFailed }
        }
    }
}
