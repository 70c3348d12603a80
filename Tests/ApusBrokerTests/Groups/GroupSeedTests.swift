import ApusCore
import ApusFakes
import ApusGroups
import NIOCore
import Testing

@testable import ApusBroker

/// Members that come, go, fall silent and commit in any order, over crashes of the broker, by a seed.
@Suite("Groups under seeds")
struct GroupSeedTests {
    @Test("classic: a generation has one assignment for ever, and nobody commits for an older one", arguments: 0..<20)
    func classic(seed: UInt64) throws {
        let play = try ClassicPlay(seed: seed)
        for step in 0..<120 { try play.step(step) }
        try play.finish()
    }

    @Test("consumer: nobody is given what another still has, and everything has an owner at last", arguments: 0..<16)
    func consumer(seed: UInt64) throws {
        let play = try ConsumerPlay(seed: seed)
        for step in 0..<120 { try play.step(step) }
        try play.finish()
    }
}

private final class ClassicPlay {
    private struct Member {
        var name = MemberID.none
        var joined: JoinedGroup?
        var join: Once<Result<JoinedGroup, JoinRefusal>>?
        var sync: Once<Result<SyncedGroup, GroupError>>?
        var isStable = false
    }

    private let world: GroupWorld
    private var random: SplitMix64
    private var members: [Member] = []
    private var leaderWord = 0
    /// What each generation was told of its assignment.
    private var told: [Int32: String] = [:]
    /// The newest that was given out: only those outlive a crash.
    private var newest: Int32 = 0
    private var crashes: UInt64 = 0

    init(seed: UInt64) throws {
        self.world = try GroupWorld(seed: seed)
        self.random = SplitMix64(seed: seed)
    }

    func step(_ number: Int) throws {
        switch self.random.below(20) {
        case 0..<3 where self.members.count < 8: self.members.append(Member())
        case 3 where !self.members.isEmpty: self.leave(self.random.below(self.members.count))
        // Falls silent: its session ends by itself.
        case 4 where self.members.count > 3: self.members.remove(at: self.random.below(self.members.count))
        case 5:
            self.crashes += 1
            try self.world.crash(self.crashes)
            for index in self.members.indices {
                self.members[index].join = nil
                self.members[index].sync = nil
            }
        case 6: self.world.bench.passSeconds(self.random.below(8))
        case 7: self.zombie()
        default: break
        }
        for index in self.members.indices { try self.move(index) }
        self.world.bench.passSeconds(1)
        for index in self.members.indices { try self.hear(index) }
    }

    /// A member does what a client does next.
    private func move(_ index: Int) throws {
        let member = self.members[index]
        guard member.join == nil, member.sync == nil else { return }
        guard let joined = member.joined else {
            self.members[index].join = self.world.beginJoin(GroupWorld.request(member.name))
            return
        }
        guard member.isStable else {
            self.leaderWord += 1
            let assignments = Dictionary(uniqueKeysWithValues: joined.members.map { ($0.id, "\(self.leaderWord)") })
            self.members[index].sync = self.world.beginSync(joined, assignments)
            return
        }
        if let error = self.world.heartbeat(joined) { self.refused(index, error) }
    }

    private func hear(_ index: Int) throws {
        if let answer = self.members[index].join?.value {
            self.members[index].join = nil
            switch answer {
            case .success(let joined):
                self.members[index].joined = joined
                self.members[index].name = joined.member
                self.members[index].isStable = false
            case .failure(let refusal): self.refused(index, refusal.error)
            }
        }
        if let answer = self.members[index].sync?.value {
            self.members[index].sync = nil
            switch answer {
            case .success(let synced): try self.assigned(index, String(buffer: synced.assignment))
            case .failure(let error): self.refused(index, error)
            }
        }
    }

    private func assigned(_ index: Int, _ word: String) throws {
        let joined = try #require(self.members[index].joined)
        let before = self.told.updateValue(word, forKey: joined.generation.rawValue)
        #expect(before == nil || before == word, "two assignments of generation \(joined.generation)")
        self.members[index].isStable = true
        self.newest = max(self.newest, joined.generation.rawValue)
        if self.world.commit(Int64(joined.generation.rawValue), by: joined) == nil {
            #expect(try self.world.positions() == [Int64(joined.generation.rawValue)])
        }
    }

