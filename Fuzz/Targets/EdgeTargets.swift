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

    static func read(_ bytes: ByteBuffer, by size: Int) -> (events: [WebSocketReader.Event], fault: WebSocketFault?) {
        var (reader, rest) = (WebSocketReader(), bytes)
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
