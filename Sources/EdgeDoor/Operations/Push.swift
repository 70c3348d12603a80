import ApusCore
package import NIOCore
package import WebFormats

/// What subscribers of a channel are sent when it has records: encoded once, for all of them.
///
///     {"channel":"news","records":[…],"cursor":"…"}
///
/// Nothing in it is a client's: no id, no number that counts for one connection. So one buffer serves every socket of
/// the channel, and the same bytes are the data of a server-sent event. It is one line, whatever the records hold.
package struct Push: Sendable {
    package let channel: EdgeChannel
    package let body: ByteBuffer
    /// The whole cursor behind the records, if the push carries one: the id of its server-sent event.
    package let eventID: ByteBuffer?

    /// - Parameters:
    ///   - records: one at least, in the order of their offsets.
    ///   - cursor: as ``CursorSeal`` writes it.
    package init(_ channel: EdgeChannel, _ records: [EdgeRecord], _ cursor: SealedCursor) {
        var body = ByteBuffer()
        body.writeStaticString("{\"channel\":")
        body.writeJSONString(channel.description)
        body.writeJSONName("records")
        body.writeJSON(records)
        body.writeJSON(cursor)
        body.writeInteger(UInt8(ascii: "}"))
        self.channel = channel
        self.body = body
        self.eventID = cursor.isStep ? nil : cursor.text
    }
}
