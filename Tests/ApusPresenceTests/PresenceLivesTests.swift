import ApusCore
import Testing

@testable import ApusPresence

@Suite("Presence through whatever happens")
struct PresenceLivesTests {
    @Test(
        "each join has at most one leave, and in the end those are there who are connected",
        arguments: 1...60 as ClosedRange<UInt64>)
    func lives(seed: UInt64) {
        var random = PresenceRandom(seed: seed)
        var world = PresenceWorld(servers: 3)
        var places: [Int: [PresencePlace]] = [:]
        for _ in 0..<400 { self.step(&world, &places, &random) }
        world.settle()
        #expect(world.faults.isEmpty)
        var connected: Set<String> = []
        for server in world.servers {
            connected.formUnion(server.connections.keys.map { "\($0.channel) \($0.connection) \(server.node.name)" })
        }
        var found: Set<String> = []
        for channel in ["news", "chat/a", "chat/b"] {
            let page = world.coordinator.page(of: channel, behind: nil, upTo: 10_000, withReceipts: false)
            #expect(page.count == page.members.count)
            found.formUnion(page.members.map { "\(channel) \($0.connection) \($0.node)" })
        }
        #expect(found == connected)
        #expect(world.there.count == connected.count)
        // And so it is for a coordinator that begins with the log.
        world.crash()
        #expect(world.coordinator.count == connected.count)
        for index in world.servers.indices { world.kill(index) }
        world.settle()
        #expect(world.faults.isEmpty)
        #expect(world.there.isEmpty && world.coordinator.count == 0 && world.coordinator.textBytes == 0)
    }

    /// Something happens.
    private func step(
        _ world: inout PresenceWorld, _ places: inout [Int: [PresencePlace]], _ random: inout PresenceRandom
    ) {
        let server = Int.random(in: 0..<3, using: &random)
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<22:
            let channel = ["news", "chat/a", "chat/b"].randomElement(using: &random) ?? ""
            places[server, default: []].append(world.join(server, channel))
        case 22..<34:
            guard let place = places[server]?.randomElement(using: &random) else { return }
            world.leave(server, place)
        case 34..<38:
            // One who left a channel comes to it again.
            guard let place = places[server]?.randomElement(using: &random) else { return }
            world.join(server, place)
        case 38..<44:
            guard let place = places[server]?.randomElement(using: &random) else { return }
            world.confirm(server, place, Int64.random(in: 1...100, using: &random))
        case 44..<58: world.poll(server)
        case 58..<72:
            guard !world.network.isEmpty else { return }
            let index = world.network.indices.randomElement(using: &random) ?? 0
            // Some come twice, or later than others.
            world.deliver(world.network[index])
            if Int.random(in: 0..<4, using: &random) > 0 { world.network.remove(at: index) }
        case 72..<82: world.write()
        case 82..<90:
            guard !world.replies.isEmpty else { return }
            let reply = world.replies.removeFirst()
            if Int.random(in: 0..<5, using: &random) > 0 { world.hear(reply) }
        case 90..<94:
            world.advance(.milliseconds(Int64.random(in: 1...4000, using: &random)))
            world.tick()
        case 94: world.advance(.seconds(Int64.random(in: 1...30, using: &random)))
        case 95: world.write(refusing: true)
        case 96: world.crash()
        case 97:
            world.kill(server)
            places[server] = []
        default: world.servers[server].isPaused.toggle()
        }
    }
}

/// Numbers from a seed.
struct PresenceRandom: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { self.state = seed }

    mutating func next() -> UInt64 {
        self.state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = self.state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
