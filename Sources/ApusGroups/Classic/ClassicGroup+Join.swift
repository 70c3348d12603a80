import ApusCore
import NIOCore

/// JoinGroup: becoming a member, and coming again when a generation is made.
extension ClassicGroup {
    /// `token` is answered once: now, or when the generation is made, or when the member is gone.
    package mutating func join(
        _ request: JoinRequest, _ token: RequestToken, at now: Moment, into actions: inout ClassicActions
    ) {
        do throws(GroupError) {
            try self.check(request)
            if request.member == .none {
                try self.joinNew(request, token, at: now, into: &actions)
            } else if self.pending.contains(request.member), request.instance == nil {
                try self.makeRoom(for: request, instead: nil)
                self.add(request, as: request.member, token, at: now, into: &actions)
            } else {
                try self.joinAgain(request, token, at: now, into: &actions)
            }
        } catch {
            actions.refuseJoin(token, error, error == .memberIDRequired ? request.memberNew : request.member)
        }
    }

    /// What does not depend on who it is.
    private func check(_ request: JoinRequest) throws(GroupError) {
        if self.phase == .dead { throw .unavailable }
        guard self.settings.sessionTimeout.contains(request.sessionTimeout) else { throw .invalidSessionTimeout }
        if let instance = request.instance, !instance.isValid {
            throw .invalidRequest("an instance id is 1 to 249 characters of a-z, A-Z, 0-9, '.', '_' and '-'")
        }
        guard request.protocols.count <= Limits.groupProtocolsMax else {
            throw .invalidRequest("more than \(Limits.groupProtocolsMax) protocols")
        }
        let names = request.protocols.map(\.name)
        guard ([request.protocolType] + names).allSatisfy({ $0.utf8.count <= Limits.groupProtocolNameBytesMax }),
            Set(names).count == names.count
        else { throw .invalidRequest("the name of a protocol is too long, or there twice") }
        guard !request.protocolType.isEmpty, !names.isEmpty, self.agrees(request) else { throw .inconsistentProtocol }
    }

    /// Whether, with this member, there is a protocol that all know.
    private func agrees(_ request: JoinRequest) -> Bool {
        var others = self.members.count
        let known = request.instance.flatMap { self.instances[$0] } ?? request.member
        let old = self.members[known]
        if old != nil { others -= 1 }
        if others == 0 { return self.members.isEmpty || request.protocolType == self.protocolType }
        guard request.protocolType == self.protocolType else { return false }
        return request.protocols.contains { offered in
            let own = old?.protocols.contains { $0.name == offered.name } == true ? 1 : 0
            return self.protocolCounts[offered.name, default: 0] - own == others
        }
    }

    // MARK: Who has no name yet

    private mutating func joinNew(
        _ request: JoinRequest, _ token: RequestToken, at now: Moment, into actions: inout ClassicActions
    ) throws(GroupError) {
        if let instance = request.instance {
            if let old = self.instances[instance].flatMap({ self.members[$0] }) {
                try self.makeRoom(for: request, instead: old)
                return self.replace(old, by: request, token, at: now, into: &actions)
            }
        } else if request.mustReturn {
            guard self.members.count + self.pending.count < self.settings.membersMax else { throw .groupFull }
            self.pending.insert(request.memberNew)
            self.deadlines.set(.session(request.memberNew), now.instant.advanced(by: request.sessionTimeout))
            throw .memberIDRequired
        }
        try self.makeRoom(for: request, instead: nil)
        self.add(request, as: request.memberNew, token, at: now, into: &actions)
    }

    /// Whether the group may have this member, or what it tells now.
    private mutating func makeRoom(for request: JoinRequest, instead old: ClassicMember?) throws(GroupError) {
        if old == nil {
            let named = self.pending.count - (self.pending.contains(request.member) ? 1 : 0)
            let others = self.members.count + named
            guard others < self.settings.membersMax else {
                self.removePending(request.member)
                throw .groupFull
            }
        }
        let told = request.protocols.reduce(ClassicMember.bytesBesides) {
            $0 + $1.name.utf8.count + $1.metadata.readableBytes
        }
        let bytes = self.stateBytes - (old?.stateBytes ?? 0) + told + (old?.assignment.readableBytes ?? 0)
        guard bytes <= self.settings.stateBytesMax.rawValue else { throw .groupFull }
    }

    private mutating func add(
        _ request: JoinRequest, as id: MemberID, _ token: RequestToken, at now: Moment,
        into actions: inout ClassicActions
    ) {
        self.removePending(id)
        if self.members.isEmpty { self.protocolType = request.protocolType }
        var member = ClassicMember(request, id: id, order: self.orderNext)
        member.joining = token
        self.orderNext += 1
        self.joiningCount += 1
        self.count(member, 1)
        self.members[id] = member
        if let instance = member.instance { self.instances[instance] = id }
        self.deadlines.set(.session(id), now.instant.advanced(by: Limits.groupNewMemberWaitMax))
        if case .preparing(var delay?) = self.phase {
            delay.hasNewMember = true
            self.phase = .preparing(delay)
        }
        self.rebalance(at: now, into: &actions)
    }

