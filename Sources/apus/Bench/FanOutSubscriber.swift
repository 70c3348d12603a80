import ApusCommand
import ApusCore
import Histogram
import NIOCore

/// One connection of an endpoint server that subscribes and counts what is pushed to it. Owner: its loop.
final class FanOutSubscriber: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let fanOut: FanOutLoad
    private let load: LoadLoop
    /// As they stand in a subscription.
    private let channels: [String]
    private var drain: PushDrain
    /// Only a few connections take the time: to look for it costs more than to count.
    private var dues: DueReader?
    private var counted: Int64 = 0
    private var countedBytes: Int64 = 0
    private var asked = 0
    private var subscribed = 0

    init(_ fanOut: FanOutLoad, channels: [String], takesTime: Bool) {
        self.fanOut = fanOut
        self.load = fanOut.load
        self.channels = channels
        self.drain = PushDrain(fanOut.transport)
        self.dues = takesTime ? DueReader() : nil
    }

    private var isReady: Bool { self.subscribed == self.channels.count }

    func channelActive(context: ChannelHandlerContext) {
        var request = ByteBuffer()
        switch self.fanOut.transport {
        case .webSocket:
            request.writeString("GET /v1/ws HTTP/1.1\r\nHost: \(self.fanOut.address)\r\nUpgrade: websocket\r\n")
            request.writeString("Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n")
            request.writeString("Sec-WebSocket-Key: YXB1cyBiZW5jaCBsb2FkLg==\r\n")
        case .eventStream:
            request.writeString(
                "GET /v1/stream?channel=\(self.channels[0]) HTTP/1.1\r\nHost: \(self.fanOut.address)\r\n")
        }
        if let login = self.fanOut.authorization { request.writeString("Authorization: \(login)\r\n") }
        request.writeString("\r\n")
        context.writeAndFlush(self.wrapOutboundOut(request), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let chunk = self.unwrapInboundIn(data)
        var found: [PushDrain.Found] = []
        do {
            try self.drain.feed(chunk) { found.append($0) }
        } catch {
            self.fanOut.fail("the server sent what is none of its protocol")
            return context.close(promise: nil)
        }
        for found in found { self.found(found, context) }
        guard self.load.isCounting else { return }
        if self.dues != nil {
            let now = Instant.now.nanoseconds
            self.dues?.feed(chunk) { due in self.load.latency.record(now > due ? now - due : 0) }
        }
        let more = self.drain.records - self.counted
        self.counted = self.drain.records
        self.load.bytes += self.drain.bytes - self.countedBytes
        self.countedBytes = self.drain.bytes
        if more > 0 { self.fanOut.delivered(more) }
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.fanOut.lost("the server closed a connection")
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        self.fanOut.lost("\(error)")
        context.close(promise: nil)
    }

    private func found(_ found: PushDrain.Found, _ context: ChannelHandlerContext) {
        switch (found, self.fanOut.transport) {
        case (.status(101), .webSocket):
            self.send(#"{"id":0,"op":"connect"}"#, context)
            self.subscribe(context)
        case (.status(200), .eventStream): break
        case (.status(let status), _):
            self.fanOut.lost("the server answered with status \(status)")
            context.close(promise: nil)
        case (.ping(let payload), _): Self.send(0x8A, payload, context)
        case (.closed(let code), _): self.fanOut.lost("the server closed a WebSocket with \(code)")
        case (.message(let text), _): self.heard(text, context)
        }
    }

    private func heard(_ text: String, _ context: ChannelHandlerContext) {
        if text.hasPrefix(#"{"id":0,"ok""#) { return }
        guard text == "event: subscribed" || text.hasPrefix(#"{"id":1,"ok""#) else {
            // An error, or a connection that fell behind: what is counted from here on is wrong.
            return self.fanOut.fail("the server said \(text.prefix(200))")
        }
        self.subscribed += 1
        guard self.isReady else { return self.subscribe(context) }
        self.counted = self.drain.records
        self.countedBytes = self.drain.bytes
        self.fanOut.ready()
    }

    /// A few at a time: the server bounds how many it works on.
    private func subscribe(_ context: ChannelHandlerContext) {
        let end = min(self.channels.count, self.subscribed + 32)
        guard self.asked < end else { return }
        let lines = self.channels[self.asked..<end].map { #"{"id":1,"op":"subscribe","channel":"\#($0)"}"# }
        self.asked = end
        self.send(lines.joined(separator: "\n"), context)
    }

    private func send(_ text: String, _ context: ChannelHandlerContext) {
        Self.send(0x81, ByteBuffer(string: text), context)
    }

    /// Masked, as a client's frames must be; with zeros, which change nothing.
    static func send(_ opcode: UInt8, _ payload: ByteBuffer, _ context: ChannelHandlerContext) {
        var frame = ByteBuffer()
        frame.writeInteger(opcode)
        if payload.readableBytes < 126 {
            frame.writeInteger(0x80 | UInt8(payload.readableBytes))
        } else {
            frame.writeMultipleIntegers(0x80 | UInt8(126), UInt16(clamping: payload.readableBytes))
        }
        frame.writeInteger(UInt32(0))
        frame.writeImmutableBuffer(payload)
        context.writeAndFlush(Self.wrapOutboundOut(frame), promise: nil)
    }
}
