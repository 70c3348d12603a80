package import NIOCore

/// What a server sends over a WebSocket, as frames (RFC 6455), for a client that subscribes. Total: nothing that comes
/// can trap, and what is no frame of a server's is said.
package struct PushFrames: Sendable {
    package enum Frame: Hashable, Sendable {
        case text(ByteBuffer)
        case ping(ByteBuffer)
        case closed(UInt16)
    }

    package enum Fault: Error, Hashable, Sendable {
        case reserved
        case tooLong(UInt64)
        case opcode(UInt8)
    }

    /// The longest frame that is taken. A record has at most 16 MiB, and base64 makes a third more of it.
    package static let bytesMax: UInt64 = 64 << 20

    private var bytes = ByteBuffer()

    package init() {}

    package mutating func received(_ more: ByteBuffer) {
        self.bytes.discardReadBytes()
        self.bytes.writeImmutableBuffer(more)
    }

    /// Nil: more has to come first. Pongs, and text in pieces, are not sent by our servers.
    package mutating func next() throws(Fault) -> Frame? {
        var rest = self.bytes
        while let (first, second) = rest.readMultipleIntegers(as: (UInt8, UInt8).self) {
            guard first & 0xF0 == 0x80, second & 0x80 == 0 else { throw .reserved }
            let length: UInt64
            switch second {
            case 126:
                guard let long = rest.readInteger(as: UInt16.self) else { return nil }
                length = UInt64(long)
            case 127:
                guard let long = rest.readInteger(as: UInt64.self) else { return nil }
                length = long
            default: length = UInt64(second)
            }
            guard length <= Self.bytesMax else { throw .tooLong(length) }
            guard var payload = rest.readSlice(length: Int(length)) else { return nil }
            self.bytes = rest
            switch first & 0x0F {
            case 1: return .text(payload)
            case 8: return .closed(payload.readInteger(as: UInt16.self) ?? 1005)
            case 9: return .ping(payload)
            case 10: continue
            case let opcode: throw .opcode(opcode)
            }
        }
        return nil
    }

    /// A client's frame: masked, with zeros, which change nothing and need no randomness against a server of ours.
    package static func frame(_ opcode: UInt8, _ payload: ByteBuffer) -> ByteBuffer {
        var frame = ByteBuffer()
        frame.writeInteger(0x80 | opcode)
        if payload.readableBytes < 126 {
            frame.writeInteger(0x80 | UInt8(payload.readableBytes))
        } else if let length = UInt16(exactly: payload.readableBytes) {
            frame.writeMultipleIntegers(UInt8(0xFE), length)
        } else {
            frame.writeMultipleIntegers(UInt8(0xFF), UInt64(payload.readableBytes))
        }
        frame.writeInteger(UInt32(0))
        frame.writeImmutableBuffer(payload)
        return frame
    }
}
