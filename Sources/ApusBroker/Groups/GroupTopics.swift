import ApusAccess
import ApusCore
import ApusGroups

/// What groups may subscribe to: all topics, and by a pattern all but those that the system made for itself, and those
/// that whoever gave the pattern may not DESCRIBE.
struct GroupTopics: SubscribableTopics, Sendable {
    let snapshot: TopicSnapshot
    let access: BrokerAccess

    var version: Int64 { self.snapshot.version }
    var count: Int { self.snapshot.count }

    func topic(named name: String) -> SubscribableTopic? {
        self.snapshot.topic(named: name).map(SubscribableTopic.init)
    }

    func topic(id: TopicID) -> SubscribableTopic? { self.snapshot.topic(id: id).map(SubscribableTopic.init) }

    func forEachName(_ body: (String) -> Void) {
        for topic in self.snapshot.all where !topic.isInternal { body(topic.name) }
    }

    var rightsVersion: Int64 { self.access.version.rawValue }

    func describable(by reader: TopicReader) -> (String) -> Bool {
        guard self.access.isAuthorizing else { return { _ in true } }
        // What a damaged record says of a member is nobody, who may be told of nothing.
        guard let principal = Principal(parsing: reader.principal) else { return { _ in false } }
        let host = HostAddress(String(reader.host.drop { $0 == "/" }))
        let view = self.access.view(of: principal, from: host)
        if view.isUnrestricted { return { _ in true } }
        return { view.authorize(.describe, on: Resource(.topic, ExactText($0))).isAllowed }
    }
}

extension SubscribableTopic {
    fileprivate init(_ topic: Topic) {
        self.init(id: topic.id, name: topic.name, partitionCount: topic.partitionCount)
    }
}
