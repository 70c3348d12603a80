import ApusCore
import ApusFakes
import ApusGroups
import NIOCore
import Testing

@testable import ApusBroker

@Suite("Many members at once")
struct GroupStormTests {
    @Test("ten thousand members that join at once get one generation, the next one no place")
    func classic() throws {
        let world = try GroupWorld(delay: 500)
        var joins: [Once<Result<JoinedGroup, JoinRefusal>>] = []
        for _ in 0..<10_000 { joins.append(world.beginJoinQuietly()) }
        let tooMany = world.beginJoinQuietly()
        world.bench.settle()
        #expect(throws: JoinRefusal(error: .groupFull, member: .none)) { try #require(tooMany.value).get() }
        for _ in 0..<4 { world.bench.pass(.milliseconds(500)) }
        let joined = try joins.map { try #require($0.value, "everybody is answered").get() }
        #expect(Set(joined.map(\.generation)).count == 1)
        #expect(Set(joined.map(\.member)).count == 10_000)
        let leaders = joined.filter { !$0.members.isEmpty }
        #expect(leaders.count == 1)
        #expect(leaders.first?.members.count == 10_000)
        try world.assign(joined)
    }

    @Test("a thousand members of the consumer protocol settle within two seconds")
    func consumer() throws {
        let world = try GroupWorld(topic: 1000)
        struct Member {
            var epoch: Int32 = 0
            var owned: PartitionSet?
            var answer: Once<Result<ConsumerGroupHeartbeatReply, GroupError>>?
            var next = 0
        }
        var members = [Member](repeating: Member(), count: 1000)
        var now = 0
        // As clients do: each speaks when its interval is over, a tenth of a second is a step.
        while now <= 20 {
            for index in members.indices where members[index].next <= now {
                members[index].answer = world.beginHeartbeat(
                    "m\(index)", members[index].epoch, owned: members[index].owned
                )
            }
            world.bench.settle()
            for index in members.indices {
                guard let answer = members[index].answer else { continue }
                let reply = try #require(answer.value, "a heartbeat is answered").get()
                members[index].answer = nil
                members[index].epoch = reply.epoch.rawValue
                if let assignment = reply.assignment { members[index].owned = assignment }
                members[index].next = now + Int(reply.heartbeatInterval / .milliseconds(100))
            }
            if try world.list() == ["c consumer Stable"], members.allSatisfy({ $0.owned?.count == 1 }) { break }
            world.bench.pass(.milliseconds(100))
            now += 1
        }
        #expect(now <= 20, "two seconds")
        let all = members.reduce(into: PartitionSet.empty) { $0 = $0.union($1.owned ?? .empty) }
        #expect(all.count == 1000)
    }
}

extension GroupWorld {
    /// Without letting the loop work.
    func beginJoinQuietly() -> Once<Result<JoinedGroup, JoinRefusal>> {
        let answer = Once<Result<JoinedGroup, JoinRefusal>>()
        self.broker.joinGroup(
            GroupID("g"), Self.request(session: .seconds(60)), client: .embedded, on: self.bench.loop
        ) { answer.put($0) }
        return answer
    }
}
