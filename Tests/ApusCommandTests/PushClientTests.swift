import NIOCore
import Testing

@testable import ApusCommand

@Suite("A client that is pushed to")
struct PushClientTests {
    @Test("frames are read whole however they are cut", arguments: [1, 2, 3, 7, 1_000_000])
    func cut(size: Int) throws {
        let long = String(repeating: "x", count: 70_000)
        var bytes = ByteBuffer()
        for (opcode, payload) in [(UInt8(1), "hello"), (9, "p"), (10, ""), (1, String(long.prefix(300))), (1, long)] {
            bytes.writeInteger(0x80 | opcode)
            let count = payload.utf8.count
            if count < 126 {
                bytes.writeInteger(UInt8(count))
            } else if count < 65_536 {
                bytes.writeMultipleIntegers(UInt8(126), UInt16(count))
            } else {
                bytes.writeMultipleIntegers(UInt8(127), UInt64(count))
            }
            bytes.writeString(payload)
        }
        bytes.writeBytes([0x88, 2, 0x11, 0x94])
        var frames = PushFrames()
        var found: [PushFrames.Frame] = []
        while bytes.readableBytes > 0 {
            frames.received(bytes.readSlice(length: min(size, bytes.readableBytes)) ?? ByteBuffer())
            while let frame = try frames.next() { found.append(frame) }
        }
        #expect(
            found == [
                .text(ByteBuffer(string: "hello")), .ping(ByteBuffer(string: "p")),
                .text(ByteBuffer(string: String(long.prefix(300)))), .text(ByteBuffer(string: long)), .closed(4500),
            ])
    }

    @Test(
        "what no server of ours sends is refused",
        arguments: [
            [0x01, 0], [0xC1, 0], [0x81, 0x80], [0x82, 0], [0x81, 127, 0x80, 0, 0, 0, 0, 0, 0, 0],
            [0x81, 127, 0, 0, 0, 0, 0x10, 0, 0, 0],
        ] as [[UInt8]])
    func refused(bytes: [UInt8]) {
        var frames = PushFrames()
        frames.received(ByteBuffer(bytes: bytes))
        #expect(throws: PushFrames.Fault.self) { try frames.next() }
    }

    @Test("addresses have a port and a path of their own, or the usual ones")
    func addresses() throws {
        let plain = try PushAddress("ws://example.org")
        #expect(plain.address.description == "example.org:80" && plain.target == "/v1/ws" && !plain.isSecure)
        let secure = try PushAddress("wss://[::1]:8443/edge/v1/ws?x=1")
        #expect(secure.address.port == 8443 && secure.target == "/edge/v1/ws?x=1" && secure.isSecure)
        #expect(try PushAddress("wss://[::1]").address.port == 443)
        for text in ["http://a", "ws://", "ws://u@a", "ws://a/b c", "ws://a:b", "a:1"] {
            #expect(throws: CommandFailure.self, "\(text)") { try PushAddress(text) }
        }
    }

    @Test("the last cursor and the steps behind it are brought, and a new cursor takes their place")
    func places() {
        var places = PushPlaces()
        #expect(places.cursors(of: "a") == [])
        places.reached(step: "lost", of: 1, in: "a")
        #expect(places.cursors(of: "a") == [])
        places.reached("c1", in: "a")
        places.reached(step: "s2", of: 2, in: "a")
        places.reached(step: "s1", of: 1, in: "a")
        places.reached(step: "s2b", of: 2, in: "a")
        #expect(places.cursors(of: "a") == ["c1", "s1", "s2b"])
        places.reached("c2", in: "a")
        #expect(places.cursors(of: "a") == ["c2"] && places.cursors(of: "b") == [])
    }
}
