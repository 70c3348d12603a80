import ApusCore
package import NIOCore
package import WebFormats

/// Server-sent events (WHATWG HTML, section 9.2), one event for each push or event of a WebSocket, with the same JSON.
///
///     id: AQAAAAAB…
///     data: {"channel":"news","records":[…],"cursor":"…"}
///
/// Pushes have no `event` line, so that a browser's `onmessage` gets them; `lagging` and the others have. An event
/// without `id` leaves the browser's last one as it is, which is what a step wants.
///
/// **Nothing in it can begin a line.** What we write is one line of JSON, in which line breaks are escaped or made
/// blanks, a cursor of letters and digits, a name of our own, or a number. And it is looked through once more where it
/// is written: a byte that ends a line becomes a blank.
package enum EventStream {
    package static func write(_ push: Push, into stream: inout ByteBuffer) {
        if let id = push.eventID { self.write(id: id, into: &stream) }
        self.write(data: push.body, into: &stream)
    }

    /// The id of the event that follows. Where a blank line follows instead, it is an event of its own that no page is
    /// told of, whose id counts all the same.
    package static func write(id: ByteBuffer, into stream: inout ByteBuffer) {
        stream.writeStaticString("id: ")
        self.write(line: id, into: &stream)
    }

    package static func write(_ event: EdgeEvent, into stream: inout ByteBuffer) {
        stream.writeStaticString("event: ")
        stream.writeStaticString(event.name)
        stream.writeInteger(UInt8(0x0A))
        var data = ByteBuffer()
        data.writeJSON(event)
        self.write(data: data, into: &stream)
    }

    /// The first event of a channel: it begins here, and this is what it does not give. With an id, so that a client
    /// that is cut off before anything came goes on from here.
    package static func write(
        _ channel: EdgeChannel, _ start: SubscriptionStart, id: ByteBuffer, into stream: inout ByteBuffer
    ) {
        stream.writeStaticString("event: subscribed\n")
        self.write(id: id, into: &stream)
        var data = ByteBuffer()
        data.writeStaticString("{\"channel\":")
        data.writeJSONString(channel.description)
        data.writeJSON(start.cursor)
        data.writeJSONMembers(start.gaps)
        data.writeInteger(UInt8(ascii: "}"))
        self.write(data: data, into: &stream)
    }

    /// How long the browser waits before it connects again, in whole milliseconds.
    package static func write(retryIn wait: Duration, into stream: inout ByteBuffer) {
        stream.writeStaticString("retry: ")
        stream.writeString(String(max(0, wait.wholeMilliseconds)))
        stream.writeStaticString("\n\n")
    }

    /// A comment, so that proxies see that the stream is alive.
    package static func writeKeepAlive(into stream: inout ByteBuffer) {
        stream.writeStaticString(":\n\n")
    }

    static func write(data: ByteBuffer, into stream: inout ByteBuffer) {
        stream.writeStaticString("data: ")
        self.write(line: data, into: &stream)
        stream.writeInteger(UInt8(0x0A))
    }

    static func write(line: ByteBuffer, into stream: inout ByteBuffer) {
        let start = stream.writerIndex
        stream.writeImmutableBuffer(line)
        let bytes = line.readableBytesUInt8Span
        for index in 0..<bytes.count where bytes[index] == 0x0A || bytes[index] == 0x0D || bytes[index] == 0 {
            stream.setInteger(UInt8(ascii: " "), at: start + index)
        }
        stream.writeInteger(UInt8(0x0A))
    }
}
