import ApusCore
import ApusFakes

@testable import ApusGroups

/// A group's life from one seed: members that join, leave, fall silent, lose requests and answers; topics that come,
/// grow and go; a coordinator that dies at any record. After each step it is checked that no partition has two owners
/// among those members that are in, and that no commit of an earlier owner was let in.
struct GroupHistory {
    struct Violation: Error, CustomStringConvertible {
        let description: String
    }

    /// What happened, line by line, for who must find out why.
    final class Trace {
        var isOn = false
        var lines: [String] = []
    }

    /// A process that consumes. What it believes comes from answers alone.
    struct Client {
        enum Subscription {
            case names([String])
            case pattern(String)
        }

        let name: Int
        var id: String
        var instance: String?
        var subscription: Subscription
        var epoch: Int32 = 0
        /// What it reads from.
        var owned: PartitionSet = .empty
        /// What it was told to have, and has not brought about yet.
        var told: PartitionSet = .empty
        var mustTellAll = true
        var lastSaid: PartitionSet?
        var isGone = false
        var lives = 0
    }

    /// An answer that waits for its records.
    struct Answer {
        let client: Int
        /// Of the client's life in which it asked.
        let id: String
        let reply: Result<ConsumerGroupHeartbeatReply, GroupError>
        let request: ConsumerGroupHeartbeat
        let logEnd: Int
    }

    /// A commit that was sent and did not arrive yet.
    struct Commit {
        let member: String
        let epoch: Int32
        let partition: TopicPartition
        /// How often the partition had been taken by anybody.
        let takes: [String]
    }

    static let name = GroupID("g")

    var dice: SplitMix64
    let settings: ConsumerGroupSettings
    var groups: ConsumerGroups
    var topics = FakeTopics()
    var now = Instant(nanoseconds: 1_000_000_000_000)
    var clients: [Client] = []
    var log: [GroupRecord] = []
    var durable = 0
    var answers: [Answer] = []
    var busy: Set<Int> = []
    var commits: [Commit] = []
    /// Who took each partition, one after the other.
    var takes: [TopicPartition: [String]] = [:]
    let trace = Trace()
    var commitsAccepted = 0
    var commitsRefused = 0
    var crashes = 0
    /// A defect to plant, to see that it is found.
    var defect: Defect?

    enum Defect: CaseIterable {
        /// Answers leave before their records are durable.
        case hastyAnswers
        /// Members say that they gave up what they still have.
        case lyingMembers
        /// Any commit counts.
        case openDoor
        /// The last of what the disk said it has is not there after a crash.
        case lostRecords
    }

    init(seed: UInt64) {
        self.dice = SplitMix64(seed: seed)
        var settings = ConsumerGroupSettings()
        settings.sessionTimeout = .seconds(10)
        settings.assignmentPausePerMember = self.dice.isOne(in: 2) ? .zero : .milliseconds(100)
        self.settings = settings
        self.groups = ConsumerGroups(settings)
        for index in 0..<1 + self.dice.below(3) { self.topics.set("t\(index)", Int32(1 + self.dice.below(5))) }
    }

    var group: ConsumerGroup? { self.groups[Self.name] }

    mutating func run(steps: Int = 120) throws(Violation) {
        for _ in 0..<steps {
            try self.step()
            try self.check()
        }
        try self.settle()
    }

    private mutating func step() throws(Violation) {
        switch self.dice.below(40) {
        case 0..<14: self.heartbeats(count: 1 + self.dice.below(4))
        case 14..<20: self.flush()
        case 20..<23: self.advance(.milliseconds(self.dice.below(4000)))
        case 23..<26: self.bringAbout()
        case 26..<28: if self.clients.count < 8 { self.appear() }
        case 28: self.disappear()
        case 29: self.loseAnswer()
        case 30: try self.crash()
        case 31: self.changeTopic()
        case 32: self.changeSubscription()
        case 33, 34, 35: self.sendCommit()
        default: try self.receiveCommit()
        }
    }

    // MARK: Members

    private var alive: [Int] { self.clients.indices.filter { !self.clients[$0].isGone } }

    private mutating func someone() -> Int? {
        let alive = self.alive
        return alive.isEmpty ? nil : alive[self.dice.below(alive.count)]
    }

