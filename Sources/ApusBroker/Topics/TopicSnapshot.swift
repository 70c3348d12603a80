import ApusAccess
package import ApusCore
import HashTreeCollections

/// All topics at one moment. A value: cheap to copy, readable from any thread, never changes under the reader.
///
/// Two persistent hash trees, so that publishing one more topic among a million copies a few nodes and not two tables.
package struct TopicSnapshot: Sendable {
    private var byName: TreeDictionary<String, Topic> = [:]
    private var byID: TreeDictionary<TopicID, Topic> = [:]
    /// Grows with every change.
    package private(set) var version: Int64 = 0

    init() {}

    /// An empty one that comes after `earlier`.
    init(after earlier: TopicSnapshot) { self.version = earlier.version + 1 }

    package var count: Int { self.byName.count }

    /// Every topic, in no order that means anything.
    package var all: some Collection<Topic> { self.byName.values }

    /// A place in the tree of topics; the snapshot stays as it is while somebody walks it.
    struct Walk {
        fileprivate var iterator: TreeDictionary<TopicID, Topic>.Iterator

        mutating func next() -> Topic? { self.iterator.next()?.value }
    }

    func walk() -> Walk { Walk(iterator: self.byID.makeIterator()) }

    package func topic(named name: String) -> Topic? { self.byName[name] }
    package func topic(id: TopicID) -> Topic? { self.byID[id] }

    /// The topic that has this partition.
    func topic(_ id: TopicPartition) -> Topic? {
        self.byID[id.topic].flatMap { $0.contains(id.partition) ? $0 : nil }
    }

    /// The topic a request means, or the error it must be answered with.
    package func topic(_ reference: TopicReference) throws(BrokerError) -> Topic {
        switch reference {
        case .name(let name):
            guard let topic = self.byName[name] else { throw .unknownTopicOrPartition }
            return topic
        case .id(let id):
            guard let topic = self.byID[id] else { throw .unknownTopicID }
            return topic
        }
    }

    /// The same, if the client may do this with it.
    ///
    /// A name is asked about before it is looked for, so that forbidden and missing topics are told alike. An id can
    /// not be guessed: to look for it first tells nobody anything, and Kafka's clients get the answers they know.
    func topic(
        _ reference: TopicReference, _ operation: AccessOperation, for client: ClientContext
    ) throws(BrokerError) -> Topic {
        if case .name(let name) = reference, !client.allows(operation, onTopic: name) {
            throw .topicAuthorizationFailed
        }
        let topic = try self.topic(reference)
        if case .id = reference, !client.allows(operation, onTopic: topic.name) { throw .topicAuthorizationFailed }
        return topic
    }

    mutating func insert(_ topic: Topic) {
        self.version += 1
        self.byName[topic.name] = topic
        self.byID[topic.id] = topic
    }

    mutating func remove(_ topic: Topic) {
        self.version += 1
        self.byName[topic.name] = nil
        self.byID[topic.id] = nil
    }
}
