import ApusCore
import EdgeDoor
import NIOCore
import WebFormats

/// What clients of the edge send.
extension FuzzTarget {
    /// The frames of a WebSocket, in pieces whose length the first byte says. However they come, they are the same.
    static let webSocket = FuzzTarget(
        name: "websocket",
        isProportional: true,
        heapBytesMax: FuzzTarget.proportional,
        seeds: { EdgeSeeds.frames },
        run: { bytes in
            guard let first = bytes.first else { return }
            let body = ByteBuffer(bytes: bytes.dropFirst())
            let whole = EdgeSeeds.read(body, by: .max)
            let pieces = EdgeSeeds.read(body, by: 1 + Int(first % 16))
            precondition(whole.events == pieces.events && whole.fault == pieces.fault, "pieces read otherwise")
        }
    )

    /// The lines of a message: operations with their channels, cursors and records. What is refused is told in one
    /// line of JSON, whatever it quotes.
    static let operations = FuzzTarget(
        name: "operations",
        isProportional: true,
        // A line of two bytes becomes a refusal with its words.
        heapBytesMax: { FuzzTarget.heapBytesFixed * 16 + $0 * 512 },
        seeds: { EdgeSeeds.lines.map { Array($0.utf8) } },
        run: { bytes in
            for line in ClientLine.lines(of: ByteBuffer(bytes: bytes)) {
                guard case .refused(let id, let problem) = line else { continue }
                let answer = OperationReply.error(id, problem)
                precondition(!answer.readableBytesView.contains { $0 < 0x20 }, "an answer of several lines")
            }
        }
    )

    /// The same frames where messages may be compressed, however little of them comes to how much.
    static let deflate = FuzzTarget(
        name: "deflate",
        isProportional: false,
        // A message of the longest length, what it is read into, and the same again while pieces are compared.
        heapBytesMax: { FuzzTarget.heapBytesFixed * 4 + Limits.edgeMessageBytesMax.rawValue * 8 + $0 * 64 },
        seeds: { EdgeSeeds.deflated },
        run: { bytes in
            guard let first = bytes.first else { return }
            let body = ByteBuffer(bytes: bytes.dropFirst())
            let whole = EdgeSeeds.read(body, by: .max, mayInflate: true)
            let pieces = EdgeSeeds.read(body, by: 1 + Int(first % 16), mayInflate: true)
            precondition(whole.events == pieces.events && whole.fault == pieces.fault, "pieces read otherwise")
            if let wire = MessageDeflate.deflated(body) {
                precondition((try? MessageDeflate.inflated(wire)) == body, "a message that does not come back")
            }
        }
    )

    /// The maps of a message in CBOR. What is refused is told in CBOR.
    static let binary = FuzzTarget(
        name: "binary",
        isProportional: true,
        heapBytesMax: { FuzzTarget.heapBytesFixed * 16 + $0 * 512 },
        seeds: { EdgeSeeds.maps },
        run: { bytes in
            for line in ClientLine.lines(of: ByteBuffer(bytes: bytes), in: .cbor) {
                guard case .refused(let id, let problem) = line else { continue }
                let answer = OperationReply.error(id, problem, in: .cbor)
                precondition(answer.readableBytesView.first.map { $0 >> 5 == 5 } ?? false, "an answer that is no map")
            }
        }
    )

    /// A cursor's text. Nothing is one that was not written here, and what was is read back.
    static let cursors = FuzzTarget(
        name: "cursors",
        isProportional: true,
        heapBytesMax: { FuzzTarget.heapBytesFixed * 4 + $0 * 128 },
        seeds: { EdgeSeeds.cursors },
        run: { bytes in
            let text = ByteBuffer(bytes: bytes)
            guard let cursor = try? EdgeSeeds.seal.cursor(in: text) else { return }
            let again = EdgeSeeds.seal.text(of: cursor)
            precondition((try? EdgeSeeds.seal.cursor(in: again)) == cursor, "a cursor that does not come back")
        }
    )

