import ApusCore
import KafkaWire
import NIOCore
import Synchronization

/// Keeps a member in its classic group: joins, shares out when it leads, reads what it was given, says that it lives,
/// gives up and joins again when others come or go, leaves at the end.
final class GroupMember: Sendable {
    /// Who it is in the group at present.
    private struct Standing: Sendable {
        var memberID = ""
        var generation: Int32 = -1
        var coordinator: BrokerID?
        /// It has its partitions, and knows where the group is in them: positions of this generation may be committed.
        var isJoined = false
    }

    /// A turn of the group: what it is for as long as nobody comes or goes.
    struct Turn: Sendable {
        var generation: Int32
        var partitions: [NamedPartition]
        /// How many partitions each topic had when they were shared out; only the leader looks.
        var counts: [String: Int]?
    }

    let core: ClientCore
    let group: String
    let topics: [String]
    let options: ConsumerOptions
    private let desk: ConsumerDesk
    /// A connection of its own: a broker answers a join only when all have joined.
    private let purpose: ClientCore.Purpose
    private let standing = Mutex(Standing())
    private static let numbers = Mutex(0)

    init(core: ClientCore, group: String, topics: [String], options: ConsumerOptions, desk: ConsumerDesk) {
        self.core = core
        self.group = group
        self.topics = topics
        self.options = options
        self.desk = desk
        self.purpose = .group(
            Self.numbers.withLock { number in
                number += 1
                return number
            })
    }

    /// Until the task is cancelled, or something happens that no retry mends. How it ended is told at the desk.
    func run() async {
        do {
            while true {
                try Task.checkCancellation()
                let turn = try await self.join()
                let session = try await self.session(of: turn)
                self.standing.withLock { $0.isJoined = true }
                session.start()
                self.desk.opened(session)
                try await self.heartbeat(turn)
                try await self.handBack(turn)
            }
        } catch {
            self.desk.close()?.stop()
            // Whoever cancelled us knows why.
            self.desk.end(Task.isCancelled ? .success(()) : .failure(error))
            await self.leave()
        }
        await self.core.ask { self.core.closeLinks(for: self.purpose) }
    }

    /// Before partitions are shared out anew: nothing more is handed out, what was is waited for and committed.
    private func handBack(_ turn: Turn) async throws {
        self.desk.close()?.stop()
        while let waiter = self.desk.busy() {
            // The others wait, and the coordinator must not think that nobody is there.
            self.core.loop.scheduleTask(in: .nanoseconds(self.options.heartbeatInterval.wholeNanoseconds)) {
                waiter.wake()
            }
            try await waiter.value()
            // Whatever it answers, it is joined again next.
            _ = try? await self.ask(self.heartbeatRequest(turn))
        }
        await self.commitProcessed()
    }

    // MARK: Asking the coordinator

    private func ask<Request: KafkaRequest>(
        _ request: Request, upTo limit: Int16 = .max, timeout: Duration? = nil
    ) async throws(ApusError) -> BrokerAnswer<Request.Response> {
        let known = self.standing.withLock { $0.coordinator }
        let broker: BrokerID
        if let known {
            broker = known
        } else {
            broker = try await GroupCoordinator(core: self.core, group: self.group).find()
            self.standing.withLock { $0.coordinator = broker }
        }
        do throws(ApusError) {
            return try await self.core.call(
                request, to: .broker(broker), for: self.purpose, upTo: limit, timeout: timeout)
        } catch {
            self.standing.withLock { $0.coordinator = nil }
            throw error
        }
    }

    /// What an error means for the membership. Returns when it is worth going on, after a while if need be.
    private func recover(from code: KafkaErrorCode, _ error: ApusError, failures: Int) async throws {
        switch code {
        case .rebalanceInProgress: return
        case .illegalGeneration:
            self.standing.withLock { $0.isJoined = false }
            // Others may have had its partitions since, and be further, or have been moved back.
            self.desk.forgetProcessed()
        case .unknownMemberID:
            self.desk.forgetProcessed()
            self.standing.withLock { standing in
                standing.memberID = ""
                standing.isJoined = false
            }
        default:
            guard code.isRetriable else { throw error }
            self.standing.withLock { $0.coordinator = nil }
            try await self.pause(afterFailures: failures)
        }
    }

