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
    private let json: ByteBuffer?
    private let cbor: ByteBuffer?
    /// The whole cursor behind the records, if the push carries one: the id of its server-sent event.
    package let eventID: ByteBuffer?

    /// - Parameters:
    ///   - records: in the order of their offsets; none where a client is only told where it stands.
    ///   - cursor: as ``CursorSeal`` writes it.
    ///   - formats: those that somebody wants it in.
    package init(
        _ channel: EdgeChannel, _ records: [EdgeRecord], _ cursor: SealedCursor, as formats: [WireFormat] = [.json]
    ) {
        self.channel = channel
        self.json = formats.contains(.json) ? Self.json(channel, records, cursor) : nil
        self.cbor = formats.contains(.cbor) ? Self.cbor(channel, records, cursor) : nil
        self.eventID = cursor.isStep ? nil : cursor.text
    }

    /// In JSON, which event streams have, too.
    package var body: ByteBuffer { self.body(in: .json) }

    /// - Parameter format: one of those that it was made in.
    package func body(in format: WireFormat) -> ByteBuffer {
        switch format {
        case .json: if let json = self.json { return json }
        case .cbor: if let cbor = self.cbor { return cbor }
        }
        preconditionFailure("a push that was not made in this format")
    }

    /// Whether it is the same bytes.
    package func isSame(as other: Push) -> Bool { self.json == other.json && self.cbor == other.cbor }

    /// In all its formats.
    package var byteCount: Int { (self.json?.readableBytes ?? 0) + (self.cbor?.readableBytes ?? 0) }

    private static func json(_ channel: EdgeChannel, _ records: [EdgeRecord], _ cursor: SealedCursor) -> ByteBuffer {
        var body = ByteBuffer()
        body.writeStaticString("{\"channel\":")
        body.writeJSONString(channel.description)
        body.writeJSONName("records")
        body.writeJSON(records)
        body.writeJSON(cursor)
        body.writeInteger(UInt8(ascii: "}"))
        return body
    }

    private static func cbor(_ channel: EdgeChannel, _ records: [EdgeRecord], _ cursor: SealedCursor) -> ByteBuffer {
        var body = ByteBuffer()
        body.writeCBORMap(3)
        body.writeCBORName("channel")
        body.writeCBORText(channel.description)
        body.writeCBORName("records")
        body.writeCBOR(records)
        body.writeCBORName(cursor.isStep ? "step" : "cursor")
        body.writeCBORText(utf8: cursor.text)
        return body
    }
}
