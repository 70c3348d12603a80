/// The verbs of the classic protocol. A group begins with its first member.
extension GroupCoordinator {
    package mutating func join(
        _ id: GroupID, _ request: JoinRequest, _ token: RequestToken, at now: Moment, into actions: inout GroupActions
    ) {
        var told = ClassicActions()
        do throws(GroupError) {
            try self.check(id)
            if self.classic[id] == nil {
                guard self.consumers[id]?.isEmpty ?? true else { throw .wrongGroupType }
                guard request.member == .none else { throw .unknownMember }
                guard self.classic.count < self.settings.groupsMax else { throw .tooManyGroups }
                self.classic[id] = ClassicGroup(id: id, settings: self.settings)
            }
            try self.checkRoom(for: request, in: id)
        } catch {
            told.refuseJoin(token, error, request.member)
            return self.carry(told, of: id, at: now, into: &actions)
        }
        self.classic[id]?.join(request, token, at: now, into: &told)
        if self.classic[id]?.isVoid == false { self.endConsumerGroup(id, into: &actions) }
        self.carry(told, of: id, at: now, into: &actions)
    }

    package mutating func sync(
        _ id: GroupID, _ request: SyncRequest, _ token: RequestToken, at now: Moment, into actions: inout GroupActions
    ) {
        var told = ClassicActions()
        do throws(GroupError) {
            try self.check(id)
            guard self.classic[id] != nil else { throw .unknownMember }
        } catch {
            told.answer(token, .sync(.failure(error)))
            return self.carry(told, of: id, at: now, into: &actions)
        }
        self.classic[id]?.sync(request, token, at: now, into: &told)
        self.carry(told, of: id, at: now, into: &actions)
    }

    /// - Throws: see ``ClassicGroup/heartbeat(_:_:at:)``.
    package mutating func heartbeat(
        _ id: GroupID, _ identity: MemberIdentity, _ generation: Generation, at now: Moment
    ) throws(GroupError) {
        try self.check(id)
        guard self.classic[id] != nil else { throw .unknownMember }
        try self.classic[id]?.heartbeat(identity, generation, at: now)
    }

    /// Each of them is answered by itself.
    package mutating func leave(
        _ id: GroupID, _ identities: [MemberIdentity], _ token: RequestToken, at now: Moment,
        into actions: inout GroupActions
    ) {
        var told = ClassicActions()
        do throws(GroupError) {
            try self.check(id)
            guard self.classic[id] != nil else { throw .unknownMember }
        } catch {
            told.answer(token, .left(identities.map { LeaveResult(identity: $0, error: error) }))
            return self.carry(told, of: id, at: now, into: &actions)
        }
        self.classic[id]?.leave(identities, token, at: now, into: &told)
        self.carry(told, of: id, at: now, into: &actions)
    }

    // MARK: Looking

    /// nil when there is no such group of the classic protocol. A group of positions alone is an empty one.
    package func describe(_ id: GroupID) throws(GroupError) -> ClassicDescription? {
        try self.check(id)
        if let group = self.classic[id] { return group.description }
        guard self.consumers[id] == nil, self.positions.holds(id) else { return nil }
        return ClassicDescription(state: "Empty", protocolType: "", protocolName: "", members: [])
    }

    /// A line of ListGroups.
    package struct Listing: Hashable, Sendable {
        package enum Kind: String, Hashable, Sendable {
            case classic = "classic"
            case consumer = "consumer"
        }

        package var group: GroupID
        package var kind: Kind
        package var protocolType: String
        package var state: String
    }

    package func list() throws(GroupError) -> [Listing] {
        if self.isLoading { throw .loading }
        let alone = self.positions.groupIDs.filter { self.classic[$0] == nil && self.consumers[$0] == nil }.map {
            Listing(group: $0, kind: .classic, protocolType: "", state: "Empty")
        }
        let classic = self.classic.values.map {
            Listing(group: $0.id, kind: .classic, protocolType: $0.protocolTypeTold, state: $0.stateName)
        }
        return classic + alone
            + self.consumers.groups.values.map {
                Listing(
                    group: $0.id, kind: .consumer, protocolType: ClassicGroup.consumerProtocol, state: $0.state.rawValue
                )
            }
    }
}
