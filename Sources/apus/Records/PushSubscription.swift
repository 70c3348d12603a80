import ApusCommand
import ApusCore
import NIOCore
import NIOPosix
import NIOSSL
import WebFormats

/// `apus sub --ws`: subscribes at an endpoint server as a browser does, and comes back with its cursors whenever the
/// connection ends, so that every record is printed once.
///
/// Owner of the places: the one task that runs it.
actor PushSubscription {
    private let address: PushAddress
    /// As clients of the edge name them: a topic, `topic/key`, `topic/prefix*`.
    private let channels: [String]
    /// As the edge takes it.
    private let from: String
    private let security: ConnectionSecurity
    private let authorization: String?
    private let printer: RecordPrinter

    /// The connection ended, and may be made again after so long.
    private struct Lost: Error {
        var wait: Duration?
        var words: String
    }

    private var places = PushPlaces()
    private var wasOpen = false

    init(
        _ address: PushAddress, channels: [String], from: String, security: ConnectionSecurity, authorization: String?,
        printer: RecordPrinter
    ) {
        self.address = address
        self.channels = channels
        self.from = from
        self.security = security
        self.authorization = authorization
        self.printer = printer
    }

    /// Until enough was printed, or something is wrong that no other try would change.
    func run() async throws {
        var failures = 0
        while true {
            do {
                try await self.connect()
            } catch let lost as Lost {
                guard self.wasOpen else { throw self.unreachable(lost.words) }
                // Of a connection that was good for something the next one is made soon.
                failures = lost.wait == nil ? failures + 1 : 1
                let doubled = Duration.milliseconds(Int64(100) << min(failures, 6))
                let wait = lost.wait ?? min(doubled, .seconds(5))
                let jitter = Double.random(in: 0.5...1)
                try Task.checkCancellation()
                let loop = MultiThreadedEventLoopGroup.singleton.next()
                try await loop.scheduleTask(in: TimeAmount(wait * jitter)) {}.futureResult.get()
                try Task.checkCancellation()
            }
        }
    }

    private func unreachable(_ words: String) -> CommandFailure {
        CommandFailure(
            .unreachable, code: "unreachable", "\(self.address.address): \(words)",
            next: "an endpoint server, or a broker's --http, answers there")
    }

    // MARK: One connection

    private func connect() async throws {
        let channel: NIOAsyncChannel<ByteBuffer, ByteBuffer>
        do {
            channel = try await WebConnection.open(
                self.address.address, isSecure: self.address.isSecure, self.security)
        } catch let error as NIOSSLError {
            throw error
        } catch {
            throw Lost(wait: nil, words: "nobody answers")
        }
        do {
            try await channel.executeThenClose { inbound, outbound in
                try await self.talk(inbound, outbound)
            }
        } catch let error as IOError {
            throw Lost(wait: nil, words: "\(error)")
        } catch let error as NIOSSLError {
            throw Lost(wait: nil, words: "\(error)")
        }
        throw Lost(wait: nil, words: "the connection was closed")
    }

    private func talk(
        _ inbound: NIOAsyncChannelInboundStream<ByteBuffer>, _ outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
    ) async throws {
        try await outbound.write(self.request)
        var head = ByteBuffer()
        var frames: PushFrames?
        for try await bytes in inbound {
            if frames == nil {
                head.writeImmutableBuffer(bytes)
                guard let rest = try self.rest(behind: &head) else { continue }
                var first = PushFrames()
                first.received(rest)
                frames = first
                try await outbound.write(self.subscriptions)
            } else {
                frames?.received(bytes)
            }
            while let frame = try self.next(&frames) {
                switch frame {
                case .ping(let payload): try await outbound.write(PushFrames.frame(10, payload))
                case .closed(let code): try self.closed(code)
                case .text(let text): try await self.heard(text)
                }
            }
            try await self.printer.flush()
        }
    }

    private func next(_ frames: inout PushFrames?) throws -> PushFrames.Frame? {
        do {
            return try frames?.next()
        } catch {
            throw CommandFailure(.failure, code: "protocol", "the server sent what is no WebSocket's: \(error)")
        }
    }

    private var request: ByteBuffer {
        var request = ByteBuffer()
        request.writeString("GET \(self.address.target) HTTP/1.1\r\nHost: \(self.address.address)\r\n")
        request.writeString("Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n")
        request.writeString("Sec-WebSocket-Key: YXB1cyBzdWIgY29tbWFuZA==\r\n")
        if let authorization = self.authorization { request.writeString("Authorization: \(authorization)\r\n") }
        request.writeString("\r\n")
        return request
    }

    /// What stands behind the head; nil: it is not whole yet.
    private func rest(behind head: inout ByteBuffer) throws -> ByteBuffer? {
        let view = head.readableBytesView
        let end = Array("\r\n\r\n".utf8)
        guard let place = view.indices.first(where: { view[$0...].starts(with: end) }) else {
            guard head.readableBytes < 65_536 else { throw Lost(wait: nil, words: "an answer without end") }
            return nil
        }
        let text = String(buffer: head.readSlice(length: place - view.startIndex) ?? ByteBuffer())
        head.moveReaderIndex(forwardBy: end.count)
        let status = text.split(separator: " ", maxSplits: 2).dropFirst().first.flatMap { Int($0) } ?? 0
        if status == 101 {
            self.wasOpen = true
            return head
        }
        let words = "answered with status \(status)"
        switch status {
        case 401:
            throw CommandFailure(
                .denied, code: "unauthenticated", "\(self.address.address): \(words)", next: "--user, or --token-file")
        case 403: throw CommandFailure(.denied, code: "forbidden", "\(self.address.address): \(words)")
        case 500...: throw Lost(wait: nil, words: words)
        default: throw self.unreachable(words)
        }
    }

    private var subscriptions: ByteBuffer {
        var lines = [#"{"id":0,"op":"connect","client":"apus sub"}"#]
        for (index, channel) in self.channels.enumerated() {
            let cursors = self.places.cursors(of: channel)
            let start: (String, JSON) =
                cursors.isEmpty ? ("from", .string(self.from)) : ("cursor", .array(cursors.map { .string($0) }))
            // Nothing is left out: who is too slow is sent away, and comes back with its cursor.
            let wish = JSON.object([
                ("id", .integer(Int64(index + 1))), ("op", .string("subscribe")), ("channel", .string(channel)), start,
                ("slow", .string("close")),
            ])
            lines.append(wish.compact)
        }
        return PushFrames.frame(1, ByteBuffer(string: lines.joined(separator: "\n")))
    }

    // MARK: What comes

    private func closed(_ code: UInt16) throws {
        // From 4000 to 4499 the same again is of no use.
        guard (4000..<4500).contains(code) else { throw Lost(wait: nil, words: "closed with \(code)") }
        throw CommandFailure(
            .denied, code: "closed", "the server ended the connection with \(code)", next: "docs/edge.md says why")
    }

    private func heard(_ text: ByteBuffer) async throws {
        var text = text
        while text.readableBytes > 0 {
            let feed = text.readableBytesView.firstIndex(of: 0x0A)
            let length = feed.map { $0 - text.readerIndex } ?? text.readableBytes
            let line = text.readSlice(length: length) ?? ByteBuffer()
            if text.readableBytes > 0 { text.moveReaderIndex(forwardBy: 1) }
            if line.readableBytes > 0 { try await self.heard(line: line) }
        }
    }

    private func heard(line: ByteBuffer) async throws {
        let message: JSONObject
        let refusal: JSONObject?
        var shown: [ShownRecord] = []
        do throws(JSONFault) {
            message = try JSONObject(line)
            refusal = try message["error"]?.object()
            let result = try message["ok"]?.object() ?? message
            let channel = (result["channel"] ?? message["channel"])?.text ?? ""
            for record in try message["records"]?.elements(max: .max) ?? [] {
                shown.append(try ShownRecord(record.object(), in: channel))
            }
            if let cursor = result["cursor"]?.text {
                self.places.reached(cursor, in: channel)
            } else if let step = message["step"]?.text, let first = shown.first {
                self.places.reached(step: step, of: Int64(first.partition.rawValue), in: channel)
            }
            try self.tell(result["missing"]?.elements(max: .max) ?? [], of: channel)
        } catch {
            throw CommandFailure(
                .failure, code: "protocol", "the server sent what is no push: \(Problem(error).detail)")
        }
        if let refusal { try self.refused(refusal) }
        try await self.printer.print(shown)
        guard let event = message["event"]?.text else { return }
        switch event {
        case "moved":
            let wait = Duration.milliseconds(min(max(message["retry_in"]?.integer ?? 0, 0), 60_000))
            throw Lost(wait: wait, words: "the server stops")
        default: break
        }
    }

    private func refused(_ error: JSONObject) throws {
        let words = error["detail"]?.text ?? "refused"
        guard error["retryable"]?.boolean != true else { throw Lost(wait: .seconds(1), words: words) }
        let code = error["code"]?.text ?? "refused"
        let isDenied = ["forbidden", "unauthenticated"].contains(code)
        throw CommandFailure(isDenied ? .denied : .failure, code: code, words, next: error["hint"]?.text)
    }

    private func tell(_ missing: [JSONValue], of channel: String) throws(JSONFault) {
        for range in missing {
            let range = try range.object()
            let numbers = ["partition", "from", "to"].map { range[$0]?.integer ?? 0 }
            StandardError.write("\(channel)[\(numbers[0])]: offsets \(numbers[1]) to \(numbers[2] - 1) are gone\n")
        }
    }
}

extension ShownRecord {
    /// A record as the edge writes it (docs/edge.md).
    fileprivate init(_ record: JSONObject, in channel: String) throws(JSONFault) {
        let key = record["key"]?.textBytes ?? Self.bytes(of: record["key_base64"])
        var value = record["text"]?.textBytes ?? record["value"]?.bytes ?? Self.bytes(of: record["base64"])
        if record["deleted"]?.boolean == true { value = nil }
        var headers: [ShownRecord.Header] = []
        if let type = record["type"]?.textBytes { headers.append(Header(name: "content-type", value: type)) }
        for header in try record["headers"]?.elements(max: .max) ?? [] {
            let pair = try header.elements(max: 2)
            guard pair.count == 2 else { continue }
            var bytes = pair[1].textBytes
            if pair[1].kind == .object { bytes = Self.bytes(of: try pair[1].object()["base64"]) }
            headers.append(Header(name: pair[0].text ?? "", value: bytes))
        }
        self.init(
            topic: channel.split(separator: "/", maxSplits: 1).first.map { String($0) } ?? channel,
            partition: PartitionIndex(rawValue: Int32(clamping: record["partition"]?.integer ?? 0)),
            offset: Offset(rawValue: record["offset"]?.integer ?? -1),
            timestamp: Timestamp(rawValue: record["timestamp"]?.integer ?? -1), key: key, value: value,
            headers: headers)
    }

    private static func bytes(of value: JSONValue?) -> ByteBuffer? {
        value?.textBytes.flatMap { WebFormats.Base64.standard.decoded($0) }
    }
}
