import ApusCommand
import NIOCore
import Testing

@Suite("What a load generator reads of pushes")
struct PushDrainTests {
    private func frame(_ opcode: UInt8, _ payload: String) -> ByteBuffer {
        var frame = ByteBuffer()
        frame.writeInteger(0x80 | opcode)
        switch payload.utf8.count {
        case ..<126: frame.writeInteger(UInt8(payload.utf8.count))
        case ..<65_536: frame.writeMultipleIntegers(UInt8(126), UInt16(payload.utf8.count))
        default: frame.writeMultipleIntegers(UInt8(127), UInt64(payload.utf8.count))
        }
        frame.writeString(payload)
        return frame
    }

    private func push(_ records: Int, padding: Int = 10) -> String {
        let record = #"{"offset":1,"value":{"due":123,"pad":"~"# + String(repeating: "x", count: padding) + #""}}"#
        return #"{"channel":"t","records":["# + Array(repeating: record, count: records).joined(separator: ",")
            + #"],"cursor":"AA"}"#
    }

    /// All of it in pieces of so many bytes.
    private func read(
        _ transport: PushDrain.Transport, _ whole: ByteBuffer, pieces: Int
    ) throws -> (found: [PushDrain.Found], records: Int64, dues: [UInt64]) {
        var (drain, dues, rest) = (PushDrain(transport), DueReader(), whole)
        var found: [PushDrain.Found] = []
        var moments: [UInt64] = []
        while let piece = rest.readSlice(length: min(pieces, rest.readableBytes)), piece.readableBytes > 0 {
            try drain.feed(piece) { found.append($0) }
            dues.feed(piece) { moments.append($0) }
        }
        return (found, drain.records, moments)
    }

    @Test("frames are counted and passed over, however they are cut", arguments: [1, 2, 3, 7, 64, 1000, 1 << 20])
    func webSocket(pieces: Int) throws {
        var whole = ByteBuffer(string: "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n")
        for frame in [
            self.frame(1, #"{"id":2,"ok":{}}"#), self.frame(1, self.push(1)), self.frame(9, ""),
            self.frame(1, self.push(50)), self.frame(1, self.push(1, padding: 70_000)),
            self.frame(1, #"{"event":"lagging"}"#), self.frame(9, "hey"), self.frame(8, "\u{11}\u{65}bye"),
        ] { whole.writeImmutableBuffer(frame) }
        let read = try self.read(.webSocket, whole, pieces: pieces)
        #expect(read.records == 52)
        #expect(read.dues == Array(repeating: 123, count: 52))
        #expect(
            read.found == [
                .status(101), .message(#"{"id":2,"ok":{}}"#), .ping(ByteBuffer()), .message(#"{"event":"lagging"}"#),
                .ping(ByteBuffer(string: "hey")), .closed(0x1165),
            ])
    }

    @Test("events are counted and passed over, however they are cut", arguments: [1, 2, 3, 5, 6, 7, 64, 1000, 1 << 20])
    func eventStream(pieces: Int) throws {
        var whole = ByteBuffer(string: "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        whole.writeString("retry: 2000\n\nevent: subscribed\nid: AA\ndata: {}\n\n")
        whole.writeString("id: AB\ndata: \(self.push(3, padding: 400))\n\n:\n\ndata: \(self.push(2))\n\n")
        whole.writeString("event: lagging\ndata: {}\n\n")
        let read = try self.read(.eventStream, whole, pieces: pieces)
        #expect(read.records == 5)
        #expect(read.dues == Array(repeating: 123, count: 5))
        #expect(read.found == [.status(200), .message("event: subscribed"), .message("event: lagging")])
    }

    @Test(
        "what no server sends is refused",
        arguments: [
            [0x01, 0x00], [0x81, 0x80], [0xC1, 0x00], [0x82, 0x00], [0x81, 0x7F, 0xFF, 0, 0, 0, 0, 0, 0, 0],
        ]
            as [[UInt8]])
    func malformed(bytes: [UInt8]) throws {
        var drain = PushDrain(.webSocket)
        try drain.feed(ByteBuffer(string: "HTTP/1.1 101 x\r\n\r\n")) { _ in }
        #expect(throws: PushDrain.Malformed.self) { try drain.feed(ByteBuffer(bytes: bytes)) { _ in } }
    }

    @Test("a head without an end, and a message without one, are refused before they are large")
    func endless() throws {
        var drain = PushDrain(.webSocket)
        let noise = ByteBuffer(repeating: UInt8(ascii: "a"), count: 40_000)
        try drain.feed(noise) { _ in }
        #expect(throws: PushDrain.Malformed.self) { try drain.feed(noise) { _ in } }

        drain = PushDrain(.webSocket)
        try drain.feed(ByteBuffer(string: "HTTP/1.1 101 x\r\n\r\n")) { _ in }
        try drain.feed(ByteBuffer(bytes: [0x81, 0x7F, 0, 0, 0, 0, 0, 0x10, 0, 0])) { _ in }
        try drain.feed(noise) { _ in }
        #expect(throws: PushDrain.Malformed.self) { try drain.feed(noise) { _ in } }
    }
}
