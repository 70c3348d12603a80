import ApusCore
import NIOCore
import WebFormats

/// What an event stream has more when it is of several channels: its id, and which of them can not be had. Owner: the
/// connection.
final class EndpointStream {
    private let channelCount: Int
    var cursor: StreamCursor
    private var begun: Set<EdgeChannel> = []
    /// Channels that can not be had, while the request was not answered.
    private(set) var failures: [(channel: EdgeChannel, problem: Problem)] = []
    private var lacking: Set<EdgeChannel> = []

    init(_ request: EventStreamRequest) {
        let channels = request.wishes.map(\.channel)
        self.channelCount = channels.count
        self.cursor = StreamCursor(channels, brought: request.brought)
    }

    /// It is not known of all channels yet whether they can be had.
    var isUndecided: Bool { self.begun.count + self.lacking.count < self.channelCount }

    /// The channel begins; false: it began before, and goes on.
    func begins(_ channel: EdgeChannel, at cursor: SealedCursor) throws(Problem) -> Bool {
        guard !self.begun.contains(channel) else { return false }
        guard self.cursor.began(channel, at: cursor) else {
            throw Problem(.tooMany, "the channels of the stream have more partitions than an event's id can name")
        }
        self.begun.insert(channel)
        return true
    }

    /// A channel can not be had, before the request was answered. True: none of them can.
    func lacks(_ channel: EdgeChannel, _ problem: Problem) -> Bool {
        self.failures.append((channel, problem))
        self.lacking.insert(channel)
        return self.lacking.count == self.channelCount
    }

    /// A channel can not be had. False: it had begun, and the session tells of its end.
    func lacksNew(_ channel: EdgeChannel, _ problem: Problem) -> Bool {
        guard !self.begun.contains(channel) else { return false }
        self.lacking.insert(channel)
        return true
    }

    /// The failures, once: from here on there are events for them.
    func takeFailures() -> [(channel: EdgeChannel, problem: Problem)] {
        defer { self.failures = [] }
        return self.failures
    }

    /// A channel ended: where it stood is left out of the id where nobody could go on from there.
    func ended(_ channel: EdgeChannel, _ problem: Problem, into stream: inout ByteBuffer) {
        switch problem.code {
        case .topicNotFound, .cursorExpired, .invalidCursor:
            self.cursor.forget(channel)
            EventStream.write(id: self.cursor.text, into: &stream)
        default: break
        }
    }
}

extension EndpointConnection {
    /// It is answered when it is known whether a channel may be read.
    func ask(_ request: EventStreamRequest) {
        if request.wishes.count > 1 { self.several = EndpointStream(request) }
        for wish in request.wishes { self.run(self.session.subscribe(wish)) }
    }

    /// A channel begins, and with the first one the stream: from here on it is events.
    func streamBegins(_ channel: EdgeChannel, _ start: SubscriptionStart) throws(Problem) {
        guard let several = self.several else {
            if case .knocking = self.phase { self.openStream(channel, start, id: start.cursor.text) }
            return
        }
        guard try several.begins(channel, at: start.cursor) else { return }
        if case .open = self.phase {
            var event = ByteBuffer()
            EventStream.write(channel, start, id: several.cursor.text, into: &event)
            self.session.owes(.bytes(event.readableBytes))
            return self.write(event)
        }
        self.openStream(channel, start, id: several.cursor.text)
        for (channel, problem) in several.takeFailures() { self.tell(.ended(channel, problem)) }
    }

    private func openStream(_ channel: EdgeChannel, _ start: SubscriptionStart, id: ByteBuffer) {
        guard case .knocking = self.phase else { return }
        var head = ByteBuffer()
        head.writeString("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n")
        // Its length is not known, and nothing follows it. Proxies are told not to wait for more of it.
        head.writeString("X-Accel-Buffering: no\r\nConnection: close\r\n")
        self.writeOriginHeaders(into: &head)
        head.writeString("\r\n")
        let jitter = Int64(self.door.nextSpread % 1_000)
        EventStream.write(retryIn: Limits.edgeRetryWait + .milliseconds(jitter), into: &head)
        EventStream.write(channel, start, id: id, into: &head)
        self.phase = .open
        self.session.owes(.bytes(head.readableBytes))
        self.write(head)
        self.forgetRequest()
    }

    /// The id that a client of several channels does not have yet.
    func sweepStream() {
        guard let id = self.several?.cursor.swept(), case .open = self.phase else { return }
        var event = ByteBuffer()
        EventStream.write(id: id, into: &event)
        event.writeInteger(UInt8(0x0A))
        self.session.owes(.bytes(event.readableBytes))
        self.write(event)
    }
}
