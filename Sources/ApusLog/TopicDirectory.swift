package import ApusCore

/// Where a topic's logs are, and how they go away.
///
/// A topic is renamed out of the way first and removed after: the rename is one step, so a crash leaves the whole topic
/// or a leftover under `deleted/` that the next start removes, never half a topic. Nothing is ever removed under
/// `topics/`.
package enum TopicDirectory {
    package static let topics = DiskPath("topics")
    package static let deleted = DiskPath("deleted")

    package static func path(of topic: TopicID) -> DiskPath {
        self.topics.appending("\(topic)")
    }

    /// The topics that have a directory. Other names there are not ours.
    package static func list(on disk: any Disk) throws(DiskError) -> [TopicID] {
        try disk.list(self.topics).compactMap { name in
            guard let topic = TopicID(name), "\(topic)" == name else { return nil }
            return topic
        }
    }

    /// Removes a topic and everything in it. Its logs take no more jobs. Blocking; may be repeated after a failure.
    package static func remove(_ topic: TopicID, on disk: any Disk) throws(DiskError) {
        let grave = self.deleted.appending("\(topic)")
        try disk.createDirectory(self.deleted)
        do throws(DiskError) {
            try disk.rename(self.path(of: topic), to: grave)
        } catch {
            // Never written to, or renamed before a crash. Looking for it among all topics would cost more than this.
            guard error.reason == .notFound else { throw error }
            return try self.clean(on: disk)
        }
        try disk.syncDirectory(self.deleted)
        try disk.syncDirectory(self.topics)
        try disk.removeDirectory(grave)
        try disk.syncDirectory(self.deleted)
    }

    /// Removes what interrupted removals left. Blocking; for every start.
    package static func clean(on disk: any Disk) throws(DiskError) {
        for name in try disk.list(self.deleted) { try disk.removeDirectory(self.deleted.appending(name)) }
    }
}
