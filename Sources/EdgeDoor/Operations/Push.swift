import ApusCore
package import NIOCore

/// What subscribers of a channel are sent when it has records: encoded once, for all of them.
///
///     {"channel":"news","records":[…],"cursor":"…"}
///
/// Nothing in it is a client's: no id, no number that counts for one connection. So one buffer serves every socket of
/// the channel, and the same bytes are the data of a server-sent event. It is one line, whatever the records hold.
package struct Push: Sendable {
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
        self.body = body
        self.eventID = cursor.isStep ? nil : cursor.text
    }
}

/// A cursor with its seal: letters, digits, `-` and `_`.
package struct SealedCursor: Hashable, Sendable {
    package let text: ByteBuffer
    package let isStep: Bool

    package init(_ cursor: EdgeCursor, by seal: CursorSeal) {
        self.text = seal.text(of: cursor)
        self.isStep = if case .step = cursor { true } else { false }
    }
}

extension ByteBuffer {
    /// The records as an array.
    mutating func writeJSON(_ records: [EdgeRecord]) {
        self.writeInteger(UInt8(ascii: "["))
        for record in records {
            self.writeJSONComma()
            self.writeJSON(record)
        }
        self.writeInteger(UInt8(ascii: "]"))
    }

    /// The member that a cursor is.
    mutating func writeJSON(_ cursor: SealedCursor) {
        self.writeJSONName(cursor.isStep ? "step" : "cursor")
        self.writeInteger(UInt8(ascii: "\""))
        self.writeImmutableBuffer(cursor.text)
        self.writeInteger(UInt8(ascii: "\""))
    }
}
