import ApusCore
import Testing

@testable import ApusPresence

@Suite("Presence")
struct PresenceTests {
    private func events(_ world: PresenceWorld) -> [String] {
        world.log.map { record in
            switch record {
            case .join(let life, let place, _, _): "join \(place.channel) \(place.connection) \(life.node)"
            case .leave(let life, let place, _, let reason, _):
                "leave \(place.channel) \(place.connection) \(life.node) \(reason)"
            case .receipt(_, let place, _, let seen, _):
                "seen \(place.connection) \(seen.map { "\($0.partition.rawValue):\($0.next)" }.joined(separator: " "))"
            case .over(_, let place, let isReceipt): "over \(place.connection)\(isReceipt ? " seen" : "")"
            }
        }
    }

    @Test("who comes and goes is written, each once, and who leaves is forgotten")
    func comeAndGo() {
        var world = PresenceWorld(servers: 1)
        let (one, two) = (world.join(0, "news"), world.join(0, "chat/a"))
        world.settle(for: .seconds(1))
        world.leave(0, one, .unsubscribed)
        world.settle(for: .seconds(1))
        #expect(
            self.events(world) == [
                "join news p0-c1 edge-0", "join chat/a p0-c2 edge-0", "leave news p0-c1 edge-0 unsubscribed",
                "over p0-c1",
            ])
        let page = world.coordinator.page(of: "chat/a", behind: nil, upTo: 10, withReceipts: false)
        #expect(page.members.map(\.connection) == [two.connection] && page.next == nil && page.isComplete)
    }

    @Test("a storm is few reports, and who has gone before it was told is not told at all")
    func storm() {
        var world = PresenceWorld(servers: 1)
        let places = (0..<10_000).map { _ in world.join(0, "news") }
        for place in places[..<2_000] { world.leave(0, place) }
        // The life, and eight reports of a thousand.
        var reports = 0
        for _ in 0..<40 {
            world.advance(.milliseconds(50))
            world.poll(0)
            reports += world.network.count
            while !world.network.isEmpty { world.deliver(world.network.removeFirst()) }
            for _ in 0..<20 { world.write() }
            while !world.replies.isEmpty { world.hear(world.replies.removeFirst()) }
        }
        #expect(world.coordinator.count == 8_000)
        #expect(world.log.count == 8_000)
        #expect(reports <= 11)
        let first = world.coordinator.page(of: "news", behind: nil, upTo: 100, withReceipts: false)
        #expect(first.count == 8_000 && first.members.count == 100)
        let second = world.coordinator.page(of: "news", behind: first.next, upTo: 7_900, withReceipts: false)
        #expect(second.members.count == 7_900 && second.next == nil)
        #expect(second.members[0].connection == places[2_100].connection)
    }

    @Test(
        "a node that is not heard of for a lease has lost its clients, each once, and joins them again when it is back")
    func lease() {
        var world = PresenceWorld(servers: 2)
        let place = world.join(0, "news")
        world.settle(for: .seconds(1))
        world.servers[0].isPaused = true
        for _ in 0..<12 {
            world.advance(.seconds(1))
            world.tick()
            world.write()
        }
        #expect(self.events(world).dropFirst() == ["leave news p0-c1 edge-0 lease", "over p0-c1"])
        world.settle(for: .seconds(30))
        #expect(self.events(world).dropFirst(3) == ["join news p0-c1 edge-0"])
        #expect(world.servers[0].connections[place] != nil && world.faults.isEmpty)
    }

    @Test("a node that says something every third of the lease keeps its clients, and says nothing while it has none")
    func renewal() {
        var world = PresenceWorld(servers: 1)
        _ = world.join(0, "news")
        world.settle(for: .seconds(100))
        #expect(self.events(world) == ["join news p0-c1 edge-0"])
        var quiet = PresenceWorld(servers: 1)
        quiet.settle(for: .seconds(60))
        #expect(quiet.coordinator.lifeCount == 0 && quiet.coordinator.deadline == nil)
    }

    @Test("after a start of the broker every node has one whole lease; a process that is gone has lost its clients")
    func restart() {
        var world = PresenceWorld(servers: 2)
        _ = world.join(0, "news")
        _ = world.join(1, "news")
        world.settle(for: .seconds(1))
        world.crash()
        world.servers[1].isPaused = true
        world.kill(0)
        world.advance(.seconds(6))
        world.tick()
        world.advance(.seconds(3))
        world.tick()
        #expect(world.coordinator.count == 2)
        // The first has a name that is its own: its former life is over when the next begins.
        _ = world.join(0, "news")
        world.poll(0)
        world.deliver(world.network.removeFirst())
        world.hear(world.replies.removeFirst())
        world.advance(.seconds(2))
        world.tick()
        for _ in 0..<4 { world.write() }
        #expect(
            self.events(world).dropFirst(2).filter { $0.hasPrefix("leave") }.sorted() == [
                "leave news p0-c1 edge-0 restarted", "leave news p0-c1 edge-1 lease",
            ])
        world.settle(for: .seconds(30))
        #expect(world.there.count == 2 && world.faults.isEmpty)
    }

    @Test("a coordinator that was held up declares nobody gone for it")
    func heldUp() {
        var world = PresenceWorld(servers: 1)
        _ = world.join(0, "news")
        world.settle(for: .seconds(5))
        world.advance(.seconds(60))
        world.tick()
        world.settle(for: .seconds(30))
        #expect(self.events(world) == ["join news p0-c1 edge-0"])
    }

    @Test("receipts are at most one a second, go forward only, and end with the connection")
    func receipts() {
        var world = PresenceWorld(servers: 1)
        let place = world.join(0, "news")
        for next in 1...30 as ClosedRange<Int64> {
            world.confirm(0, place, next)
            world.settle(for: .milliseconds(100))
        }
        world.confirm(0, place, 3)
        world.settle(for: .seconds(2))
        let seen = self.events(world).filter { $0.hasPrefix("seen") }
        #expect((3...5).contains(seen.count) && seen.last == "seen p0-c1 0:30")
        let page = world.coordinator.page(of: "news", behind: nil, upTo: 10, withReceipts: true)
        #expect(page.members.first?.seen.first?.next == Offset(rawValue: 30))
        world.crash()
        #expect(world.coordinator.page(of: "news", behind: nil, upTo: 10, withReceipts: true).members == page.members)
        world.leave(0, place)
        world.settle(for: .seconds(2))
        #expect(self.events(world).suffix(3) == ["leave news p0-c1 edge-0 closed", "over p0-c1", "over p0-c1 seen"])
        #expect(world.coordinator.count == 0 && world.coordinator.textBytes == 0)
    }

    @Test("reports that no endpoint server of ours would send are refused")
    func unsound() {
        let guest = PresenceGuest(user: "u", client: "")
        let long = PresencePlace(channel: String(repeating: "x", count: 20_000), connection: "c")
        let place = PresencePlace(channel: "news", connection: "c")
        let join = PresenceChange.join(place, guest, at: .none)
        let reports = [
            PresenceReport(node: ""), PresenceReport(node: "n", life: -1),
            PresenceReport(node: String(repeating: "n", count: 256)), PresenceReport(node: "n", changes: [join]),
            PresenceReport(node: "n", life: 1, number: .max),
            PresenceReport(node: "n", life: 1, number: 1, changes: [.join(long, guest, at: .none)]),
            PresenceReport(
                node: "n", life: 1, number: 1,
                changes: Array(repeating: join, count: Limits.presenceChangesPerReportMax + 1)),
        ]
        for report in reports {
            var coordinator = PresenceCoordinator(start: Epoch(rawValue: 1))
            var actions = PresenceActions()
            coordinator.report(
                report, PresenceToken(rawValue: 1), at: Instant(nanoseconds: 1), into: &actions)
            #expect(actions.replies.map(\.answer) == [.failure(.invalid)] && actions.writes.isEmpty)
        }
    }
}
