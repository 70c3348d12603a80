import ApusCore
package import NIOCore
package import WebFormats

/// What an edge client is told without having asked.
package enum EdgeEvent: Hashable, Sendable {
    /// The client did not keep up: these records were left out, and the newest follow. The cursor stands in front of
    /// them; it is whole, for later steps may count from one that the client was not given.
    case lagging(EdgeChannel, [MissedRange], SealedCursor)
    /// Retention passed a client that was catching up: these records are gone, and what is behind them follows.
    case gone(EdgeChannel, [MissedRange])
    /// A subscription ended, and why: the right to it was taken away, or its topic was deleted.
    case ended(EdgeChannel, Problem)
    /// This node is about to stop: connect again, elsewhere, after so long.
    case moved(retryIn: Duration)
    /// The last word before the connection is closed.
    case bye(CloseReason)
}

/// Why we close a connection. The numbers are WebSocket close codes (RFC 6455 section 7.4.2, private use): with those
/// from 4000 to 4499 connecting again as before is of no use; with those from 4500 to 4999 the client waits a little,
/// connects again and resumes with its cursors.
package enum CloseReason: UInt16, CaseIterable, Hashable, Sendable {
    case invalidMessage = 4000
    case notConnected = 4001
    case unauthenticated = 4002
    case revoked = 4003
    case disconnected = 4004
    case tooSlow = 4500
    case shuttingDown = 4501
    case idle = 4502
    case overloaded = 4503

    package var mayReconnect: Bool { self.rawValue >= 4500 }

    /// One word for programs that look at no numbers.
    package var word: StaticString {
        switch self {
        case .invalidMessage: "invalid_message"
        case .notConnected: "not_connected"
        case .unauthenticated: "unauthenticated"
        case .revoked: "revoked"
        case .disconnected: "disconnected"
        case .tooSlow: "too_slow"
        case .shuttingDown: "shutting_down"
        case .idle: "idle"
        case .overloaded: "overloaded"
        }
    }
}

extension EdgeEvent {
    /// The names of all events.
    static let names = ["lagging", "gone", "ended", "moved", "bye"]

    /// The event's name, in `event` and in a server-sent event's type.
    package var name: StaticString {
        switch self {
        case .lagging: "lagging"
        case .gone: "gone"
        case .ended: "ended"
        case .moved: "moved"
        case .bye: "bye"
        }
    }
}

extension ByteBuffer {
    /// The event as a JSON object, in one line.
    package mutating func writeJSON(_ event: EdgeEvent) {
        self.writeStaticString("{\"event\":\"")
        self.writeStaticString(event.name)
        self.writeInteger(UInt8(ascii: "\""))
        switch event {
        case .lagging(let channel, let missed, let cursor):
            self.writeJSONName("channel")
            self.writeJSONString(channel.description)
            self.writeJSONName("missing")
            self.writeJSON(missed)
            self.writeJSON(cursor)
        case .gone(let channel, let missing):
            self.writeJSONName("channel")
            self.writeJSONString(channel.description)
            self.writeJSONName("missing")
            self.writeJSON(missing)
        case .ended(let channel, let problem):
            self.writeJSONName("channel")
            self.writeJSONString(channel.description)
            self.writeJSONName("error")
            self.writeJSON(problem)
        case .moved(let wait):
            self.writeJSONName("retry_in")
            self.writeJSONInteger(wait.wholeMilliseconds)
        case .bye(let reason):
            self.writeJSONName("code")
            self.writeJSONInteger(reason.rawValue)
            self.writeJSONName("reason")
            self.writeInteger(UInt8(ascii: "\""))
            self.writeStaticString(reason.word)
            self.writeInteger(UInt8(ascii: "\""))
            self.writeJSONName("reconnect")
            self.writeString(reason.mayReconnect ? "true" : "false")
        }
        self.writeInteger(UInt8(ascii: "}"))
    }
}
