package import ApusCore

/// Whether a member may commit and fetch positions of the group.
extension ConsumerGroup {
    /// What a commit that was let in may touch.
    package struct CommitPermit: Hashable, Sendable {
        /// Nil for a tool that commits while the group is empty.
        fileprivate let member: MemberID?
        fileprivate let epoch: GroupEpoch
    }

    /// - Parameters:
    ///   - epoch: below 0 for a tool.
    ///   - version: of OffsetCommit; nil for TxnOffsetCommit, where member and epoch may be left out.
    /// - Throws: `.unknownMember`, `.staleMemberEpoch` from the future, `.unsupportedVersion`.
    package func commitPermit(
        member id: MemberID, epoch: GroupEpoch, version: Int16?
    ) throws(GroupError) -> CommitPermit {
        if epoch < .join, self.isEmpty { return CommitPermit(member: nil, epoch: epoch) }
        if version == nil, id == .none, epoch < .join { return CommitPermit(member: nil, epoch: epoch) }
        guard let member = self.members[id] else { throw .unknownMember }
        if let version, version < 9 { throw .unsupportedVersion }
        guard epoch <= member.current.epoch, epoch >= .join else {
            throw .staleMemberEpoch
        }
        return CommitPermit(member: id, epoch: epoch)
    }

    /// Whether that commit may move this partition. With its present epoch a member may commit whatever no other member
    /// has; with an older one only what it has had since (KIP-1251), for such a commit may be of the time before.
    /// - Throws: `.staleMemberEpoch`.
    package func check(_ permit: CommitPermit, on partition: TopicPartition) throws(GroupError) {
        guard let id = permit.member else { return }
        guard let current = self.members[id]?.current else { throw .unknownMember }
        if permit.epoch == current.epoch {
            guard let owner = self.owners[partition], owner != id else { return }
        } else if let place = current.assigned.index(of: partition), place < current.assignedAt.count,
            current.assignedAt[place] <= permit.epoch
        {
            return
        }
        throw .staleMemberEpoch
    }

    /// What of an OffsetCommit may not be written, by its parts; empty for nothing.
    /// - Throws: as ``commitPermit(member:epoch:version:)``, for all of it.
    func refusals(
        of commits: [Positions.Commit], _ member: MemberID, _ generation: Generation, _ version: Int16
    ) throws(GroupError) -> [GroupError?] {
        let permit = try self.commitPermit(
            member: member, epoch: GroupEpoch(rawValue: generation.rawValue), version: version
        )
        guard permit.member != nil else { return [] }
        return commits.map { commit in
            do throws(GroupError) {
                try self.check(permit, on: TopicPartition(topic: commit.topicID, partition: commit.partition))
                return nil
            } catch {
                return error
            }
        }
    }

    /// Whether a member may ask for positions. Nil and an epoch below 0 for a tool.
    /// - Throws: `.unknownMember`, `.staleMemberEpoch`.
    package func checkFetch(member id: MemberID?, epoch: GroupEpoch) throws(GroupError) {
        if id == nil || id == MemberID.none, epoch < .join { return }
        guard let member = id.flatMap({ self.members[$0] }) else { throw .unknownMember }
        guard member.current.epoch == epoch else { throw .staleMemberEpoch }
    }

    /// Whether a member wants this topic: its positions are not deleted then (OffsetDelete).
    package func isSubscribed(to topic: String) -> Bool {
        self.subscriptions.names(topic) || self.patterns.values.contains { $0.topicNames.contains(topic) }
    }
}
