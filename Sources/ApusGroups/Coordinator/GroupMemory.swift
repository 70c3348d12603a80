package import ApusCore
import NIOCore

/// What the groups of one coordinator take of the memory, about: what clients told and were given, and the tables that
/// keep it. It is the same whether it came from clients or from the records, so a coordinator that was loaded refuses
/// what the one before refused.
struct GroupMemory: Sendable {
    private var groups: [GroupID: Int] = [:]
    /// Members, subscriptions and assignments, in bytes.
    private(set) var bytes = 0
    /// Of positions that are being written.
    var pending = 0

    /// - Parameter bytes: what the group takes now; 0 when there is none.
    mutating func count(_ bytes: Int, of group: GroupID) {
        let before = bytes == 0 ? self.groups.removeValue(forKey: group) : self.groups.updateValue(bytes, forKey: group)
        self.bytes += bytes - (before ?? 0)
    }
}

extension GroupCoordinator {
    /// What its groups and positions take of the memory, about.
    package var bytesHeld: ByteCount {
        .bytes(self.positions.bytesHeld + self.memory.bytes + self.memory.pending)
    }

    /// Something of a group's members changed.
    mutating func measure(_ id: GroupID) {
        self.memory.count((self.classic[id]?.bytesHeld ?? 0) + (self.consumers[id]?.bytesHeld ?? 0), of: id)
    }

    /// Whether there is room for what a heartbeat tells. Who says nothing new is always heard.
    func checkRoom(for request: ConsumerGroupHeartbeat) throws(GroupError) {
        let known = self.consumers[request.group]?.members[request.member]
        var told = known == nil && request.epoch == .join ? Limits.memberMemory.rawValue : 0
        if let names = request.topicNames, names != known?.profile.topicNames {
            told = names.reduce(told) { $0 + Limits.nameMemory.rawValue + $1.utf8.count }
        }
        guard told <= self.room.rawValue else { throw .tooManyGroups }
    }

    /// Whether there is room for what a classic member tells. Who tells no more than before is always heard.
    func checkRoom(for request: JoinRequest, in group: GroupID) throws(GroupError) {
        let told = request.protocols.reduce(Limits.memberMemory.rawValue) { $0 + $1.metadata.readableBytes }
        let before =
            self.classic[group]?.members[request.member].map { Limits.memberMemory.rawValue + $0.stateBytes } ?? 0
        guard told - before <= self.room.rawValue else { throw .tooManyGroups }
    }
}
