package import ApusCore

/// The topics of the cluster at one moment, as groups see them. The broker's topic snapshot is one.
package protocol SubscribableTopics {
    /// Grows with every change.
    var version: Int64 { get }
    /// How many there are.
    var count: Int { get }
    func topic(named name: String) -> SubscribableTopic?
    func topic(id: TopicID) -> SubscribableTopic?
    /// All names that a pattern may match: internal topics are not among them. In any order.
    func forEachName(_ body: (String) -> Void)
    /// Moves whenever ``describable(by:)`` may answer otherwise.
    var rightsVersion: Int64 { get }
    /// Which topics somebody may be told of, by name.
    func describable(by reader: TopicReader) -> (String) -> Bool
}

package struct SubscribableTopic: Hashable, Sendable {
    package var id: TopicID
    package var name: String
    /// 1 or more.
    package var partitionCount: Int32

    package init(id: TopicID, name: String, partitionCount: Int32) {
        self.id = id
        self.name = name
        self.partitionCount = partitionCount
    }
}