    /// The target of a request, and its headers: a line each.
    static let webRequests = FuzzTarget(
        name: "webrequests",
        isProportional: true,
        heapBytesMax: { FuzzTarget.heapBytesFixed * 8 + $0 * 256 },
        seeds: {
            [
                Array("/v1/stream?channel=chat%2Fa&from=-10&slow=close\nlast-event-id: abc\norigin: https://a".utf8),
                Array("/v1/ws\nupgrade: websocket\nconnection: upgrade\nsec-websocket-version: 13".utf8),
            ]
        },
        run: { bytes in
            let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
            let headers = lines.dropFirst().map { line in
                let parts = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
                return (name: String(parts[0]), value: parts.count == 2 ? String(parts[1]) : "")
            }
            let request = WebRequest(method: "GET", target: String(lines[0]), headers: headers)
            _ = try? EventStreamRequest(request, origins: OriginRules())
            guard let handshake = try? WebSocketHandshake(request, origins: OriginRules()) else { return }
            let lineCount = handshake.response.readableBytesView.count { $0 == 0x0A }
            precondition(lineCount <= 6, "a header of the client's own")
        }
    )
}

private enum EdgeSeeds {
    static let seal = CursorSeal(
        keys: CursorKeys(current: Array(repeating: 9, count: 32)), topic: TopicID(high: 1, low: 2),
        selection: .everything)

    static let lines = [
        #"{"id":1,"op":"connect","token":"t"}"#,
        #"{"id":5,"op":"subscribe","channel":"chat/u%20*","from":"-10","credit":5,"slow":"close"}"#,
        #"{"id":5,"op":"seek","channel":"chat","cursor":["AA","BB"]}"# + "\n" + #"{"op":"ping"}"#,
        #"{"op":"write","topic":"t","key":"\u00e9","value":{"a":[1,2]},"headers":[["a",{"base64":"/w=="}]]}"#,
        #"{"id":2,"op":"create","topic":"t","partitions":3,"config":{"retention.ms":"1"}}"#,
    ]

    static var cursors: [[UInt8]] {
        let places = [1, 1_000_000, 0, Int64.max].map { Offset(rawValue: $0) }
        let cursors: [EdgeCursor] = [
            .whole(places), .single(PartitionIndex(rawValue: 3), next: places[1]),
            .step(PartitionIndex(rawValue: 1), since: places[0], next: places[1]),
        ]
        return cursors.map { Array(buffer: self.seal.text(of: $0)) }
    }

    static var frames: [[UInt8]] {
        [
            [3, 0x81, 0x85, 1, 2, 3, 4, 0x69, 0x67, 0x6F, 0x68, 0x6E],
            [1, 0x01, 0x81, 0, 0, 0, 0, 0x61, 0x89, 0x80, 0, 0, 0, 0, 0x80, 0x81, 0, 0, 0, 0, 0x62],
            [7, 0x88, 0x82, 0, 0, 0, 0, 0x03, 0xE8],
            [0, 0x81, 0xFE, 0, 3, 0, 0, 0, 0, 0xE2, 0x82, 0xAC],
            [0, 0x81, 0xFF, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0x61],
        ]
    }

    static var deflated: [[UInt8]] {
        self.frames + [
            [2, 0xC1, 0x87, 0, 0, 0, 0, 0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00],
            [
                9, 0x41, 0x83, 0, 0, 0, 0, 0xF2, 0x48, 0xCD, 0x89, 0x80, 1, 2, 3, 4, 0x80, 0x84, 0, 0, 0, 0, 0xC9, 0xC9,
                7, 0,
            ],
            [1, 0xC1, 0x8B, 0, 0, 0, 0, 0, 5, 0, 0xFA, 0xFF, 0x48, 0x65, 0x6C, 0x6C, 0x6F, 0],
        ]
    }

    static var maps: [[UInt8]] {
        [
            [0xA2, 0x62, 0x69, 0x64, 1, 0x62, 0x6F, 0x70] + [0x67] + Array("connect".utf8),
            [0xA3, 0x62, 0x6F, 0x70, 0x65] + Array("write".utf8) + [0x65] + Array("topic".utf8) + [0x61, 0x74, 0x65]
                + Array("value".utf8) + [0x43, 0, 1, 2],
            [0x82, 0xF9, 0x3C, 0, 0xFB, 0x3F, 0xF1, 0x99, 0x99, 0x99, 0x99, 0x99, 0x9A],
        ]
    }

    static func read(
        _ bytes: ByteBuffer, by size: Int, mayInflate: Bool = false
    ) -> (events: [WebSocketReader.Event], fault: WebSocketFault?) {
        var (reader, rest) = (WebSocketReader(), bytes)
        reader.mayInflate = mayInflate
        var events: [WebSocketReader.Event] = []
        do throws(WebSocketFault) {
            while let piece = rest.readSlice(length: min(size, rest.readableBytes)), piece.readableBytes > 0 {
                reader.received(piece)
                while let event = try reader.next() { events.append(event) }
            }
        } catch {
            return (events, error)
        }
        return (events, nil)
    }
}