    private mutating func subscription() -> Client.Subscription {
        switch self.dice.below(6) {
        case 0: return .pattern("t[0-2]")
        case 1: return .names(["t\(self.dice.below(4))"])
        default: return .names(["t0", "t1", "t2", "t3"])
        }
    }

    private mutating func appear() {
        let name = self.clients.count
        self.clients.append(
            Client(
                name: name, id: "m\(name)", instance: self.dice.isOne(in: 3) ? "i\(name)" : nil,
                subscription: self.subscription()
            )
        )
        self.note("m\(name) appears")
    }

    /// With a word or without; a static member often comes back.
    private mutating func disappear() {
        guard let index = self.someone(), !self.busy.contains(index) else { return }
        let client = self.clients[index]
        let isStatic = client.instance != nil
        if client.epoch > 0, !self.dice.isOne(in: 3) {
            let comesBack = isStatic && !self.dice.isOne(in: 3)
            var request = self.request(client, epoch: comesBack ? -2 : -1)
            request.instance = client.instance.map(InstanceID.init(rawValue:))
            self.tell([(index, request)])
            // It waits for no answer.
            self.answers.removeAll { $0.client == index }
            self.busy.remove(index)
        }
        self.note("\(client.id) disappears")
        self.clients[index].owned = .empty
        self.clients[index].told = .empty
        self.clients[index].epoch = 0
        self.clients[index].lastSaid = nil
        self.clients[index].lives += 1
        self.clients[index].id = "m\(client.name)-\(client.lives + 1)"
        self.clients[index].mustTellAll = true
        if !isStatic, self.dice.isOne(in: 2) { self.clients[index].isGone = true }
    }

    private func request(_ client: Client, epoch: Int32) -> ConsumerGroupHeartbeat {
        ConsumerGroupHeartbeat(
            group: Self.name, member: MemberID(client.id), epoch: GroupEpoch(rawValue: epoch),
            client: ClientIdentity(clientID: "c", host: "/h")
        )
    }

    private mutating func heartbeat(of index: Int) -> ConsumerGroupHeartbeat {
        let client = self.clients[index]
        var request = self.request(client, epoch: client.epoch)
        if client.epoch == 0 || client.mustTellAll {
            switch client.subscription {
            case .names(let names): (request.topicNames, request.topicPattern) = (names, "")
            case .pattern(let pattern): (request.topicNames, request.topicPattern) = ([], pattern)
            }
            request.rebalanceTimeout = .seconds(8)
            request.instance = client.instance.map(InstanceID.init(rawValue:))
            request.owned = client.epoch == 0 ? .empty : client.owned
        } else if client.lastSaid != client.owned {
            request.owned = client.owned
        }
        if self.defect == .lyingMembers, request.owned != nil { request.owned = client.owned.intersection(client.told) }
        self.clients[index].lastSaid = request.owned ?? client.lastSaid
        self.clients[index].mustTellAll = false
        return request
    }

    private mutating func heartbeats(count: Int) {
        var batch: [(Int, ConsumerGroupHeartbeat)] = []
        for _ in 0..<count {
            guard let index = self.someone(), self.busy.insert(index).inserted else { continue }
            let request = self.heartbeat(of: index)
            if self.dice.isOne(in: 12) {
                // Lost on the way.
                self.note("\(request.member)@\(request.epoch) is lost")
                self.lost(index)
                continue
            }
            batch.append((index, request))
        }
        self.tell(batch)
    }

    private mutating func lost(_ index: Int) {
        self.busy.remove(index)
        self.clients[index].mustTellAll = true
    }

    private mutating func tell(_ batch: [(Int, ConsumerGroupHeartbeat)]) {
        guard !batch.isEmpty else { return }
        let decision = self.groups.heartbeats(
            batch.map(\.1), now: self.now, wall: Timestamp(rawValue: 1), topics: self.topics
        )
        self.write(decision)
        for ((index, request), reply) in zip(batch, decision.replies) {
            self.note(
                "\(request.member)@\(request.epoch) owned \(request.owned.map(self.topics.text) ?? "-") → \(reply)")
            self.answers.append(
                Answer(
                    client: index, id: self.clients[index].id, reply: reply, request: request, logEnd: self.log.count
                )
            )
        }
    }

    private mutating func write(_ decision: ConsumerGroups.Decision) {
        self.log += decision.records.map(\.encoded)
        for work in decision.patternWork {
            let outcome = work.run(over: self.topics)
            let resolved = self.groups.resolved(
                outcome, now: self.now, wall: Timestamp(rawValue: 1), topics: self.topics
            )
            self.write(resolved)
        }
    }

