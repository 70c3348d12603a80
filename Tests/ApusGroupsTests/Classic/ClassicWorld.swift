import ApusCore
import NIOCore
import Testing

@testable import ApusGroups

/// Clients of one group that do what clients do, in any order: come, work, fall silent, come to again as if nothing had
/// happened, restart; on a coordinator that loses writes and is replaced. A seed decides, and every answer is checked.
final class ClassicWorld {
    enum Belief {
        case out
        case joining(RequestToken)
        case syncing(RequestToken, JoinedGroup)
        case working(Generation, Set<Int>)
    }

    struct Client {
        var instance: String?
        var member = MemberID.none
        var belief = Belief.out
        /// Takes part in nothing until it comes to.
        var isSilent = false
    }

    static let partitions = 6

    let stage: GroupStage
    var generator: SplitMix
    var clients: [Client]
    /// Who was told that a partition is its own, by generation; a client, whatever its names.
    var owners: [Generation: [Int: Int]] = [:]
    /// The newest generation that anybody was given an assignment in.
    var newest = Generation.zero
    /// Commits under way: in which generation, and what the newest was when they were asked for.
    var commits: [RequestToken: (generation: Generation, newest: Generation)] = [:]
    var committed = 0
    var refused = 0

    init(seed: UInt64) {
        self.generator = SplitMix(seed: seed)
        let delay: Duration = Bool.random(using: &self.generator) ? .zero : .seconds(3)
        self.stage = GroupStage(delay: delay)
        self.clients = (0..<Int.random(in: 1...6, using: &self.generator)).map { index in
            Client(instance: index.isMultiple(of: 3) ? "i\(index)" : nil)
        }
        // So that the group is never forgotten, and its generations never begin anew.
        _ = self.stage.commit(0, topic: "anchor")
    }