    private func refused(_ index: Int, _ error: GroupError) {
        self.members[index].isStable = false
        switch error {
        case .unknownMember, .fencedInstance: self.members[index] = Member()
        case .loading, .unavailable, .notCoordinator: break
        default: self.members[index].joined = nil
        }
    }

    private func leave(_ index: Int) {
        let member = self.members.remove(at: index)
        if member.join == nil, let joined = member.joined { _ = self.world.leave(joined.member) }
    }

    /// A member of an earlier generation wakes up and commits what it once read.
    private func zombie() {
        guard let joined = self.members.compactMap(\.joined).first(where: { $0.generation.rawValue < self.newest })
        else { return }
        #expect(self.world.commit(0, by: joined) != nil, "a commit of an old generation was taken")
    }

    /// Nothing more happens: everybody settles in one generation.
    func finish() throws {
        if self.members.isEmpty { self.members.append(Member()) }
        for _ in 0..<90 {
            for index in self.members.indices { try self.move(index) }
            self.world.bench.passSeconds(1)
            for index in self.members.indices { try self.hear(index) }
        }
        #expect(self.members.allSatisfy { $0.isStable })
        #expect(Set(self.members.compactMap { $0.joined?.generation }).count == 1)
        #expect(try self.world.describe()?.members.count == self.members.count)
    }
}

private final class ConsumerPlay {
    private struct Member {
        var name: String
        var epoch: Int32 = 0
        /// What it uses.
        var owned = PartitionSet.empty
        var tellsAll = false
        var answer: Once<Result<ConsumerGroupHeartbeatReply, GroupError>>?
    }

    private let world: GroupWorld
    private var random: SplitMix64
    private var members: [Member] = []
    private var nameNext = 0
    private var crashes: UInt64 = 0

    init(seed: UInt64) throws {
        self.world = try GroupWorld(seed: seed, topic: 7)
        self.random = SplitMix64(seed: seed)
    }

    func step(_ number: Int) throws {
        switch self.random.below(20) {
        case 0..<3 where self.members.count < 6:
            self.nameNext += 1
            self.members.append(Member(name: "m\(self.nameNext)"))
        case 3 where !self.members.isEmpty:
            let member = self.members.remove(at: self.random.below(self.members.count))
            _ = self.world.beginHeartbeat(member.name, -1)
            self.world.bench.settle()
        case 4:
            self.crashes += 1
            for index in self.members.indices where self.random.below(2) == 0 { self.speak(index) }
            for _ in 0..<self.random.below(6) { _ = self.world.bench.queue.step() }
            try self.world.crash(self.crashes)
            for index in self.members.indices where self.members[index].answer?.value == nil {
                // Its request is lost; it says everything again.
                self.members[index].answer = nil
                self.members[index].tellsAll = true
            }
        default: break
        }
        self.round()
    }

    private func round() {
        for index in self.members.indices where self.members[index].answer == nil { self.speak(index) }
        self.world.bench.passSeconds(1)
        for index in self.members.indices { self.hear(index) }
    }

    private func speak(_ index: Int) {
        let member = self.members[index]
        self.members[index].answer = self.world.beginHeartbeat(
            member.name, member.epoch, owned: member.owned, isFull: member.tellsAll
        )
    }

    private func hear(_ index: Int) {
        guard let answer = self.members[index].answer?.value else { return }
        self.members[index].answer = nil
        switch answer {
        case .success(let reply):
            self.members[index].epoch = reply.epoch.rawValue
            self.members[index].tellsAll = false
            guard let assignment = reply.assignment else { return }
            let new = assignment.subtracting(self.members[index].owned)
            for other in self.members.indices where other != index {
                #expect(self.members[other].owned.isDisjoint(with: new), "two owners")
            }
            self.members[index].owned = assignment
        case .failure(.loading), .failure(.unavailable), .failure(.notCoordinator):
            self.members[index].tellsAll = true
        case .failure:
            // Fenced, or forgotten: it gives up everything and joins anew.
            self.members[index].owned = .empty
            self.members[index].epoch = 0
            self.members[index].tellsAll = false
        }
    }

    func finish() throws {
        if self.members.isEmpty { self.members.append(Member(name: "last")) }
        for _ in 0..<60 { self.round() }
        let all = self.members.reduce(into: PartitionSet.empty) { $0 = $0.union($1.owned) }
        #expect(all.count == 7, "every partition has an owner")
        #expect(self.members.reduce(0) { $0 + $1.owned.count } == 7, "and one only")
        #expect(try self.world.list() == ["c consumer Stable"])
    }
}