    private func pause(afterFailures failures: Int) async throws {
        let backoff = Backoff(
            base: self.core.configuration.retryBackoff, limit: self.core.configuration.retryBackoffMax)
        self.core.loop.execute { self.core.refresh() }
        try await self.core.pause(
            for: backoff.wait(afterFailures: failures, chance: self.core.environment.randomness.next()))
    }

    // MARK: Joining

    private var rebalancePatience: Duration {
        self.options.rebalanceTimeout + self.core.configuration.requestTimeout
    }

    /// A question that is answered when others have done something. Whoever is cancelled does not wait for them.
    private func waiting<Answer>(_ ask: () async throws(ApusError) -> Answer) async throws -> Answer {
        try await withTaskCancellationHandler {
            try await ask()
        } onCancel: {
            self.core.loop.execute { self.core.closeLinks(for: self.purpose) }
        }
    }

    /// Asks again as long as it may help: a consumer waits for its cluster.
    private func join() async throws -> Turn {
        var failures = 0
        while true {
            try Task.checkCancellation()
            do {
                if let turn = try await self.joinOnce(failures: failures) { return turn }
            } catch let error as ApusError where error.isRetryable {
                try await self.pause(afterFailures: failures + 1)
            }
            failures += 1
        }
    }

    /// nil: to be tried again.
    private func joinOnce(failures: Int) async throws -> Turn? {
        try await self.core.learn(self.topics, within: self.core.configuration.callTimeout)
        let answer = try await self.waiting { () throws(ApusError) in
            try await self.ask(self.joinRequest(), timeout: self.rebalancePatience)
        }
        switch answer.errorCode {
        case .none: break
        case .memberIDRequired:
            self.standing.withLock { $0.memberID = answer.memberID }
            return nil
        default:
            let error = answer.error(answer.errorCode, group: self.group)
            try await self.recover(from: answer.errorCode, error, failures: failures + 1)
            return nil
        }
        self.standing.withLock { standing in
            standing.memberID = answer.memberID
            standing.generation = answer.generationID
            // What was processed before was not in partitions of this generation.
            standing.isJoined = false
        }
        let isLeader = answer.leader == answer.memberID && !answer.skipAssignment
        let counts = isLeader ? try await self.counts(for: answer.response) : nil
        return try await self.sync(answer.response, counts, failures: failures)
    }

    private func joinRequest() -> JoinGroupRequest {
        var request = JoinGroupRequest()
        request.groupID = self.group
        request.sessionTimeoutMs = Int32(clamping: self.options.sessionTimeout.wholeMilliseconds)
        request.rebalanceTimeoutMs = Int32(clamping: self.options.rebalanceTimeout.wholeMilliseconds)
        request.memberID = self.standing.withLock { $0.memberID }
        request.groupInstanceID = self.options.instanceID
        request.protocolType = "consumer"
        var subscription = ConsumerSubscription()
        subscription.topics = self.topics
        var offer = JoinGroupRequest.AssignmentProtocol()
        offer.name = RangeShares.name
        offer.metadata = subscription.encoded(version: 0)
        request.protocols = [offer]
        return request
    }

    /// How many partitions there are of each topic that any member wants.
    private func counts(for response: JoinGroupResponse) async throws -> [String: Int] {
        let topics = Set(Self.members(of: response).flatMap(\.topics))
        // Another member's topics may not be there: that is for it to say.
        for topic in topics.subtracting(self.topics).sorted() {
            try? await self.core.learn([topic], within: self.core.configuration.requestTimeout)
        }
        return await self.core.ask {
            topics.reduce(into: [:]) { $0[$1] = self.core.metadata.topics[$1]?.partitions.count }
        }
    }

