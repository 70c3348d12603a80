import ApusCore

@testable import ApusGroups

/// The topics of a cluster, by name.
struct FakeTopics: SubscribableTopics {
    private(set) var version: Int64 = 0
    private var byName: [String: SubscribableTopic] = [:]
    private var names: [TopicID: String] = [:]
    private var idNext: UInt64 = 1
    private(set) var rightsVersion: Int64 = 0
    /// Topics that a principal may not be told of.
    private var hidden: [String: Set<String>] = [:]

    init(_ topics: KeyValuePairs<String, Int32> = [:]) {
        for (name, partitions) in topics { self.set(name, partitions) }
    }

    var count: Int { self.byName.count }
    var all: [SubscribableTopic] { self.byName.values.sorted { $0.name < $1.name } }
    func topic(named name: String) -> SubscribableTopic? { self.byName[name] }
    func topic(id: TopicID) -> SubscribableTopic? { self.names[id].flatMap { self.byName[$0] } }
    func forEachName(_ body: (String) -> Void) { for name in self.byName.keys { body(name) } }

    func describable(by reader: TopicReader) -> (String) -> Bool {
        let hidden = self.hidden[reader.principal] ?? []
        return { !hidden.contains($0) }
    }

    /// What a principal may not be told of from now on.
    mutating func hide(_ names: Set<String>, from principal: String) {
        self.rightsVersion += 1
        self.hidden[principal] = names
    }

    /// Creates the topic, or gives it partitions.
    mutating func set(_ name: String, _ partitions: Int32) {
        self.version += 1
        if self.byName[name] == nil {
            let id = TopicID(high: 0, low: self.idNext)
            self.idNext += 1
            self.byName[name] = SubscribableTopic(id: id, name: name, partitionCount: partitions)
            self.names[id] = name
        } else {
            self.byName[name]?.partitionCount = partitions
        }
    }

    mutating func remove(_ name: String) {
        self.version += 1
        if let topic = self.byName.removeValue(forKey: name) { self.names[topic.id] = nil }
    }

    /// `orders/0 orders/1`
    func partitions(_ text: String) -> PartitionSet {
        PartitionSet(
            text.split(separator: " ").compactMap { word in
                let parts = word.split(separator: "/")
                guard parts.count == 2, let index = Int32(parts[1]), let topic = self.byName[String(parts[0])] else {
                    return nil
                }
                return TopicPartition(topic: topic.id, partition: PartitionIndex(rawValue: index))
            }
        )
    }

    func text(_ partitions: PartitionSet) -> String {
        partitions.map { "\(self.names[$0.topic] ?? "gone")/\($0.partition)" }.joined(separator: " ")
    }
}
