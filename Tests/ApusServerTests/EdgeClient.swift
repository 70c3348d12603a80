import ApusServer
import NIOCore
import NIOPosix
import Synchronization

/// A client of the edge over a real socket: a WebSocket, or an event stream, as a browser has them.
final class EdgeClient: Sendable {
    struct Failure: Error {
        var words: String
    }

    private struct State {
        var bytes = ByteBuffer()
        var head: String?
        /// Texts of a WebSocket's messages, or data of a stream's events.
        var texts: [String] = []
        var codes: [UInt16] = []
        var isClosed = false
        /// Counts what happened.
        var version = 0
        var waiters: [(ready: @Sendable ([String], Bool) -> Bool, CheckedContinuation<Void, Never>)] = []
    }

    private let state = Mutex(State())
    private let isStream: Bool
    private let channel: any Channel

    private init(_ channel: any Channel, isStream: Bool) {
        self.channel = channel
        self.isStream = isStream
    }

    /// A WebSocket that is open.
    static func socket(_ address: ServerAddress, _ headers: String = "") async throws -> EdgeClient {
        let upgrade = """
            Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\(headers)
            """
        let client = try await self.open(address, "/v1/ws", upgrade, isStream: false)
        guard client.head.hasPrefix("HTTP/1.1 101 ") else { throw Failure(words: client.head) }
        return client
    }

    static func stream(_ address: ServerAddress, _ query: String, _ headers: String = "") async throws -> EdgeClient {
        let client = try await self.open(address, "/v1/stream?\(query)", headers, isStream: true)
        guard client.head.hasPrefix("HTTP/1.1 200 ") else { throw Failure(words: client.head) }
        return client
    }

    private static func open(
        _ address: ServerAddress, _ target: String, _ headers: String, isStream: Bool
    ) async throws -> EdgeClient {
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelOption(.autoRead, value: false)
            .connect(host: address.host, port: address.port).get()
        let client = EdgeClient(channel, isStream: isStream)
        try await channel.eventLoop.submit {
            try channel.pipeline.syncOperations.addHandler(Reader(client))
        }.get()
        try await channel.setOption(.autoRead, value: true).get()
        let request = "GET \(target) HTTP/1.1\r\nHost: \(address.host):\(address.port)\r\n\(headers)\r\n"
        try await channel.writeAndFlush(ByteBuffer(string: request)).get()
        await client.wait { _, _ in client.hasHead }
        return client
    }

    var head: String { self.state.withLock { $0.head ?? "" } }
    private var hasHead: Bool { self.state.withLock { $0.head != nil } }
    var codes: [UInt16] { self.state.withLock { $0.codes } }
    /// What came since this was asked last.
    func take() -> [String] {
        self.state.withLock { state in
            defer { state.texts = [] }
            return state.texts
        }
    }

    func send(_ text: String) async throws {
        let payload = Array(text.utf8)
        var frame = ByteBuffer()
        frame.writeInteger(UInt8(0x81))
        frame.writeInteger(UInt8(0xFE))
        frame.writeInteger(UInt16(payload.count))
        frame.writeInteger(UInt32(0))
        frame.writeBytes(payload)
        try await self.channel.writeAndFlush(frame).get()
    }

    /// Waits until what came fulfils this, or the connection is closed.
    func wait(until ready: @escaping @Sendable (_ texts: [String], _ isClosed: Bool) -> Bool) async {
        await withCheckedContinuation { continuation in
            let isReady = self.state.withLock { state in
                if state.isClosed { return true }
                state.waiters.append((ready, continuation))
                return false
            }
            if isReady { continuation.resume() } else { self.wake() }
        }
    }

