package import NIOCore

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
    /// The member that a cursor is.
    package mutating func writeJSON(_ cursor: SealedCursor) {
        self.writeJSONName(cursor.isStep ? "step" : "cursor")
        self.writeInteger(UInt8(ascii: "\""))
        self.writeImmutableBuffer(cursor.text)
        self.writeInteger(UInt8(ascii: "\""))
    }
}
