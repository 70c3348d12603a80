/// What a client did that WebSocket does not allow, or that is more than we take. The connection ends with it.
package enum WebSocketFault: Error, Hashable, Sendable {
    /// A reserved bit, without an extension that would mean something by it.
    case reservedBits
    case unknownOpcode(UInt8)
    /// Clients mask what they send (RFC 6455 section 5.1).
    case notMasked
    /// A control frame in pieces, or longer than 125 bytes.
    case controlFrame
    /// A length of 64 bits with the highest one set.
    case length
    /// A piece of a message that was not begun, or a message inside another.
    case continuation
    /// A close frame of one byte, or with a code that may not be sent.
    case closeCode
    case notUTF8
    /// What is said to be compressed is not.
    case deflate
    /// A message longer than ``Limits/edgeMessageBytesMax``, or in more than ``Limits/edgeFragmentsPerMessageMax``
    /// pieces.
    case tooLarge
    /// A binary message where the subprotocol is text, or text where it is binary.
    case kind(WireFormat)

    /// The code to close with (RFC 6455 section 7.4.1).
    package var closeCode: UInt16 {
        switch self {
        case .reservedBits, .unknownOpcode, .notMasked, .controlFrame, .length, .continuation, .closeCode: 1002
        case .kind: 1003
        case .notUTF8, .deflate: 1007
        case .tooLarge: 1009
        }
    }

    /// For people, and the close frame's reason: at most 123 bytes.
    package var text: String {
        switch self {
        case .reservedBits: "a reserved bit is set"
        case .unknownOpcode(let code): "there is no opcode \(code)"
        case .notMasked: "a client masks what it sends"
        case .controlFrame: "a control frame is whole and has at most 125 bytes"
        case .length: "a length has at most 63 bits"
        case .continuation: "a message is inside another, or goes on that was not begun"
        case .closeCode: "no such close code"
        case .notUTF8: "text is UTF-8"
        case .deflate: "the message is not compressed as it says"
        case .tooLarge: "the message is too large, or in too many pieces"
        case .kind(.json): "apus.v1.json is text"
        case .kind(.cbor): "apus.v1.cbor is binary"
        }
    }
}
