import ApusCore
import ApusAccess

/// Whether a fetch that waited may still have what it asked for.
struct FetchRights {
    private var client: ClientContext
    private let access: BrokerAccess

    init(_ client: ClientContext, _ access: BrokerAccess) {
        self.client = client
        self.access = access
    }

    /// Whether there are other rules than when this was last asked.
    mutating func haveChanged() -> Bool {
        let before = self.client.access.version
        self.access.renew(&self.client)
        return self.client.access.version != before
    }

    func allow(_ topic: Topic) -> Bool { self.client.allows(.read, onTopic: topic.name) }
}
