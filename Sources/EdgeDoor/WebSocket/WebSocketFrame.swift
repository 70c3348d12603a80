package import NIOCore

/// Frames as a server writes them: whole and unmasked (RFC 6455 section 5.2), so the same bytes serve every socket.
package enum WebSocketFrame {
    package enum Opcode: UInt8, Sendable {
        case text = 0x1
        case binary = 0x2
        case close = 0x8
        case ping = 0x9
        case pong = 0xA
    }

    /// One whole frame with a copy of the payload.
    /// - Parameter isDeflated: the payload is compressed (RFC 7692), and its frame says so.
    package static func of(_ opcode: Opcode, _ payload: ByteBuffer, isDeflated: Bool = false) -> ByteBuffer {
        var frame = ByteBuffer()
        frame.reserveCapacity(payload.readableBytes + 10)
        frame.writeInteger(0x80 | (isDeflated ? 0x40 : 0) | opcode.rawValue)
        let length = payload.readableBytes
        if length <= 125 {
            frame.writeInteger(UInt8(truncatingIfNeeded: length))
        } else if length <= Int(UInt16.max) {
            frame.writeInteger(UInt8(126))
            frame.writeInteger(UInt16(truncatingIfNeeded: length))
        } else {
            frame.writeInteger(UInt8(127))
            frame.writeInteger(UInt64(length))
        }
        frame.writeImmutableBuffer(payload)
        return frame
    }

    /// - Parameter reason: at most 123 bytes; what is longer is left out.
    package static func close(_ code: UInt16, _ reason: String = "") -> ByteBuffer {
        var payload = ByteBuffer()
        payload.writeInteger(code)
        if reason.utf8.count <= 123 { payload.writeString(reason) }
        return self.of(.close, payload)
    }
}