    private static func members(of response: JoinGroupResponse) -> [RangeShares.Member] {
        response.members.map { member in
            // What can not be read wants nothing.
            let topics = (try? ConsumerSubscription(from: member.metadata))?.topics ?? []
            return RangeShares.Member(id: member.memberID, instanceID: member.groupInstanceID, topics: topics)
        }
    }

    private func sync(_ joined: JoinGroupResponse, _ counts: [String: Int]?, failures: Int) async throws -> Turn? {
        var request = SyncGroupRequest()
        request.groupID = self.group
        request.generationID = joined.generationID
        request.memberID = joined.memberID
        request.groupInstanceID = self.options.instanceID
        request.protocolType = "consumer"
        request.protocolName = RangeShares.name
        if let counts {
            let members = Self.members(of: joined)
            let shares = RangeShares.shares(of: counts, among: members)
            request.assignments = members.map { member in
                var assignment = ConsumerAssignment()
                assignment.partitions = shares[member.id] ?? []
                var share = SyncGroupRequest.Assignment()
                share.memberID = member.id
                share.assignment = assignment.encoded(version: 0)
                return share
            }
        }
        let answer = try await self.waiting { [request] () throws(ApusError) in
            try await self.ask(request, timeout: self.rebalancePatience)
        }
        guard answer.errorCode == .none else {
            let error = answer.error(answer.errorCode, group: self.group)
            try await self.recover(from: answer.errorCode, error, failures: failures + 1)
            return nil
        }
        guard let given = try? ConsumerAssignment(from: answer.assignment) else {
            throw ApusError(.corrupt, "the leader of group \(self.group) shared out what can not be read")
        }
        let partitions = given.partitions.flatMap { topic in
            topic.partitions.map { NamedPartition(topic.topic, PartitionIndex(rawValue: $0)) }
        }
        return Turn(generation: joined.generationID, partitions: partitions.sorted(), counts: counts)
    }

    // MARK: Living

    /// Returns when partitions are to be shared out anew.
    private func heartbeat(_ turn: Turn) async throws {
        var commitAt = self.core.now.advanced(by: self.options.commitInterval ?? .seconds(1 << 40))
        var failures = 0
        while true {
            try await self.core.pause(for: self.options.heartbeatInterval)
            if self.core.now >= commitAt {
                await self.commitProcessed()
                commitAt = self.core.now.advanced(by: self.options.commitInterval ?? .seconds(1 << 40))
            }
            if let counts = turn.counts, await self.haveChanged(counts) { return }
            do {
                let answer = try await self.ask(self.heartbeatRequest(turn))
                if answer.errorCode == .none {
                    failures = 0
                    continue
                }
                failures += 1
                let error = answer.error(answer.errorCode, group: self.group)
                try await self.recover(from: answer.errorCode, error, failures: failures)
                if !answer.errorCode.isRetriable { return }
            } catch let error as ApusError where error.isRetryable {
                failures += 1
                try await self.pause(afterFailures: failures)
            }
        }
    }

    private func heartbeatRequest(_ turn: Turn) -> HeartbeatRequest {
        var request = HeartbeatRequest()
        request.groupID = self.group
        request.generationID = turn.generation
        request.memberID = self.standing.withLock { $0.memberID }
        request.groupInstanceID = self.options.instanceID
        return request
    }

    /// Whether a topic has grown, gone or come since partitions were shared out.
    private func haveChanged(_ counts: [String: Int]) async -> Bool {
        await self.core.ask {
            counts.contains { topic, count in
                self.core.metadata.topics[topic].map { $0.partitions.count != count } ?? false
            }
        }
    }

    /// Says that it goes, after committing what was processed. Never waits longer than one request may take, each.
    private func leave() async {
        self.desk.close()?.stop()
        await self.commitProcessed()
        let standing = self.standing.withLock { $0 }
        // Who has an instance id comes back: its partitions wait for it.
        guard !standing.memberID.isEmpty, self.options.instanceID == nil else { return }
        var request = LeaveGroupRequest()
        request.groupID = self.group
        request.memberID = standing.memberID
        var member = LeaveGroupRequest.Member()
        member.memberID = standing.memberID
        member.reason = "the consumer was closed"
        request.members = [member]
        // If it can not be said, the session ends by itself.
        _ = try? await self.ask(request, timeout: .seconds(5))
    }
}