    /// The disk has everything; answers go out.
    private mutating func flush() {
        if self.defect != .hastyAnswers { self.durable = self.log.count }
        let answers = self.answers
        self.answers = []
        for answer in answers { self.hear(answer) }
    }

    private mutating func hear(_ answer: Answer) {
        guard self.busy.contains(answer.client), self.clients[answer.client].id == answer.id else { return }
        self.busy.remove(answer.client)
        switch answer.reply {
        case .success(let reply):
            self.clients[answer.client].epoch = reply.epoch.rawValue
            if let assignment = reply.assignment { self.clients[answer.client].told = assignment }
        case .failure(.unreleasedInstance):
            self.clients[answer.client].mustTellAll = true
        case .failure:
            // It is out: what it had it has no more, and it joins again.
            self.clients[answer.client].epoch = 0
            self.clients[answer.client].owned = .empty
            self.clients[answer.client].told = .empty
            self.clients[answer.client].mustTellAll = true
        }
    }

    private mutating func loseAnswer() {
        guard !self.answers.isEmpty else { return }
        let answer = self.answers.remove(at: self.dice.below(self.answers.count))
        self.note("the answer to \(answer.id) is lost")
        if self.clients[answer.client].id == answer.id { self.lost(answer.client) }
    }

    /// A client does what it was told: gives up first, then takes.
    private mutating func bringAbout() {
        guard let index = self.someone() else { return }
        self.bringAbout(index)
    }

    private mutating func bringAbout(_ index: Int) {
        let client = self.clients[index]
        guard client.owned != client.told else { return }
        for partition in client.told.subtracting(client.owned) { self.takes[partition, default: []].append(client.id) }
        self.clients[index].owned = client.told
        self.note("\(client.id) has \(self.topics.text(client.told))")
    }

    private mutating func changeSubscription() {
        guard let index = self.someone() else { return }
        self.clients[index].subscription = self.subscription()
        self.clients[index].mustTellAll = true
    }

    // MARK: The world

    private mutating func advance(_ time: Duration) {
        self.now = self.now.advanced(by: time)
        let expired = self.groups.expire(now: self.now, wall: Timestamp(rawValue: 1), topics: self.topics)
        self.write(expired)
    }

    private mutating func changeTopic() {
        let name = "t\(self.dice.below(4))"
        if let topic = self.topics.topic(named: name), self.dice.isOne(in: 3) {
            self.topics.remove(name)
            self.note("\(name) (\(topic.partitionCount)) is deleted")
        } else {
            let more = (self.topics.topic(named: name)?.partitionCount ?? 0) + 1 + Int32(self.dice.below(3))
            self.topics.set(name, more)
            self.note("\(name) has \(more)")
        }
        self.groups.topicsChanged([name])
    }

    /// The coordinator dies. Of what was not synced any part may be there, and no answer of it ever left.
    private mutating func crash() throws(Violation) {
        let safe = self.defect == .lostRecords ? max(0, self.durable - 3) : self.durable
        let kept = safe + self.dice.below(self.log.count - safe + 1)
        self.note("crash, \(kept) of \(self.log.count) records kept, \(self.durable) were synced")
        self.crashes += 1
        self.log.removeLast(self.log.count - kept)
        for answer in self.answers where self.clients[answer.client].id == answer.id { self.lost(answer.client) }
        self.answers = []
        self.groups = ConsumerGroups(self.settings)
        do {
            for record in self.log {
                if let record = try ConsumerGroupRecord(record) { self.groups.apply(record) }
            }
        } catch {
            throw Violation(description: "a record cannot be read: \(error)")
        }
        let loaded = self.groups.loaded(now: self.now, wall: Timestamp(rawValue: 1), topics: self.topics)
        self.write(loaded)
        self.durable = self.log.count
    }

    // MARK: Commits

    private mutating func sendCommit() {
        guard let index = self.someone(),
            let partition = self.clients[index].owned.elements.randomElement(using: &self.dice)
        else { return }
        let client = self.clients[index]
        self.commits.append(
            Commit(
                member: client.id, epoch: client.epoch, partition: partition, takes: self.takes[partition] ?? []
            )
        )
    }

