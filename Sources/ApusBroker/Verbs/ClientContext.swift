package import ApusAccess
package import ApusCore

/// Who asks, and what he may do. Passed with every verb, which asks ``allows(_:on:)`` before it looks for anything:
/// what is forbidden and what is not there are answered alike.
///
/// A connection keeps one and has it renewed when the rules have changed (``BrokerAccess/renew(_:)``).
package struct ClientContext: Sendable {
    /// Who logged in; `anonymous` where nobody has to.
    package var principal: Principal
    /// What the client calls itself; not authenticated, for logs and quotas only.
    package var clientID: String
    /// The peer's address as text.
    package var address: String
    /// What the principal may do from its address, by the rules of one moment.
    package var access: AccessView
    /// Where denials are written down.
    package var audit: BrokerAudit?

    package init(
        principal: Principal = .anonymous, clientID: String = "", address: String = "", access: AccessView = .open,
        audit: BrokerAudit? = nil
    ) {
        self.principal = principal
        self.clientID = clientID
        self.address = address
        self.access = access
        self.audit = audit
    }

    /// The principal as the catalogue knows it.
    package var consumerName: ConsumerName { ConsumerName(self.principal.text.text) }

    /// Whether the client may do it. A "no" is written down.
    package func allows(_ operation: AccessOperation, on resource: Resource) -> Bool {
        if self.mayList(operation, on: resource) { return true }
        self.audit?.denied(operation, on: resource, self)
        return false
    }

    /// The same for the topic of that name.
    package func allows(_ operation: AccessOperation, onTopic name: String) -> Bool {
        // First, because the name of a resource is made for the rules: produce asks for every topic of every request.
        self.access.isUnrestricted || self.allows(operation, on: Resource(.topic, ExactText(name)))
    }

    /// Whether there is any resource of the type with which the client may do it.
    package func allowsSomewhere(_ operation: AccessOperation, _ type: ResourceType) -> Bool {
        self.access.isUnrestricted || self.access.authorizeSomewhere(operation, type: type)
    }

    /// The same as ``allows(_:on:)`` where a "no" denies nothing: a list has less in it, or another right will do.
    package func mayList(_ operation: AccessOperation, on resource: Resource) -> Bool {
        self.access.isUnrestricted || self.access.authorize(operation, on: resource).isAllowed
    }

    /// Whether the client may use these of a topic's records at the edge. A "no" is written down.
    package func allows(_ use: ChannelUse, _ keys: ChannelKeys, ofTopic name: String) -> Bool {
        if self.access.isUnrestricted { return true }
        let name = ExactText(name)
        if self.access.authorize(use, keys, ofTopic: name).isAllowed { return true }
        self.audit?.denied(use == .write ? .write : .read, on: Resource(.topic, name), self)
        return false
    }

    /// The same client once it is known that it may use the records that it asks for next: a token that names some keys
    /// of a topic is not enough for the verbs, which know topics only.
    package var cleared: ClientContext {
        guard self.access.channels != nil else { return self }
        var client = self
        client.access = .open
        return client
    }

    package func allows(_ operation: AccessOperation, onGroup name: String) -> Bool {
        self.access.isUnrestricted || self.allows(operation, on: Resource(.group, ExactText(name)))
    }
}
