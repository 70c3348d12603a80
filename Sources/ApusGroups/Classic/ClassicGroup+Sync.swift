import ApusCore
import NIOCore

/// SyncGroup: the leader hands in who gets what, everybody is given theirs.
extension ClassicGroup {
    /// `token` is answered once: now, or when the leader's assignment is written, or when the generation ends.
    package mutating func sync(
        _ request: SyncRequest, _ token: RequestToken, at now: Moment, into actions: inout ClassicActions
    ) {
        do throws(GroupError) {
            try self.sync(checking: request, token, at: now, into: &actions)
        } catch {
            actions.answer(token, .sync(.failure(error)))
        }
    }

    private mutating func sync(
        checking request: SyncRequest, _ token: RequestToken, at now: Moment, into actions: inout ClassicActions
    ) throws(GroupError) {
        if self.phase == .dead { throw .unavailable }
        let identity = MemberIdentity(member: request.member, instance: request.instance)
        let member = try self.member(identity)
        guard request.generation == self.generation else { throw .illegalGeneration }
        guard request.protocolType == nil || request.protocolType == self.protocolType,
            request.protocolName == nil || request.protocolName == self.protocolName
        else { throw .inconsistentProtocol }
        switch self.phase {
        case .empty, .dead: throw .unknownMember
        case .preparing: throw .rebalanceInProgress
        case .stable:
            self.members[member.id]?.hasSynced = true
            self.heard(member.id, at: now)
            actions.answer(token, .sync(.success(self.synced(member))))
        case .completing(let isWriting):
            if member.id == self.leader, !isWriting { try self.makeRoom(for: request.assignments) }
            if let earlier = member.syncing { actions.answer(earlier, .sync(.failure(.rebalanceInProgress))) }
            self.members[member.id]?.syncing = token
            self.members[member.id]?.hasSynced = true
            self.heard(member.id, at: now)
            guard member.id == self.leader, !isWriting else { return }
            self.phase = .completing(isWriting: true)
            let image = self.imageNow(at: now, assignments: request.assignments)
            self.write(image, .assignment(self.generation), [], into: &actions)
        }
    }

    /// A leader may not give more than a record holds. It is told so, and is out when its time to assign is up.
    private func makeRoom(for assignments: [MemberID: ByteBuffer]) throws(GroupError) {
        var bytes = self.stateBytes
        for (id, assignment) in assignments {
            guard let member = self.members[id] else { continue }
            bytes += assignment.readableBytes - member.assignment.readableBytes
        }
        guard bytes <= self.settings.stateBytesMax.rawValue else {
            throw .invalidRequest("assignments of more than the group may keep")
        }
    }

    /// The generation is known to every later coordinator: now its members may be.
    mutating func assignmentWritten(into actions: inout ClassicActions) {
        self.phase = .stable
        for kept in self.image?.members ?? [] {
            guard var member = self.members[kept.id] else { continue }
            self.stateBytes += kept.assignment.readableBytes - member.assignment.readableBytes
            member.assignment = kept.assignment
            self.members[kept.id] = member
        }
        for id in Array(self.members.keys) {
            guard let member = self.members[id], let token = member.syncing else { continue }
            self.members[id]?.syncing = nil
            actions.answer(token, .sync(.success(self.synced(member))))
        }
    }

    private func synced(_ member: ClassicMember) -> SyncedGroup {
        SyncedGroup(
            protocolType: self.protocolType ?? "", protocolName: self.protocolName ?? "",
            assignment: member.assignment
        )
    }

    mutating func refuseSyncs(_ error: GroupError, into actions: inout ClassicActions) {
        guard case .completing = self.phase else { return }
        for id in Array(self.members.keys) {
            guard let token = self.members[id]?.syncing else { continue }
            self.members[id]?.syncing = nil
            self.members[id]?.hasSynced = false
            actions.answer(token, .sync(.failure(error)))
        }
    }

    // MARK: Writing

    /// The group as it is now; with `assignments`, as the leader wants it.
    func imageNow(at now: Moment, assignments: [MemberID: ByteBuffer]? = nil) -> ClassicImage {
        ClassicImage(
            protocolType: self.protocolType ?? "", generation: self.generation, protocolName: self.protocolName,
            leader: self.leader, changedAt: self.emptySince ?? now.wall,
            members: self.membersInOrder.map { member in
                ClassicImage.Member(
                    id: member.id, instance: member.instance, client: member.client,
                    rebalanceTimeout: member.rebalanceTimeout, sessionTimeout: member.sessionTimeout,
                    subscription: member.metadata(for: self.protocolName),
                    assignment: assignments.map { given in
                        // A copy, as what came is a slice of the whole request.
                        given[member.id].map { ByteBuffer(bytes: $0.readableBytesView) } ?? ByteBuffer()
                    } ?? member.assignment
                )
            }
        )
    }

    mutating func write(
        _ image: ClassicImage?, _ purpose: ClassicWritePurpose, _ replies: [(token: RequestToken, reply: ClassicReply)],
        into actions: inout ClassicActions
    ) {
        self.writesUnderWay += 1
        actions.writes.append(ClassicActions.Write(image: image, purpose: purpose, replies: replies))
    }
}