    func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &self.generator) < percent }

    // MARK: What clients do

    func step() throws {
        let index = Int.random(in: 0..<self.clients.count, using: &self.generator)
        switch Int.random(in: 0..<100, using: &self.generator) {
        case 0..<40: self.act(index)
        case 40..<50: self.stage.wait(.milliseconds(Int.random(in: 1...6000, using: &self.generator)))
        case 50..<53: self.clients[index].isSilent.toggle()
        case 53..<55: self.restartClient(index)
        case 55..<57: self.leave(index)
        case 57..<61: self.stage.holdsWrites = true
        case 61..<65: self.stage.release(Int.random(in: 1...3, using: &self.generator))
        case 65..<69:
            self.stage.release()
            self.stage.holdsWrites = false
        case 69..<70: self.stage.failOne()
        case 70..<71: try self.restartCoordinator()
        default: for other in self.clients.indices { self.act(other) }
        }
        self.checkCommits()
    }

    /// A client does the next thing that it believes in.
    func act(_ index: Int) {
        guard !self.clients[index].isSilent else { return }
        switch self.clients[index].belief {
        case .out: self.join(index)
        case .joining(let token): self.tookJoin(index, token)
        case .syncing(let token, let joined): self.tookSync(index, token, joined)
        case .working(let generation, let owned): self.work(index, generation, owned)
        }
    }

    private func join(_ index: Int) {
        let names = self.chance(80) ? ["range", "sticky"] : ["sticky", "range"]
        let request = self.stage.request(
            self.clients[index].member, instance: self.clients[index].instance,
            session: .seconds(self.chance(70) ? 10 : 40), rebalance: .seconds(self.chance(50) ? 5 : 20),
            protocols: GroupStage.protocols(names, self.chance(90) ? "a" : "b"),
            mustReturn: self.chance(50), canSkip: self.chance(50)
        )
        self.clients[index].belief = .joining(self.stage.join(request))
    }

    private func tookJoin(_ index: Int, _ token: RequestToken) {
        guard let reply = self.stage.replies[token] else { return self.forgetIfLost(index, token) }
        guard case .classic(.join(let result)) = reply else {
            Issue.record("\(reply) to a join")
            return
        }
        switch result {
        case .failure(let refusal):
            self.clients[index].belief = .out
            switch refusal.error {
            case .memberIDRequired: self.clients[index].member = refusal.member
            case .unknownMember, .fencedInstance: self.clients[index].member = .none
            default: break
            }
        case .success(let joined):
            self.clients[index].member = joined.member
            var assignments: [MemberID: String] = [:]
            if joined.leader == joined.member, !joined.skipAssignment {
                let members = joined.members.map(\.id)
                for partition in 0..<Self.partitions {
                    guard let lucky = members.randomElement(using: &self.generator) else { continue }
                    assignments[lucky, default: ""] += "\(partition),"
                }
            }
            let sync = self.stage.sync(
                joined.member, joined.generation.rawValue, assignments, instance: self.clients[index].instance
            )
            self.clients[index].belief = .syncing(sync, joined)
        }
    }

    private func tookSync(_ index: Int, _ token: RequestToken, _ joined: JoinedGroup) {
        guard let reply = self.stage.replies[token] else { return self.forgetIfLost(index, token) }
        guard case .classic(.sync(let result)) = reply else {
            Issue.record("\(reply) to a sync")
            return
        }
        switch result {
        case .failure(let error): self.rejected(index, error)
        case .success(let synced):
            let text = String(buffer: synced.assignment)
            let owned = Set(text.split(separator: ",").compactMap { Int($0) })
            self.clients[index].belief = .working(joined.generation, owned)
        }
    }

    private func work(_ index: Int, _ generation: Generation, _ owned: Set<Int>) {
        let client = self.clients[index]
        if self.chance(50), let partition = owned.min() {
            let token = self.stage.commit(
                Int64(self.committed), client.member, generation.rawValue, instance: client.instance,
                partition: Int32(partition)
            )
            self.commits[token] = (generation, self.newest)
        }
        let error = self.stage.heartbeat(client.member, generation.rawValue, instance: client.instance)
        if let error { self.rejected(index, error) }
    }

    private func rejected(_ index: Int, _ error: GroupError) {
        self.clients[index].belief = .out
        switch error {
        case .unknownMember, .fencedInstance, .illegalGeneration: self.clients[index].member = .none
        default: break
        }
    }

    private func restartClient(_ index: Int) {
        self.clients[index].member = .none
        self.clients[index].belief = .out
    }

    private func leave(_ index: Int) {
        let client = self.clients[index]
        let instance = client.instance.map { InstanceID($0) }
        _ = self.stage.leave(MemberIdentity(member: client.member, instance: instance))
        self.restartClient(index)
    }

    /// A request whose coordinator is gone is asked again.
    private func forgetIfLost(_ index: Int, _ token: RequestToken) {
        if !self.stage.asked.contains(token) { self.clients[index].belief = .out }
    }

    // MARK: What the world does

    func restartCoordinator() throws {
        // Some of what was under way may be durable all the same.
        self.stage.release(Int.random(in: 0...2, using: &self.generator))
        self.checkAssignments()
        try self.stage.restart()
    }

    // MARK: What must hold

    /// Looks at every answer to a sync, whether or not its client still waits for it.
    func checkAssignments() {
        for (index, client) in self.clients.enumerated() {
            guard case .syncing(let token, let joined) = client.belief,
                case .classic(.sync(.success(let synced))) = self.stage.replies[token]
            else { continue }
            self.newest = max(self.newest, joined.generation)
            for partition in String(buffer: synced.assignment).split(separator: ",").compactMap({ Int($0) }) {
                let owner = self.owners[joined.generation, default: [:]].updateValue(index, forKey: partition)
                #expect(owner == nil || owner == index, "two owners of \(partition) in generation \(joined.generation)")
            }
        }
    }

    func checkCommits() {
        self.checkAssignments()
        for (token, asked) in self.commits {
            guard let errors = self.stage.committed(token) else {
                if !self.stage.asked.contains(token) { self.commits[token] = nil }
                continue
            }
            self.commits[token] = nil
            if errors == [nil] {
                self.committed += 1
                #expect(asked.generation >= asked.newest, "a commit of generation \(asked.generation) was taken")
            } else {
                self.refused += 1
            }
        }
    }

    /// What the coordinator holds is what its records say.
    func checkRecovery() throws {
        self.stage.release()
        let other = try GroupStage.recovered(self.stage.log, self.stage.coordinator.settings, at: self.stage.now)
        let group = GroupStage.group
        #expect(other.classic[group]?.image == self.stage.coordinator.classic[group]?.image)
        #expect(other.positions.count == self.stage.coordinator.positions.count)
        for partition in 0..<Int32(Self.partitions) {
            let key = PositionKey(group: group, topic: "t", partition: PartitionIndex(rawValue: partition))
            let live = self.stage.coordinator.positions.position(key, topic: .none)
            #expect(other.positions.position(key, topic: .none) == live)
        }
    }

    /// From now on all goes well: soon every partition has an owner that is at work.
    func heal() {
        self.stage.holdsWrites = false
        self.stage.release()
        for index in self.clients.indices { self.clients[index].isSilent = false }
        for _ in 0..<120 {
            for index in self.clients.indices { self.act(index) }
            self.checkCommits()
            if self.isHealed { return }
            self.stage.wait(.seconds(1))
        }
        Issue.record("not every partition has an owner: \(self.stage.state ?? "no group"), \(self.clients)")
    }

    private var isHealed: Bool {
        guard self.stage.state == "Stable", let group = self.stage.coordinator.classic[GroupStage.group] else {
            return false
        }
        var owned: Set<Int> = []
        for client in self.clients {
            guard case .working(let generation, let partitions) = client.belief, generation == group.generation else {
                return false
            }
            owned.formUnion(partitions)
        }
        return owned.count == Self.partitions
    }

    /// Time passes, and whoever asked anything has an answer.
    func checkAnswers() {
        self.stage.release()
        self.stage.wait(.seconds(600))
        let unanswered = self.stage.asked.filter { self.stage.replies[$0] == nil }
        #expect(unanswered.isEmpty, "requests without an answer")
        #expect(self.stage.state == "Empty" || self.stage.state == nil, "everybody's session has ended")
    }
}
