import ApusBroker
import ApusCore
import ApusFakes
import NIOCore
import NIOEmbedded
import Testing
import WebFormats

@testable import EdgeDoor

@Suite("What the endpoint server keeps of its clients")
struct EndpointMemoryTests {
    @Test("clients that leave in any order leave the others their pushes", arguments: 0..<5 as Range<UInt64>)
    func leaving(seed: UInt64) throws {
        var generator = SplitMix64(seed: seed)
        let bench = try EdgeBench()
        try bench.create("news")
        var clients = try (0..<40).map { _ in try bench.socket() }
        for client in clients {
            for channel in ["news", "news/k*"] {
                _ = try client.ask(#"{"id":1,"op":"subscribe","channel":"\#(channel)"}"#)
            }
        }
        var left: [BenchClient] = []
        for round in 0..<20 {
            for _ in 0..<generator.below(4) where !clients.isEmpty {
                let client = clients.remove(at: generator.below(clients.count))
                if generator.isOne(in: 2) {
                    client.channel.close(promise: nil)
                    bench.run()
                } else {
                    _ = try client.ask(#"{"id":2,"op":"unsubscribe","channel":"news"}"#)
                    _ = try client.ask(#"{"id":3,"op":"unsubscribe","channel":"news/k*"}"#)
                    left.append(client)
                }
            }
            try bench.write("news", ["\(round)"], key: "k")
            for client in clients { #expect(try client.records() == ["0:\(round)=\(round)", "0:\(round)=\(round)"]) }
            for client in left { #expect(try client.records().isEmpty) }
        }
    }

    @Test("a subscription that is live and keeps up is a few words")
    func subscriptions() throws {
        #expect(MemoryLayout<EdgeSession.Subscription>.stride <= 24)
        #expect(MemoryLayout<EndpointPlace>.stride <= 12)
        #expect(MemoryLayout<EdgeChannel>.size == 8)
        // Ten channels take room for a few more, not for twice as many.
        var session = EdgeSession(at: Instant(nanoseconds: 1), isConnected: true)
        for number in 0..<10 {
            let channel = try EdgeChannel("t/\(number)")
            session.add(
                .init(SubscriptionToken(rawValue: UInt32(number)), channel, .live, whenSlow: .skip, credit: nil))
        }
        #expect(session.subscriptions.capacity <= 14 && session.subscriptions.allSatisfy { $0.isPlain })
        session.subscriptions[3].credit = 7
        session.subscriptions[4].credit = nil
        #expect(!session.subscriptions[3].isPlain && session.subscriptions[4].isPlain)
        session.subscriptions[3].credit = nil
        #expect(session.subscriptions[3].isPlain)
    }

    @Test("who shares a channel, and who is left in it alone, are given the same", arguments: ["news", "news/k"])
    func shared(channel: String) throws {
        let bench = try EdgeBench(loops: 2)
        try bench.create("news", partitions: 3)
        let clients = try (0..<3).map { try bench.socket(on: $0 % 2) }
        let ask = #"{"id":1,"op":"subscribe","channel":"\#(channel)"}"#
        var number = 0
        func write() throws {
            try bench.write("news", ["\(number)"], key: "k")
            number += 1
        }
        for index in clients.indices {
            // One after the other: the second of a loop comes to one that is in it alone.
            #expect(try clients[index].ask(ask).first?.contains(#""ok""#) == true)
            try write()
            for client in clients[...index] { #expect(try client.records().count == 1) }
        }
        // The cursor of one that was in it alone for a while is where it stands.
        _ = try clients[0].ask(#"{"id":2,"op":"unsubscribe","channel":"\#(channel)"}"#)
        try write()
        #expect(try clients[0].records().isEmpty)
        for client in clients[1...] { #expect(try client.records().count == 1) }
        try write()
        #expect(try clients[0].ask(ask).first?.contains(#""recovered":true"#) == true)
        try write()
        #expect(try clients[0].records().count == 1)
        #expect(try clients[2].records().count == 2)
        for client in clients { client.channel.close(promise: nil) }
        bench.run()
        #expect(try bench.count { $0.audiences.isEmpty ? 0 : 1 } == 0)
    }

    @Test("a connection that is quiet keeps no buffer, no request and no reader, and shares who it is with others")
    func quiet() throws {
        let bench = try EdgeBench()
        try bench.create("news")
        let clients = try (0..<3).map { _ in try bench.socket() }
        for client in clients { _ = try client.ask(#"{"id":1,"op":"subscribe","channel":"news"}"#) }
        let connections = try clients.map {
            try $0.channel.pipeline.syncOperations.handler(type: EndpointConnection.self)
        }
        for connection in connections {
            #expect(connection.knocked == nil && !connection.keepsReader)
            #expect(connection.shared === connections[0].shared)
        }
        // Half a frame is kept, and read on with the rest.
        try clients[0].channel.writeInbound(ByteBuffer(bytes: [0x81, 0x94, 0, 0, 0, 0] + Array(#"{"id":2,"o"#.utf8)))
        #expect(connections[0].keepsReader && !connections[1].keepsReader)
        try clients[0].channel.writeInbound(ByteBuffer(string: #"p":"ping"}"#))
        bench.run()
        #expect(!connections[0].keepsReader)
        #expect(try clients[0].frames() == [#"{"id":2,"ok":{}}"#])
        // Who calls himself something is somebody else.
        let named = try bench.webSocket()
        _ = try named.ask(#"{"id":1,"op":"connect","client":"app"}"#)
        let other = try named.channel.pipeline.syncOperations.handler(type: EndpointConnection.self)
        #expect(other.shared !== connections[0].shared && connections[0].client.clientID.isEmpty)
    }
}

extension EdgeBench {
    fileprivate func count(_ count: @escaping @Sendable (EndpointLoop) -> Int) throws -> Int {
        let box = BenchBox<[Int]>()
        self.door.collect(count).whenSuccess { box.put($0) }
        self.run()
        return try #require(box.value).reduce(0, +)
    }
}
