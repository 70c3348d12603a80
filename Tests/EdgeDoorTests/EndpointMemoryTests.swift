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
