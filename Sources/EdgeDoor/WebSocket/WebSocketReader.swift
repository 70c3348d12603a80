package import NIOCore
import ApusCore
import WebFormats

/// Reads what a WebSocket client sends (RFC 6455 section 5): frames into messages, and what is between them.
///
/// Payload is unmasked as it comes and kept once, in the message that it belongs to; so what a client that stops in the
/// middle holds is bounded by a message, and a length alone takes no memory. Whatever comes, it ends in an event, in
/// waiting for more, or in a fault, after which nothing more is read.
///
/// Owner: the connection.
package struct WebSocketReader: Sendable {
    package enum Event: Hashable, Sendable {
        /// A whole message, in however many pieces it came. A text is UTF-8.
        case message(ByteBuffer)
        case ping(ByteBuffer)
        case pong
        /// With the code that the client gave, or none.
        case close(UInt16?)
    }

    private struct Head {
        var isFinal: Bool
        var opcode: UInt8
        var length: Int
        var mask: UInt32
        var isControl: Bool { self.opcode & 0x8 != 0 }
    }

    private enum State {
        case head
        /// So many bytes of the payload have come.
        case payload(Head, taken: Int)
    }

    /// Messages may be compressed, each by itself (RFC 7692).
    package var mayInflate = false
    /// The message that is coming is.
    private var isDeflated = false
    /// What messages are.
    package var format = WireFormat.json
    private var state = State.head
    /// The beginning of a head, or what came behind an event that was not asked for yet.
    private var rest = ByteBuffer()
    private var message = ByteBuffer()
    private var fragments = 0
    /// So many bytes of the message are whole characters.
    private var checked = 0
    private var control = ByteBuffer()

    package init() {}

    /// What is kept of messages that are not whole.
    package var byteCount: Int {
        self.rest.readableBytes + self.message.readableBytes + self.control.readableBytes
    }

    /// It is between two messages, and keeps nothing: a new one would do as well.
    package var isIdle: Bool {
        guard case .head = self.state else { return false }
        return self.fragments == 0 && self.byteCount == 0
    }

    package mutating func received(_ bytes: ByteBuffer) {
        if self.rest.readableBytes == 0 {
            self.rest = bytes
        } else {
            self.rest.writeImmutableBuffer(bytes)
        }
    }

    /// The next event; nil when more has to come first.
    package mutating func next() throws(WebSocketFault) -> Event? {
        while true {
            switch self.state {
            case .head:
                guard let head = try self.readHead() else {
                    // What is left of a head is a few bytes: let the buffer go that they came in.
                    self.rest = self.rest.readableBytes == 0 ? ByteBuffer() : ByteBuffer(buffer: self.rest)
                    return nil
                }
                try self.begin(head)
                self.state = .payload(head, taken: 0)
            case .payload(let head, let taken):
                let count = min(head.length - taken, self.rest.readableBytes)
                if let piece = self.rest.readSlice(length: count), count > 0 {
                    if head.isControl {
                        Self.unmask(piece, head.mask, at: taken, into: &self.control)
                    } else {
                        Self.unmask(piece, head.mask, at: taken, into: &self.message)
                        try self.checkText()
                    }
                }
                guard taken + count == head.length else {
                    self.state = .payload(head, taken: taken + count)
                    self.rest = ByteBuffer()
                    return nil
                }
                self.state = .head
                if let event = try self.end(head) { return event }
            }
        }
    }

    /// A text is UTF-8 as far as it came, but for a character that is not whole yet: what can not become one any more
    /// is not waited for.
    private mutating func checkText() throws(WebSocketFault) {
        guard self.format == .json, !self.isDeflated else { return }
        guard let place = UTF8Text.end(in: self.message, from: self.checked) else { throw .notUTF8 }
        self.checked = place
    }

    private mutating func readHead() throws(WebSocketFault) -> Head? {
        var bytes = self.rest
        guard let (first, second) = bytes.readMultipleIntegers(as: (UInt8, UInt8).self) else { return nil }
        // As soon as it is there: who begins wrong is not waited for.
        let opcode = first & 0x0F
        // The first bit says that a message is compressed: at its beginning, and nowhere else.
        let isMessage = opcode == 0x1 || opcode == 0x2
        guard first & (self.mayInflate && isMessage ? 0x30 : 0x70) == 0 else { throw .reservedBits }
        let isFinal = first & 0x80 != 0
        guard [0x0, 0x1, 0x2, 0x8, 0x9, 0xA].contains(opcode) else { throw .unknownOpcode(opcode) }
        guard second & 0x80 != 0 else { throw .notMasked }
        if opcode & 0x8 != 0, !isFinal || second & 0x7F > 125 { throw .controlFrame }
        let length: UInt64
        switch second & 0x7F {
        case 126:
            guard let word = bytes.readInteger(as: UInt16.self) else { return nil }
            length = UInt64(word)
        case 127:
            guard let word = bytes.readInteger(as: UInt64.self) else { return nil }
            guard word >> 63 == 0 else { throw .length }
            length = word
        case let short: length = UInt64(short)
        }
        guard length <= UInt64(Limits.edgeMessageBytesMax.rawValue) else { throw .tooLarge }
        guard let mask = bytes.readInteger(as: UInt32.self) else { return nil }
        self.rest = bytes
        if isMessage, self.fragments == 0 { self.isDeflated = first & 0x40 != 0 }
        return Head(isFinal: isFinal, opcode: opcode, length: Int(length), mask: mask)
    }

    private mutating func begin(_ head: Head) throws(WebSocketFault) {
        switch head.opcode {
        case 0x0: guard self.fragments > 0 else { throw .continuation }
        case 0x1, 0x2:
            guard self.fragments == 0 else { throw .continuation }
            guard head.opcode == self.format.opcode.rawValue else { throw .kind(self.format) }
            self.checked = 0
        default: return
        }
        self.fragments += 1
        guard self.fragments <= Limits.edgeFragmentsPerMessageMax,
            self.message.readableBytes + head.length <= Limits.edgeMessageBytesMax.rawValue
        else { throw .tooLarge }
    }

    private mutating func end(_ head: Head) throws(WebSocketFault) -> Event? {
        guard head.isControl else {
            guard head.isFinal else { return nil }
            var message = self.message
            (self.message, self.fragments) = (ByteBuffer(), 0)
            if self.isDeflated {
                message = try MessageDeflate.inflated(message)
                guard self.format != .json || UTF8Text.holds(message) else { throw .notUTF8 }
                return .message(message)
            }
            guard self.format != .json || self.checked == message.readableBytes else { throw .notUTF8 }
            return .message(message)
        }
        var payload = self.control
        self.control = ByteBuffer()
        switch head.opcode {
        case 0x9: return .ping(payload)
        case 0xA: return .pong
        default:
            guard payload.readableBytes > 0 else { return .close(nil) }
            guard let code = payload.readInteger(as: UInt16.self), Self.maySend(code) else { throw .closeCode }
            guard UTF8Text.holds(payload) else { throw .notUTF8 }
            return .close(code)
        }
    }

    /// RFC 6455 section 7.4 and the registry of IANA.
    private static func maySend(_ code: UInt16) -> Bool {
        switch code {
        case 1000...1003, 1007...1014, 3000...4999: true
        default: false
        }
    }

    /// Appends the bytes, unmasked; `place` is that of the first one in its frame's payload.
    private static func unmask(_ piece: ByteBuffer, _ mask: UInt32, at place: Int, into target: inout ByteBuffer) {
        var index = target.writerIndex
        target.writeImmutableBuffer(piece)
        let end = target.writerIndex
        let shift = UInt32(place % 4 * 8)
        let turned = shift == 0 ? mask : mask << shift | mask >> (32 - shift)
        let word = UInt64(turned) << 32 | UInt64(turned)
        while end - index >= 8, let bytes = target.getInteger(at: index, as: UInt64.self) {
            target.setInteger(bytes ^ word, at: index)
            index += 8
        }
        var left = word
        while index < end, let byte = target.getInteger(at: index, as: UInt8.self) {
            target.setInteger(byte ^ UInt8(truncatingIfNeeded: left >> 56), at: index)
            left <<= 8
            index += 1
        }
    }
}
