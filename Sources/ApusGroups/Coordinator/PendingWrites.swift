import ApusCore

/// The writes of a coordinator that are under way: asked for, in the log's order, and not told of yet.
///
/// Who takes positions away must look here as well as at what is applied. A commit that is on its way will be there
/// when the tombstone is written behind it: one for a position that expired would take the new one, and one of a
/// deletion that did not know of it would leave it.
///
/// Owner: the coordinator.
struct PendingWrites: Sendable {
    private var writes: [GroupWriteID: GroupCoordinator.Pending] = [:]
    /// Which of them have facts of a group, in their order.
    private var idsOf: [GroupID: [GroupWriteID]] = [:]

    var inOrder: [GroupCoordinator.Pending] { self.writes.sorted { $0.key < $1.key }.map(\.value) }

    mutating func insert(_ write: GroupCoordinator.Pending, as id: GroupWriteID) {
        for group in write.factGroups { self.idsOf[group, default: []].append(id) }
        self.writes[id] = write
    }

    mutating func remove(_ id: GroupWriteID) -> GroupCoordinator.Pending? {
        guard let write = self.writes.removeValue(forKey: id) else { return nil }
        for group in write.factGroups {
            if self.idsOf[group]?.count == 1 {
                self.idsOf[group] = nil
            } else if let place = self.idsOf[group]?.firstIndex(of: id) {
                // Writes are done in their order: mostly it is the first.
                self.idsOf[group]?.remove(at: place)
            }
        }
        return write
    }

    /// Answers that leave when that write is done.
    mutating func add(_ replies: [(token: RequestToken, reply: GroupReply)], to id: GroupWriteID) {
        self.writes[id]?.replies += replies
    }

    /// The positions of a group that something is being written of; true for those that there will be one of.
    func positions(of group: GroupID) -> [PositionKey: Bool] {
        var found: [PositionKey: Bool] = [:]
        for id in self.idsOf[group] ?? [] {
            for case .position(let key, let position) in self.writes[id]?.facts ?? [] where key.group == group {
                found[key] = position != nil
            }
        }
        return found
    }

    /// The positions in a topic that are being written, of all groups.
    ///
    /// - Parameter id: only those in this topic, or in one that the record does not name.
    func positions(inTopic name: String, _ id: TopicID) -> Set<PositionKey> {
        var found: Set<PositionKey> = []
        for write in self.writes.values {
            for case .position(let key, let position?) in write.facts
            where key.topic == name && (position.topic == id || position.topic == .none) {
                found.insert(key)
            }
        }
        return found
    }
}

extension GroupCoordinator.Pending {
    /// The groups that its facts are of; nearly always one.
    fileprivate var factGroups: [GroupID] {
        guard let first = self.facts.first?.group else { return [] }
        guard self.facts.contains(where: { $0.group != first }) else { return [first] }
        return Set(self.facts.map(\.group)).sorted()
    }
}