    /// Asks, and waits for the answer under this id.
    func ask(_ id: Int, _ fields: String) async throws -> String {
        try await self.send(#"{"id":\#(id),\#(fields)}"#)
        let start = #"{"id":\#(id),"#
        await self.wait { texts, _ in texts.contains { $0.hasPrefix(start) } }
        let answer = self.state.withLock { state -> String? in
            guard let place = state.texts.firstIndex(where: { $0.hasPrefix(start) }) else { return nil }
            return state.texts.remove(at: place)
        }
        guard let answer else { throw Failure(words: "closed before it answered \(fields)") }
        return answer
    }

    /// Takes nothing more from its socket.
    func stopReading() async throws { try await self.channel.setOption(.autoRead, value: false).get() }

    func goOnReading() async throws {
        try await self.channel.setOption(.autoRead, value: true).get()
        self.channel.read()
    }

    func close() async throws {
        // It may be closed already.
        try? await self.channel.close().get()
        await self.wait { _, isClosed in isClosed }
    }

    // MARK: What comes

    private func wake() {
        let ready = self.state.withLock { state in
            let (texts, isClosed) = (state.texts, state.isClosed)
            let waiters = state.waiters
            state.waiters = []
            return (waiters, texts, isClosed, state.version)
        }
        for (isReady, continuation) in ready.0 {
            if ready.2 || isReady(ready.1, ready.2) {
                continuation.resume()
            } else {
                let isLate = self.state.withLock { state in
                    state.waiters.append((isReady, continuation))
                    return state.version != ready.3
                }
                if isLate { self.wake() }
            }
        }
    }

    private func received(_ bytes: ByteBuffer) {
        self.state.withLock { state in
            state.version += 1
            state.bytes.writeImmutableBuffer(bytes)
            if state.head == nil {
                let all = String(buffer: state.bytes)
                guard let end = all.range(of: "\r\n\r\n") else { return }
                let head = String(all[..<end.upperBound])
                state.bytes.moveReaderIndex(forwardBy: head.utf8.count)
                state.head = head
            }
            if self.isStream { Self.readEvents(&state) } else { Self.readFrames(&state) }
            state.bytes.discardReadBytes()
        }
        self.wake()
    }

    private func closed() {
        self.state.withLock { state in
            state.version += 1
            state.isClosed = true
            state.head = state.head ?? ""
        }
        self.wake()
    }

    private static func readFrames(_ state: inout State) {
        while true {
            var bytes = state.bytes
            guard let (first, short) = bytes.readMultipleIntegers(as: (UInt8, UInt8).self) else { return }
            var length = Int(short)
            if short == 126 { length = bytes.readInteger(as: UInt16.self).map { Int($0) } ?? .max }
            if short == 127 { length = bytes.readInteger(as: UInt64.self).map { Int($0) } ?? .max }
            guard length <= bytes.readableBytes, var payload = bytes.readSlice(length: length) else { return }
            state.bytes = bytes
            if first == 0x81 { state.texts.append(String(buffer: payload)) }
            if first == 0x88, let code = payload.readInteger(as: UInt16.self) { state.codes.append(code) }
        }
    }

    private static func readEvents(_ state: inout State) {
        while let end = state.bytes.readableBytesView.firstIndex(of: 0x0A) {
            let line = state.bytes.readString(length: end - state.bytes.readerIndex) ?? ""
            state.bytes.moveReaderIndex(forwardBy: 1)
            if line.hasPrefix("data: ") { state.texts.append(String(line.dropFirst(6))) }
        }
    }

    private final class Reader: ChannelInboundHandler, Sendable {
        typealias InboundIn = ByteBuffer
        private let client: EdgeClient

        init(_ client: EdgeClient) { self.client = client }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            self.client.received(Self.unwrapInboundIn(data))
        }

        func channelInactive(context: ChannelHandlerContext) { self.client.closed() }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }
}

extension StringProtocol {
    fileprivate func range(of other: String) -> Range<String.Index>? {
        var start = self.startIndex
        while start < self.endIndex {
            if self[start...].hasPrefix(other) { return start..<self.index(start, offsetBy: other.count) }
            start = self.index(after: start)
        }
        return nil
    }
}