    /// One of the commits under way arrives, perhaps long after others that were sent later.
    private mutating func receiveCommit() throws(Violation) {
        guard !self.commits.isEmpty, let group = self.group else { return }
        let commit = self.commits.remove(at: self.dice.below(self.commits.count))
        do throws(GroupError) {
            guard self.defect != .openDoor else { throw .notCoordinator }
            let permit = try group.commitPermit(
                member: MemberID(commit.member), epoch: GroupEpoch(rawValue: commit.epoch), version: 9
            )
            try group.check(permit, on: commit.partition)
        } catch .notCoordinator {
            // The planted defect: it counts all the same.
        } catch {
            self.commitsRefused += 1
            return
        }
        self.commitsAccepted += 1
        let since = (self.takes[commit.partition] ?? []).dropFirst(commit.takes.count)
        if let other = since.first(where: { $0 != commit.member }) {
            throw Violation(description: "a commit of \(commit.member)@\(commit.epoch) after \(other) took it")
        }
    }

    // MARK: Checks

    /// No partition has two owners among those that are in.
    private func check() throws(Violation) {
        guard let group = self.group else { return }
        var owner: [TopicPartition: String] = [:]
        for client in self.clients where client.epoch > 0 {
            guard let member = group.members[MemberID(client.id)], !member.isAway,
                !self.isHalfRemoved(member)
            else { continue }
            for partition in client.owned {
                if let other = owner.updateValue(client.id, forKey: partition) {
                    throw Violation(description: "\(self.topics.text([partition])) of \(other) and \(client.id)")
                }
            }
        }
        for member in group.members.values {
            for partition in member.current.assigned.union(member.current.revoking)
            where group.owners[partition] != member.id {
                throw Violation(description: "\(partition) is \(member.id)'s, and noted otherwise")
            }
        }
    }

    /// A crash kept the first record of its removal only: it is fenced at its next word.
    private func isHalfRemoved(_ member: ConsumerMember) -> Bool {
        guard member.current.epoch == .join else { return false }
        for record in self.log.reversed() {
            guard case .currentAssignment(_, member.id, let current) = try? ConsumerGroupRecord(record) else {
                continue
            }
            return current == nil
        }
        return false
    }

    /// Nothing fails any more: soon everybody has its part, and every partition that somebody wants an owner.
    private mutating func settle() throws(Violation) {
        self.flush()
        for round in 0..<80 {
            for index in self.alive {
                self.busy.remove(index)
                self.bringAbout(index)
                if self.dice.isOne(in: 2) { self.clients[index].mustTellAll = true }
                self.busy.insert(index)
                self.tell([(index, self.heartbeat(of: index))])
                self.flush()
                try self.check()
            }
            self.advance(.seconds(1))
            guard round > 12, self.unsettled.isEmpty else { continue }
            // Commits that come very late.
            for _ in self.commits { try self.receiveCommit() }
            return
        }
        throw Violation(description: "not settled: \(self.unsettled)")
    }

    /// What is missing until all is as it should be.
    private var unsettled: String {
        let alive = self.alive.map { self.clients[$0] }
        guard let group = self.group else { return alive.isEmpty ? "" : "no group" }
        guard Set(group.members.keys.map(\.rawValue)) == Set(alive.map(\.id)) else {
            return "members are \(group.members.keys), alive are \(alive.map(\.id))"
        }
        guard alive.isEmpty || group.state == .stable else { return "the group is \(group.state)" }
        var owner: [TopicPartition: String] = [:]
        for client in alive { for partition in client.owned { owner[partition] = client.id } }
        for topic in self.topics.all {
            guard alive.contains(where: { self.wants($0, topic.name) }) else { continue }
            for index in 0..<topic.partitionCount {
                let partition = TopicPartition(topic: topic.id, partition: PartitionIndex(rawValue: index))
                guard let client = alive.first(where: { $0.id == owner[partition] }), self.wants(client, topic.name)
                else { return "\(topic.name)/\(index) is owned by \(owner[partition] ?? "nobody")" }
            }
        }
        return ""
    }

    private func wants(_ client: Client, _ topic: String) -> Bool {
        switch client.subscription {
        case .names(let names): names.contains(topic)
        case .pattern: topic != "t3"
        }
    }

    private func note(_ line: @autoclosure () -> String) {
        if self.trace.isOn { self.trace.lines.append(line()) }
    }
}
