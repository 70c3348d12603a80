import ApusCore
import NIOCore
package import WebFormats

/// What a request for an event stream asks for: `GET /v1/stream?channel=news&from=earliest`.
///
/// | field | means |
/// |---|---|
/// | `channel` | the channel, once |
/// | `from` | where to begin (``StartPoint``); `latest` without it |
/// | `last_event_id` | the id of the last event that was seen, for clients that can not send the header |
/// | `slow` | `skip` or `close` (``SlowReaderRule``) |
///
/// A browser that reconnects sends the id in `Last-Event-ID`, which counts more than the address it began with.
package struct EventStreamRequest: Hashable, Sendable {
    package let wish: ClientOperation.Subscribe

    package init(_ request: WebRequest, origins: OriginRules) throws(Problem) {
        guard request.method == "GET" else { throw Problem(.invalidRequest, "an event stream is read with GET") }
        guard origins.allow(request) else {
            throw Problem(.forbidden, "pages of this origin may not read here")
        }
        guard let query = request.query else { throw Problem(.invalidRequest, "the query is not UTF-8 in '%XX'") }
        let names = ["channel", "from", "last_event_id", "slow"]
        var fields: [String: String] = [:]
        for (name, value) in query {
            guard names.contains(name) else {
                throw Problem(.invalidRequest, "a stream has no '\(name)'", hint: names.joined(separator: ", "))
            }
            guard fields.updateValue(value, forKey: name) == nil else {
                throw Problem(
                    .invalidRequest, "'\(name)' stands twice",
                    hint: name == "channel" ? "several channels go over one WebSocket, /v1/ws" : nil)
            }
        }
        guard let name = fields["channel"] else {
            throw Problem(.invalidRequest, "'channel' says what to read", hint: "/v1/stream?channel=news")
        }
        let channel: EdgeChannel
        do throws(ChannelNameError) { channel = try EdgeChannel(name) } catch { throw Problem(error) }
        let rule = fields["slow"].map { SlowReaderRule(rawValue: $0) } ?? .skip
        guard let rule else { throw Problem(.invalidRequest, "'slow' is 'skip' or 'close'") }
        self.wish = ClientOperation.Subscribe(
            channel: channel, start: try Self.start(fields, request), credit: nil, whenSlow: rule)
    }

    private static func start(_ fields: [String: String], _ request: WebRequest) throws(Problem) -> StartPoint {
        let header = request.value(of: "last-event-id").flatMap { $0.isEmpty ? nil : $0 }
        if let id = header ?? fields["last_event_id"], !id.isEmpty {
            guard id.utf8.count <= Limits.cursorTextBytesMax.rawValue else {
                throw Problem(.invalidCursor, "an event's id has at most \(Limits.cursorTextBytesMax)")
            }
            return .cursors([ByteBuffer(string: id)])
        }
        guard let text = fields["from"] else { return .latest }
        guard text.utf8.count <= Limits.edgeStartBytesMax.rawValue, let start = StartPoint(text) else {
            throw Problem(.invalidRequest, "'from' is 'earliest', 'latest', an offset, '-100', or '@' and a time")
        }
        return start
    }
}
