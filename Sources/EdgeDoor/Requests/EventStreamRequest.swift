import ApusCore
package import NIOCore
package import WebFormats

/// What a request for an event stream asks for: `GET /v1/stream?channel=news&channel=chat/room-*&from=earliest`.
///
/// | field | means |
/// |---|---|
/// | `channel` | a channel; up to ``Limits/edgeChannelsPerStreamMax`` of them, each once |
/// | `from` | where to begin (``StartPoint``); `latest` without it |
/// | `last_event_id` | the id of the last event that was seen, for clients that can not send the header |
/// | `ticket` | who reads: looked at before this (``TicketTaker``) |
/// | `slow` | `skip` or `close` (``SlowReaderRule``) |
///
/// A browser that reconnects sends the id in `Last-Event-ID`, which counts more than the address it began with. The id
/// of a stream of one channel is a cursor, that of several a ``StreamCursor``.
package struct EventStreamRequest: Hashable, Sendable {
    /// One for each channel, in the order of the request.
    package let wishes: [ClientOperation.Subscribe]
    /// What a ``StreamCursor`` that came with the request says, by the channels' tags.
    package let brought: [String: ByteBuffer]

    package init(_ request: WebRequest, origins: OriginRules) throws(Problem) {
        guard request.method == "GET" else { throw Problem(.invalidRequest, "an event stream is read with GET") }
        guard origins.allow(request) else {
            throw Problem(.forbidden, "pages of this origin may not read here")
        }
        guard let query = request.query else { throw Problem(.invalidRequest, "the query is not UTF-8 in '%XX'") }
        let names = ["channel", "from", "last_event_id", "slow", "ticket"]
        var fields: [String: String] = [:]
        var channels: [EdgeChannel] = []
        for (name, value) in query {
            guard names.contains(name) else {
                throw Problem(.invalidRequest, "a stream has no '\(name)'", hint: names.joined(separator: ", "))
            }
            if name == "channel" {
                try Self.add(value, to: &channels)
            } else if fields.updateValue(value, forKey: name) != nil {
                throw Problem(.invalidRequest, "'\(name)' stands twice")
            }
        }
        guard !channels.isEmpty else {
            throw Problem(.invalidRequest, "'channel' says what to read", hint: "/v1/stream?channel=news")
        }
        let rule = fields["slow"].map { SlowReaderRule(rawValue: $0) } ?? .skip
        guard let rule else { throw Problem(.invalidRequest, "'slow' is 'skip' or 'close'") }
        let start = try Self.start(fields)
        let header = request.value(of: "last-event-id").flatMap { $0.isEmpty ? nil : $0 }
        let id = header ?? fields["last_event_id"].flatMap { $0.isEmpty ? nil : $0 }
        var (single, brought): (ByteBuffer?, [String: ByteBuffer]) = (nil, [:])
        if let id {
            if channels.count == 1 {
                single = try Self.cursor(in: id)
            } else {
                brought = try StreamCursor.cursors(in: id)
            }
        }
        self.brought = brought
        self.wishes = channels.map { channel in
            let cursor = single ?? brought[StreamCursor.tag(of: channel)]
            return ClientOperation.Subscribe(
                channel: channel, start: cursor.map { .cursors([$0]) } ?? start, credit: nil, whenSlow: rule)
        }
    }

    private static func add(_ name: String, to channels: inout [EdgeChannel]) throws(Problem) {
        let channel: EdgeChannel
        do throws(ChannelNameError) { channel = try EdgeChannel(name) } catch { throw Problem(error) }
        guard !channels.contains(channel) else { throw Problem(.invalidRequest, "'\(channel)' stands twice") }
        guard channels.count < Limits.edgeChannelsPerStreamMax else {
            throw Problem(
                .tooMany, "a stream has at most \(Limits.edgeChannelsPerStreamMax) channels",
                hint: "a WebSocket, /v1/ws, has \(Limits.edgeChannelsPerConnectionMax)")
        }
        channels.append(channel)
    }

    private static func cursor(in id: String) throws(Problem) -> ByteBuffer {
        guard id.utf8.count <= Limits.cursorTextBytesMax.rawValue else {
            throw Problem(.invalidCursor, "an event's id has at most \(Limits.cursorTextBytesMax)")
        }
        return ByteBuffer(string: id)
    }

    private static func start(_ fields: [String: String]) throws(Problem) -> StartPoint {
        guard let text = fields["from"] else { return .latest }
        guard text.utf8.count <= Limits.edgeStartBytesMax.rawValue, let start = StartPoint(text) else {
            throw Problem(.invalidRequest, "'from' is 'earliest', 'latest', an offset, '-100', or '@' and a time")
        }
        return start
    }
}
