package import ApusCore
import HeapModule

/// All consumer groups (KIP-848) of one partition of `__consumer_offsets`: what its coordinator asks and tells.
///
/// Events and the time go in; records and answers come out. The records are applied already. The coordinator writes
/// them, in order, as few batches as it can, and lets an answer go when they and all records before are durable. If a
/// write is refused or fails, it drops this value and builds another from the log (`apply` for each record, then
/// `loaded`).
///
/// Several heartbeats that came together should be given together: a group of a thousand that joins at once then gets
/// one assignment, not a thousand.
///
/// Owner: the coordinator of that partition, on its event loop.
package struct ConsumerGroups: Sendable {
    /// What an event comes to.
    package struct Decision: Sendable {
        package var records: [ConsumerGroupRecord] = []
        /// In the order of the requests.
        package var replies: [Result<ConsumerGroupHeartbeatReply, GroupError>] = []
        /// To be done off the loop; the outcome comes back in `resolved`.
        package var patternWork: [PatternWork] = []
        /// Empty classic groups that became consumer groups: their own tombstones are written in front of `records`.
        package var classicGroupsReplaced: [GroupID] = []
    }

    /// What the coordinator knows of a classic group of some name.
    package enum ClassicGroup: Hashable, Sendable {
        case none
        /// It has no members: it may become a consumer group.
        case empty
        case inUse
    }

    package private(set) var groups: [GroupID: ConsumerGroup] = [:]
    package let settings: ConsumerGroupSettings
    private var journal = TopicJournal()
    private var checks = Heap<Check>()
    /// For each group the check that counts; others in the heap are out of date.
    private var checkOf: [GroupID: Instant] = [:]

    private struct Check: Comparable, Sendable {
        let at: Instant
        let group: GroupID

        static func < (left: Check, right: Check) -> Bool { (left.at, left.group) < (right.at, right.group) }
    }

    package init(_ settings: ConsumerGroupSettings = ConsumerGroupSettings()) { self.settings = settings }

    package subscript(group: GroupID) -> ConsumerGroup? { self.groups[group] }

    // MARK: Recovery

    /// One record as it was written, in the order of the log.
    package mutating func apply(_ record: ConsumerGroupRecord) {
        let id = record.group
        guard self.groups[id] != nil || !record.isTombstone else { return }
        self.groups[id, default: ConsumerGroup(id: id)].apply(record)
        if case .group(_, nil) = record, self.groups[id]?.isEmpty == true { self.forget(id) }
    }

    /// The log is read: the groups begin to live.
    package mutating func loaded(now: Instant, wall: Timestamp, topics: any SubscribableTopics) -> Decision {
        let moment = self.moment(now, wall, topics)
        var decision = Decision()
        for id in self.groups.keys.sorted() {
            decision.records += self.groups[id]?.loaded(moment) ?? []
            guard let group = self.groups[id], group.epoch == nil, group.isEmpty else {
                self.schedule(id)
                continue
            }
            // Leavings of a group that is none.
            decision.records += group.tombstones
            self.forget(id)
        }
        return decision
    }

    // MARK: Heartbeats

    /// - Parameter classic: what there is under a name that no consumer group has.
    package mutating func heartbeats(
        _ requests: [ConsumerGroupHeartbeat], now: Instant, wall: Timestamp, topics: any SubscribableTopics,
        classic: (GroupID) -> ClassicGroup = { _ in .none }
    ) -> Decision {
        let moment = self.moment(now, wall, topics)
        var decision = Decision()
        guard requests.count > 1 else {
            if let request = requests.first {
                // Nearly every heartbeat there is: no record, no list, no list of lists.
                if let reply = self.groups[request.group]?.idle(request, moment) {
                    decision.replies = [.success(reply)]
                    return decision
                }
                self.hear(request.group, requests[...], moment, classic, &decision) { decision, _, reply in
                    decision.replies.append(reply)
                }
            }
            return decision
        }
        var order: [GroupID] = []
        var places: [GroupID: [Int]] = [:]
        for (index, request) in requests.enumerated() {
            if places[request.group] == nil { order.append(request.group) }
            places[request.group, default: []].append(index)
        }
        decision.replies = Array(repeating: .failure(.unknownMember), count: requests.count)
        for group in order {
            let own = places[group] ?? []
            self.hear(group, own.map { requests[$0] }[...], moment, classic, &decision) { decision, index, reply in
                decision.replies[own[index]] = reply
            }
        }
        return decision
    }

    private mutating func hear(
        _ group: GroupID, _ requests: ArraySlice<ConsumerGroupHeartbeat>, _ moment: GroupMoment,
        _ classic: (GroupID) -> ClassicGroup, _ decision: inout Decision,
        _ tell: (inout Decision, Int, Result<ConsumerGroupHeartbeatReply, GroupError>) -> Void
    ) {
        let isNew = self.groups[group] == nil
        let found: ClassicGroup = isNew ? classic(group) : .none
        var accepted: [(index: Int, request: ConsumerGroupHeartbeat)] = []
        for (index, request) in requests.enumerated() {
            var request = request
            if request.version == 0, request.member == .none, let fresh = request.freshMember { request.member = fresh }
            do throws(GroupError) {
                try request.validate()
                if isNew { try self.checkNew(request, found) }
                accepted.append((index, request))
            } catch {
                tell(&decision, index, .failure(error))
            }
        }
        guard !accepted.isEmpty else { return }
        if isNew { self.groups[group] = ConsumerGroup(id: group) }
        let heard = self.groups[group]?.heartbeats(accepted.map(\.request), moment) ?? ConsumerGroupDecision()
        for ((index, _), reply) in zip(accepted, heard.replies) {
            tell(&decision, index, reply ?? .failure(.unknownMember))
        }
        decision.records += heard.records
        decision.patternWork += heard.patternWork
        if isNew, self.groups[group]?.epoch == nil {
            // Nobody got in.
            self.groups[group] = nil
            return
        }
        if isNew, found == .empty { decision.classicGroupsReplaced.append(group) }
        self.schedule(group)
    }

    /// A group begins with a member that joins it.
    private func checkNew(_ request: ConsumerGroupHeartbeat, _ classic: ClassicGroup) throws(GroupError) {
        guard request.epoch == .join else { throw .unknownMember }
        guard classic != .inUse else { throw .groupNotFound }
        guard self.groups.count < self.settings.groupsMax else { throw .tooManyGroups }
    }

    // MARK: Topics

    /// Topics were created, deleted, or got partitions. Groups take notice with their next heartbeat; the snapshot that
    /// comes with it must have these changes.
    /// - Parameter names: nil when any topic may have changed.
    package mutating func topicsChanged(_ names: [String]?) {
        if let names { self.journal.append(names) } else { self.journal.forget() }
    }

    /// What `Decision.patternWork` asked for.
    package mutating func resolved(
        _ outcome: PatternWork.Outcome, now: Instant, wall: Timestamp, topics: any SubscribableTopics
    ) -> Decision {
        let moment = self.moment(now, wall, topics)
        var decision = Decision()
        self.groups[outcome.group]?.resolved(outcome, &decision.records, moment)
        return decision
    }

    // MARK: Time

    /// When `expire` has something to do; not before, and perhaps not even then.
    package var checkAt: Instant? { self.checks.min?.at }

    /// Members whose session, or time to give partitions up, is over are out.
    package mutating func expire(now: Instant, wall: Timestamp, topics: any SubscribableTopics) -> Decision {
        let moment = self.moment(now, wall, topics)
        var decision = Decision()
        while let check = self.checks.min, check.at <= now {
            self.checks.removeMin()
            guard self.checkOf[check.group] == check.at else { continue }
            self.checkOf[check.group] = nil
            var records: [ConsumerGroupRecord] = []
            self.groups[check.group]?.expire(&records, &decision.patternWork, moment)
            decision.records += records
            self.schedule(check.group)
        }
        return decision
    }

    private mutating func schedule(_ group: GroupID) {
        guard let at = self.groups[group]?.checkAt else { return }
        if let known = self.checkOf[group], known <= at { return }
        self.checkOf[group] = at
        self.checks.insert(Check(at: at, group: group))
    }

    // MARK: Deletion

    /// The group is to be no more: DeleteGroups, or a classic member joins under its name, or its last position
    /// expired.
    /// - Throws: `.groupNotFound`, `.groupNotEmpty`.
    package mutating func delete(_ group: GroupID) throws(GroupError) -> [ConsumerGroupRecord] {
        guard let found = self.groups[group] else { throw .groupNotFound }
        guard found.isEmpty else { throw .groupNotEmpty }
        let records = found.tombstones
        for record in records { self.apply(record) }
        return records
    }

    private mutating func forget(_ group: GroupID) {
        self.groups[group] = nil
        self.checkOf[group] = nil
    }

    private func moment(_ now: Instant, _ wall: Timestamp, _ topics: any SubscribableTopics) -> GroupMoment {
        GroupMoment(now: now, wall: wall, topics: topics, journal: self.journal, settings: self.settings)
    }
}