// MARK: Positions

extension GroupMember {
    /// Commits what was processed.
    func commitProcessed() async {
        // What it may do about a failure is done.
        try? await self.commitOrKeep(self.desk.takeProcessed())
    }

    /// What fails for now is tried with the next; what is no longer ours is not.
    func commitOrKeep(_ positions: [NamedPartition: GroupPosition]) async throws {
        do {
            try await self.commit(positions)
        } catch {
            let mayPass = (error as? ApusError)?.isRetryable ?? true
            if mayPass { self.desk.putBack(positions) } else { self.desk.forgetProcessed() }
            throw error
        }
    }

    func commit(_ positions: [NamedPartition: GroupPosition]) async throws {
        for piece in GroupAdmin.pieces(of: positions) { try await self.commit(piece: piece) }
    }

    private func commit(piece positions: [NamedPartition: GroupPosition]) async throws {
        let standing = self.standing.withLock { $0 }
        guard standing.isJoined else {
            throw ApusError(.refused, "this member of group \(self.group) has no partitions", group: self.group)
        }
        var request = OffsetCommitRequest()
        request.groupID = self.group
        request.memberID = standing.memberID
        request.generationIDOrMemberEpoch = standing.generation
        request.groupInstanceID = self.options.instanceID
        request.topics = GroupAdmin.commitTopics(positions)
        let answer = try await self.ask(request, upTo: GroupAdmin.versionWithNamesMax)
        for one in answer.topics.lazy.flatMap(\.partitions) {
            guard let code = one.errorCode.failure else { continue }
            throw answer.error(code, group: self.group)
        }
    }

    /// Readers of what was given, each where the group stopped.
    func session(of turn: Turn) async throws -> ConsumerSession {
        let mailbox = ReaderMailbox(bytesMax: self.options.reader.bufferedBytesMax.rawValue)
        let committed =
            turn.partitions.isEmpty
            ? [:] : try await GroupAdmin(core: self.core).positions(of: self.group)
        let processed = self.desk.keepProcessed(in: turn.partitions, beyond: committed)
        var engines: [ReaderEngine] = []
        for (topic, partitions) in Dictionary(grouping: turn.partitions, by: \.topic).sorted(by: { $0.key < $1.key }) {
            try await self.core.learn([topic], within: self.core.configuration.callTimeout)
            let known = await self.core.ask { self.core.metadata.topics[topic] }
            guard let known else { throw ApusError(.unknownTopic, topic, topic: topic, group: self.group) }
            let reached = processed.merging(committed) { ours, _ in ours }
            let without = partitions.filter { reached[$0] == nil }.map(\.partition)
            let begin = try await self.beginnings(of: topic, without)
            let positions = partitions.map { partition in
                ReaderPosition(
                    partition.partition, from: reached[partition]?.offset ?? begin[partition.partition] ?? .zero,
                    until: nil)
            }
            var options = self.options.reader
            if options.whenOutOfRange == .fail { options.whenOutOfRange = self.options.start == .start ? .start : .end }
            let engine = await self.core.ask { [options] in
                ReaderEngine(
                    core: self.core, topic: known, options: options, number: self.core.nextReader(),
                    positions: positions, mailbox: mailbox)
            }
            engines.append(engine)
        }
        return ConsumerSession(self.core, mailbox: mailbox, engines: engines)
    }

    private func beginnings(
        of topic: String, _ partitions: [PartitionIndex]
    ) async throws -> [PartitionIndex: Offset] {
        guard !partitions.isEmpty else { return [:] }
        let question: OffsetQuestion = self.options.start == .start ? .start : .end
        let lookup = OffsetLookup(
            topic: topic, partitions: partitions, question: question, isolation: self.options.reader.isolation)
        return try await lookup.run(on: self.core).mapValues(\.offset)
    }
}
