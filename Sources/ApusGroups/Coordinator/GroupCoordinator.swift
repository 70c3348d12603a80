package import ApusCore

/// The groups whose records are in one partition of `__consumer_offsets`: who is in them, and where they stand.
///
/// Every verb takes the time and answers with ``GroupActions``. A change that must last is *decided*, then *written*,
/// and only when the write is done *applied* and told to whoever asked. So nobody sees what a later coordinator may not
/// find, a failed write changes nothing, and ``apply(_:)`` is all there is to recovery: it takes in each record of the
/// partition, in order, as it took it in when it was written.
///
/// A group is of the classic protocol or of KIP-848, never of both; it changes from one to the other while nobody is in
/// it. Groups of KIP-848 apply what they decide at once, and their answers wait until it is written. So when a write of
/// theirs fails, the memory is ahead of the partition, and all of the coordinator is loaded anew
/// (``GroupActions/isLost``).
///
/// Owner: the shard of the partition. The one who holds it appends the writes in their order, reports them in their
/// order, and calls ``tick(topics:at:into:)`` at ``deadline``.
package struct GroupCoordinator: Sendable {
    enum Timer: Hashable, Sendable {
        /// Something of a group's members is due.
        case group(GroupID)
        /// Positions of a group may have expired.
        case expiry(GroupID)
    }

    /// A write under way, and what follows from it.
    struct Pending: Sendable {
        var facts: [GroupFact]
        var classic: (group: GroupID, purpose: ClassicWritePurpose)?
        var replies: [(token: RequestToken, reply: GroupReply)] = []
        /// One of several writes for a request, and not the last: if it fails, so has the request.
        var isPartOf: RequestToken?
        /// Applied before it was written.
        var consumerRecords: [ConsumerGroupRecord] = []
        /// The last write of this group's deletion.
        var deletes: GroupID?
        /// What its positions will take of the memory.
        var bytes = 0
    }

    package let settings: GroupSettings
    var classic: [GroupID: ClassicGroup] = [:]
    package internal(set) var consumers: ConsumerGroups
    package internal(set) var positions = Positions()
    var deadlines = DeadlineQueue<Timer>()
    var pending = PendingWrites()
    /// Groups whose deletion is being written.
    var deleting: Set<GroupID> = []
    /// When the last member of a group went, where the group itself does not keep it: of consumer groups, and of those
    /// that are nothing but positions now. While the coordinator loads: when the newest record of each was written.
    var emptySince: [GroupID: Timestamp] = [:]
    /// Nil until the coordinator is loaded.
    var expiresNothingBefore: Instant?
    var memory = GroupMemory()
    /// How much more memory its groups and positions may take. Whoever holds the coordinator says so before each event,
    /// as all coordinators of a broker share it.
    package var room = Limits.groupMemoryMax
    /// Requests of several writes of which one has failed.
    var failedRequests: Set<RequestToken> = []
    /// The last write of consumer groups: until it is done, no later answer of theirs may leave.
    var consumerWriteLast: GroupWriteID?
    private var writeNext: UInt64 = 1
    /// Set until all records of the partition were read.
    package private(set) var isLoading = true

    package init(
        settings: GroupSettings = GroupSettings(), consumerSettings: ConsumerGroupSettings = ConsumerGroupSettings()
    ) {
        self.settings = settings
        self.consumers = ConsumerGroups(consumerSettings)
    }

    // MARK: Recovery

    /// Takes in one record of the partition; all of them, in order, before ``loaded(at:)``.
    ///
    /// - Throws: what the record is not. The others count all the same.
    package mutating func load(_ record: GroupRecord) throws(GroupRecordError) {
        precondition(self.isLoading, "records are read once, before anything is served")
        do throws(GroupRecordError) {
            self.apply(try GroupFact(record))
        } catch {
            guard case .otherKey = error else { throw error }
            try self.loadConsumerRecord(record, else: error)
        }
    }

    private mutating func loadConsumerRecord(
        _ record: GroupRecord, else other: GroupRecordError
    ) throws(GroupRecordError) {
        let read: ConsumerGroupRecord?
        do throws(ConsumerGroupRecordError) {
            read = try ConsumerGroupRecord(record)
        } catch {
            switch error {
            case .malformed(_, let why): throw .malformedConsumerRecord(why)
            case .unknownVersion(_, let version): throw .otherValue(version: version)
            }
        }
        guard let read else { throw other }
        self.consumers.apply(read)
        if self.consumers[read.group] == nil {
            self.emptySince[read.group] = nil
        } else if record.writtenAt > self.emptySince[read.group] ?? .none {
            self.emptySince[read.group] = record.writtenAt
        }
    }

    /// All records were read: groups come alive, and are served from now on.
    package mutating func loaded(
        topics: any SubscribableTopics, at now: Moment, into actions: inout GroupActions
    ) {
        self.isLoading = false
        self.beginExpiry(at: now)
        for id in Array(self.classic.keys) {
            guard self.consumers[id]?.epoch == nil else {
                // Only a foreign or damaged log has both. What came later in its life is the consumer group.
                self.classic[id] = nil
                continue
            }
            self.classic[id]?.recovered(at: now)
            self.settle(id, at: now)
        }
        let decision = self.consumers.loaded(now: now.instant, wall: now.wall, topics: topics)
        self.carry(decision, [], at: now, into: &actions)
        for id in self.consumers.groups.keys { self.measure(id) }
        for (id, group) in self.consumers.groups where group.isEmpty {
            self.lookForExpiry(id, in: Limits.offsetsExpiryPeriod, at: now)
        }
        for id in self.positions.groupIDs { self.lookForExpiry(id, in: Limits.offsetsExpiryPeriod, at: now) }
    }

    /// The only code that changes what outlives the coordinator.
    private mutating func apply(_ fact: GroupFact) {
        switch fact {
        case .position(let key, let position): self.positions.apply(key, position)
        case .classic(let id, let image):
            if image == nil, self.isLoading {
                self.classic[id] = nil
            } else if image == nil, self.classic[id] == nil {
                // It became a consumer group, and left when that was decided.
            } else {
                self.classic[id, default: ClassicGroup(id: id, settings: self.settings)].apply(image)
            }
        }
    }

    // MARK: Writes

    mutating func write(_ write: Pending, into actions: inout GroupActions) {
        let id = GroupWriteID(rawValue: self.writeNext)
        self.writeNext += 1
        self.pending.insert(write, as: id)
        self.memory.pending += write.bytes
        if let group = write.deletes { self.deleting.insert(group) }
        if !write.consumerRecords.isEmpty { self.consumerWriteLast = id }
        actions.writes.append(GroupWrite(id: id, facts: write.facts, consumerRecords: write.consumerRecords))
    }

    /// A write is as durable as the partition promises.
    package mutating func written(_ id: GroupWriteID, at now: Moment, into actions: inout GroupActions) {
        guard let write = self.pending.remove(id) else { return }
        if let group = write.deletes { self.deleting.remove(group) }
        self.memory.pending -= write.bytes
        if self.consumerWriteLast == id { self.consumerWriteLast = nil }
        for fact in write.facts { self.apply(fact) }
        for (token, reply) in write.replies {
            let isWhole = self.failedRequests.remove(token) == nil
            actions.replies.append((token, isWhole ? reply : reply.unwritten(.unavailable)))
        }
        if let first = write.facts.first, self.positions.holds(first.group) {
            self.lookForExpiry(first.group, in: self.settings.offsetsRetention, at: now)
        }
        guard let (group, purpose) = write.classic else { return }
        var told = ClassicActions()
        self.classic[group]?.written(purpose, at: now, into: &told)
        self.carry(told, of: group, at: now, into: &actions)
    }

    /// A write was refused, and will never appear; or nobody can tell whether it will, and the partition is at its end
    /// for this life of the broker.
    ///
    /// - Parameter error: what those hear who asked for it.
    package mutating func failed(
        _ id: GroupWriteID, _ error: GroupError = .unavailable, at now: Moment, into actions: inout GroupActions
    ) {
        guard let write = self.pending.remove(id) else { return }
        if let group = write.deletes { self.deleting.remove(group) }
        self.memory.pending -= write.bytes
        if !write.consumerRecords.isEmpty { actions.isLost = true }
        if let token = write.isPartOf { self.failedRequests.insert(token) }
        for (token, reply) in write.replies {
            self.failedRequests.remove(token)
            actions.replies.append((token, reply.unwritten(error)))
        }
        guard let (group, purpose) = write.classic else { return }
        var told = ClassicActions()
        self.classic[group]?.writeFailed(purpose, at: now, into: &told)
        self.carry(told, of: group, at: now, into: &actions)
    }

    /// Who waits for others to join, or for a leader to assign, is sent away; what is being written goes on.
    package mutating func dismiss(into actions: inout GroupActions) {
        var told = ClassicActions()
        for id in Array(self.classic.keys) { self.classic[id]?.resign(into: &told) }
        for (token, reply) in told.replies { actions.replies.append((token, .classic(reply))) }
    }

    /// This broker coordinates these groups no more: everybody who waits is sent away. Nothing may be asked after it.
    package mutating func resign(into actions: inout GroupActions) {
        for write in self.pending.inOrder {
            for (token, reply) in write.replies { actions.replies.append((token, reply.unwritten(.notCoordinator))) }
        }
        self.dismiss(into: &actions)
        self = GroupCoordinator(settings: self.settings, consumerSettings: self.consumers.settings)
    }

    // MARK: Time

    /// When ``tick(topics:at:into:)`` has something to do; nil when never. May be early, is never late.
    package var deadline: Instant? {
        guard let check = self.consumers.checkAt else { return self.deadlines.earliest }
        return self.deadlines.earliest.map { min($0, check) } ?? check
    }

    /// Does what is due, for at most `Limits.groupsPerTickMax` groups: if more is, ``deadline`` is still past.
    package mutating func tick(
        topics: any SubscribableTopics, at now: Moment, into actions: inout GroupActions
    ) {
        if let check = self.consumers.checkAt, check <= now.instant {
            let decision = self.consumers.expire(now: now.instant, wall: now.wall, topics: topics)
            self.carry(decision, [], at: now, into: &actions)
        }
        for _ in 0..<Limits.groupsPerTickMax {
            guard let timer = self.deadlines.popDue(now.instant) else { return }
            switch timer {
            case .group(let id):
                var told = ClassicActions()
                self.classic[id]?.tick(at: now, into: &told)
                self.carry(told, of: id, at: now, into: &actions)
            case .expiry(let id): self.expire(id, at: now, into: &actions)
            }
        }
    }

    // MARK: Groups and their actions

    /// Takes over what a group wants done.
    mutating func carry(_ told: ClassicActions, of id: GroupID, at now: Moment, into actions: inout GroupActions) {
        for (token, reply) in told.replies { actions.replies.append((token, .classic(reply))) }
        for write in told.writes {
            let pending = Pending(
                facts: [.classic(id, write.image)], classic: (id, write.purpose),
                replies: write.replies.map { ($0.token, .classic($0.reply)) }
            )
            self.write(pending, into: &actions)
        }
        self.settle(id, at: now)
    }

    /// After anything happened to a group: when to look at it again, and whether there still is one.
    private mutating func settle(_ id: GroupID, at now: Moment) {
        defer { self.measure(id) }
        guard let group = self.classic[id] else { return }
        guard !group.isVoid else {
            if group.emptySince != nil, self.positions.holds(id) { self.becameEmpty(id, at: now) }
            self.classic[id] = nil
            self.deadlines.remove(.group(id))
            return
        }
        if let deadline = group.deadline {
            self.deadlines.set(.group(id), deadline)
        } else {
            self.deadlines.remove(.group(id))
        }
        if group.isEmpty { self.lookForExpiry(id, in: Limits.offsetsExpiryPeriod, at: now) }
    }

    /// - Throws: `.loading`; `.invalidGroupID` for a name that is empty, too long or holds control characters.
    func check(_ id: GroupID) throws(GroupError) {
        guard id.isValid else { throw .invalidGroupID }
        if self.isLoading { throw .loading }
    }
}

extension GroupID {
    /// Not empty, not too long, and without control characters: names end up in logs and on terminals.
    package var isValid: Bool {
        let bytes = self.rawValue.utf8
        guard !bytes.isEmpty, bytes.count <= Limits.groupNameBytesMax else { return false }
        // Nearly every name is ASCII, and this is asked with every request.
        if bytes.allSatisfy({ (0x20...0x7E).contains($0) }) { return true }
        return self.rawValue.unicodeScalars.allSatisfy { $0.properties.generalCategory != .control }
    }
}
