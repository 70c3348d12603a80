import ApusAccess
import ApusBroker
import ApusCore
import NIOCore
import NIOEmbedded
import Testing

@testable import EdgeDoor

@Suite("Clients of the edge, as operators see them")
struct ConnectionListTests {
    private func list(_ bench: EdgeBench, after: ConnectionID? = nil, _ limit: Int = 100) throws -> [OpenConnection] {
        let found = BenchBox<[OpenConnection]>()
        bench.door.connections.list(after, limit) { found.put($0) }
        bench.run()
        return try #require(found.value)
    }

    private func disconnect(_ bench: EdgeBench, _ id: ConnectionID) throws -> Bool {
        let done = BenchBox<Bool>()
        bench.door.connections.disconnect(id) { done.put($0) }
        bench.run()
        return done.value == true
    }

    @Test("all loops' clients are listed in one order, with what each is in", arguments: [1, 3])
    func list(loops: Int) throws {
        let bench = try EdgeBench(loops: loops)
        try bench.create("news")
        let clients = try (0..<6).map { try bench.webSocket(on: $0 % loops) }
        for (index, client) in clients.enumerated() {
            _ = try client.ask(#"{"id":1,"op":"connect","client":"n\#(index)\u0007"}"#)
            _ = try client.ask(#"{"id":2,"op":"subscribe","channel":"news"}"#)
        }
        let stream = try bench.client("/v1/stream?channel=news")
        let all = try self.list(bench)
        #expect(all.map(\.id.description) == (1...7).map { "c\($0)" })
        #expect(all.map(\.channels) == Array(repeating: 1, count: 7))
        #expect(all[0].client == "n0\u{7}" && all[0].transport == .webSocket && all[6].transport == .eventStream)
        #expect(all.allSatisfy { $0.address == "127.0.0.1" && $0.principal == .anonymous })
        #expect(try self.list(bench, after: all[2].id, 2).map(\.id.number) == [4, 5])
        #expect(stream.isOpen)
    }

    @Test("a client that has closed its side has gone, without waiting for the next word to it")
    func halfClosed() throws {
        let bench = try EdgeBench()
        try bench.create("news")
        let (stream, socket) = (try bench.client("/v1/stream?channel=news"), try bench.socket())
        for client in [stream, socket] {
            client.channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
            bench.run()
            #expect(!client.isOpen)
        }
        #expect(try self.list(bench).isEmpty)
    }

    @Test("who is disconnected is told so and not to come back; nobody else is touched")
    func disconnect() throws {
        let bench = try EdgeBench(loops: 2)
        try bench.create("news")
        let (one, other) = (try bench.socket(on: 0), try bench.socket(on: 1))
        let stream = try bench.client("/v1/stream?channel=news", on: 1)
        #expect(try self.disconnect(bench, ConnectionID(.edge, 2)))
        let frames = try other.frames()
        #expect(
            frames.contains("close 4004") && frames.contains { $0.contains(#""code":4004,"reason":"disconnected""#) })
        #expect(try self.disconnect(bench, ConnectionID(.edge, 3)))
        #expect(try stream.text().contains("4004") && !stream.isOpen)
        #expect(one.isOpen)
        #expect(try self.list(bench).map(\.id.number).contains(1))
        #expect(try !self.disconnect(bench, ConnectionID(.edge, 99)))
    }
}
