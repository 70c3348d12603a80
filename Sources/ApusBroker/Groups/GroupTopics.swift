import ApusCore
import ApusGroups

/// What groups may subscribe to: all topics, and by a pattern all but those that the system made for itself.
struct GroupTopics: SubscribableTopics, Sendable {
    let snapshot: TopicSnapshot

    var version: Int64 { self.snapshot.version }
    var count: Int { self.snapshot.count }

    func topic(named name: String) -> SubscribableTopic? {
        self.snapshot.topic(named: name).map(SubscribableTopic.init)
    }

    func topic(id: TopicID) -> SubscribableTopic? { self.snapshot.topic(id: id).map(SubscribableTopic.init) }

    func forEachName(_ body: (String) -> Void) {
        for topic in self.snapshot.all where !topic.isInternal { body(topic.name) }
    }
}

extension SubscribableTopic {
    fileprivate init(_ topic: Topic) {
        self.init(id: topic.id, name: topic.name, partitionCount: topic.partitionCount)
    }
}