    mutating func removePending(_ id: MemberID) {
        guard self.pending.remove(id) != nil else { return }
        self.deadlines.remove(.session(id))
    }

    // MARK: Who has one

    private mutating func joinAgain(
        _ request: JoinRequest, _ token: RequestToken, at now: Moment, into actions: inout ClassicActions
    ) throws(GroupError) {
        let identity = MemberIdentity(member: request.member, instance: request.instance)
        let member = try self.member(identity)
        try self.makeRoom(for: request, instead: member)
        let isSame = member.protocols == request.protocols
        switch self.phase {
        case .completing where isSame:
            // The answer to its join was lost.
            self.heard(request.member, at: now)
            actions.answer(token, .join(.success(self.joined(member))))
        case .stable where isSame && self.leader != request.member:
            self.heard(request.member, at: now)
            actions.answer(token, .join(.success(self.joined(member))))
        case .preparing, .completing, .stable:
            self.update(request.member, request, token, into: &actions)
            self.rebalance(at: now, into: &actions)
        case .empty, .dead: throw .unknownMember
        }
    }

    /// Takes in what a member tells anew; its join waits for the next generation.
    private mutating func update(
        _ id: MemberID, _ request: JoinRequest, _ token: RequestToken, into actions: inout ClassicActions
    ) {
        guard var member = self.members[id] else { return }
        self.count(member, -1)
        member.take(request)
        self.count(member, 1)
        if let earlier = member.joining {
            // One request at a time has a right to the answer, the last.
            actions.refuseJoin(earlier, .rebalanceInProgress, id)
        } else {
            self.joiningCount += 1
        }
        member.joining = token
        self.members[id] = member
    }

    /// A static member is back and has forgotten its name: it goes on under a new one, and whoever still uses the old
    /// one is shut out (KIP-345). If it tells the same as before, the generation goes on with it.
    private mutating func replace(
        _ old: ClassicMember, by request: JoinRequest, _ token: RequestToken, at now: Moment,
        into actions: inout ClassicActions
    ) {
        let id = request.memberNew
        var member = old
        self.members[old.id] = nil
        self.deadlines.remove(.session(old.id))
        if let join = member.joining {
            actions.refuseJoin(join, .fencedInstance, old.id)
            self.joiningCount -= 1
        }
        if let sync = member.syncing { actions.answer(sync, .sync(.failure(.fencedInstance))) }
        member.joining = nil
        member.syncing = nil
        member.rename(
            id,
            ClientIdentity(
                clientID: ClientIdentity.printable(request.client.clientID),
                host: ClientIdentity.printable(request.client.host)
            )
        )
        let isLeader = self.leader == old.id
        if isLeader { self.leader = id }
        self.members[id] = member
        if let instance = member.instance { self.instances[instance] = id }
        let told = member.metadata(for: self.protocolName)
        self.update(id, request, token, into: &actions)
        self.deadlines.set(.session(id), now.instant.advanced(by: request.sessionTimeout))
        guard self.phase == .stable, self.chosenProtocol == self.protocolName, let member = self.members[id],
            member.metadata(for: self.protocolName) == told
        else { return self.rebalance(at: now, into: &actions) }
        self.members[id]?.joining = nil
        self.members[id]?.hasSynced = true
        self.joiningCount -= 1
        var joined = self.joined(member)
        if isLeader {
            joined.skipAssignment = request.canSkipAssignment
            // A leader that can not be told to skip must not know that it leads.
            if !request.canSkipAssignment {
                joined.leader = old.id
                joined.members = []
            }
        }
        self.write(self.imageNow(at: now), .replacement, [(token, .join(.success(joined)))], into: &actions)
    }

    /// What a member is told of the current generation.
    func joined(_ member: ClassicMember) -> JoinedGroup {
        JoinedGroup(
            generation: self.generation, protocolType: self.protocolType ?? "",
            protocolName: self.protocolName ?? "", leader: self.leader ?? .none, member: member.id,
            skipAssignment: false,
            members: self.leader != member.id
                ? []
                : self.membersInOrder.map {
                    JoinedGroup.Member(id: $0.id, instance: $0.instance, metadata: $0.metadata(for: self.protocolName))
                }
        )
    }
}

extension InstanceID {
    /// Kafka's rule, which is that of topic names.
    var isValid: Bool {
        let text = self.rawValue.utf8
        guard !text.isEmpty, text.count <= Limits.groupInstanceCharactersMax, self.rawValue != ".",
            self.rawValue != ".."
        else { return false }
        return text.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
                true
            default: false
            }
        }
    }
}
