package import NIOCore

/// Reads what an endpoint server pushes to one connection as it streams in, and keeps nothing of it but counts: a
/// record is known by one byte that stands once in each (``mark``), so that the load generator does not become what is
/// measured.
///
/// Only for servers that are trusted to speak the protocol; still, nothing that comes can trap.
package struct PushDrain {
    package enum Transport: String, Hashable, Sendable, CaseIterable {
        case webSocket = "ws"
        case eventStream = "sse"
    }

    package enum Found: Hashable, Sendable {
        /// The server's answer to the request.
        case status(Int)
        /// Anything that is no push: an answer, an event.
        case message(String)
        case ping(ByteBuffer)
        /// The server's last frame, with its code.
        case closed(Int)
    }

    package struct Malformed: Error {}

    /// Stands once in each record of the load, and nowhere else in what the server sends.
    package static let mark = UInt8(ascii: "~")
    /// The longest head of an answer, and the longest message that is no push, in bytes.
    private static let keptBytesMax = 64 * 1024

    private enum Step {
        case head
        /// A frame's header, or the start of a line.
        case start
        /// So many bytes of a frame are to come.
        case frame(Opcode, left: Int)
    }

    private enum Opcode: UInt8 {
        case text = 1
        case close = 8
        case ping = 9
        case pong = 10
    }

    package private(set) var records: Int64 = 0
    package private(set) var bytes: Int64 = 0

    private let transport: Transport
    private var step = Step.head
    /// A head, a header or a message, as far as it came.
    private var kept = ByteBuffer()
    /// The frame under way is a push: its bytes are looked at and forgotten.
    private var isPush = false

    package init(_ transport: Transport) { self.transport = transport }

    package mutating func feed(_ chunk: ByteBuffer, _ found: (Found) -> Void) throws(Malformed) {
        var chunk = chunk
        if case .head = self.step { try self.readHead(&chunk, found) }
        if case .head = self.step { return }
        self.bytes += Int64(chunk.readableBytes)
        switch self.transport {
        case .webSocket: while chunk.readableBytes > 0 { try self.readFrame(&chunk, found) }
        case .eventStream: try self.readLines(chunk, found)
        }
    }

    private mutating func keep(_ bytes: ByteBuffer) throws(Malformed) {
        guard self.kept.readableBytes + bytes.readableBytes <= Self.keptBytesMax else { throw Malformed() }
        self.kept.writeImmutableBuffer(bytes)
    }

    private mutating func count(_ bytes: ByteBuffer) {
        self.records += bytes.withUnsafeReadableBytes { bytes in
            var count: Int64 = 0
            for byte in bytes { count &+= byte == Self.mark ? 1 : 0 }
            return count
        }
    }

    // MARK: The answer to the request

    private mutating func readHead(_ chunk: inout ByteBuffer, _ found: (Found) -> Void) throws(Malformed) {
        // What follows the head may be long, and in the same piece.
        let room = Self.keptBytesMax - self.kept.readableBytes
        guard let part = chunk.readSlice(length: min(room, chunk.readableBytes)) else { throw Malformed() }
        self.kept.writeImmutableBuffer(part)
        let bytes = Array(self.kept.readableBytesView)
        guard let end = bytes.indices.first(where: { bytes[$0...].starts(with: "\r\n\r\n".utf8) }) else {
            if bytes.count >= Self.keptBytesMax { throw Malformed() }
            return
        }
        let line = String(decoding: bytes.prefix { $0 != 0x0D }, as: UTF8.self).split(separator: " ")
        guard line.count >= 2, line[0] == "HTTP/1.1", let status = Int(line[1]) else { throw Malformed() }
        self.kept.moveReaderIndex(forwardBy: end + 4)
        self.kept.writeImmutableBuffer(chunk)
        chunk = self.kept
        self.kept = ByteBuffer()
        self.step = .start
        found(.status(status))
    }

    // MARK: WebSocket frames (RFC 6455 section 5.2)

    private mutating func readFrame(_ chunk: inout ByteBuffer, _ found: (Found) -> Void) throws(Malformed) {
        guard case .frame(let opcode, let left) = self.step else { return try self.readHeader(&chunk, found) }
        // Three bytes first, by which it is known what it is.
        let wanted = self.isPush || self.kept.readableBytes >= 3 ? left : min(left, 3 - self.kept.readableBytes)
        guard let part = chunk.readSlice(length: min(wanted, chunk.readableBytes)) else { return }
        let more = left - part.readableBytes
        if self.isPush {
            self.count(part)
        } else {
            try self.keep(part)
            // `{"channel":…`; answers and events begin with another name.
            if opcode == .text, self.kept.getInteger(at: self.kept.readerIndex + 2) == UInt8(ascii: "c") {
                self.isPush = true
                self.count(self.kept)
                self.kept.clear()
            }
        }
        if more > 0 { self.step = .frame(opcode, left: more) } else { self.endFrame(opcode, found) }
    }

    private mutating func readHeader(_ chunk: inout ByteBuffer, _ found: (Found) -> Void) throws(Malformed) {
        // At most 10 bytes, which may come in pieces.
        while self.kept.readableBytes < 2 || self.kept.readableBytes < Self.headerLength(self.kept) {
            guard let byte = chunk.readSlice(length: 1) else { return }
            self.kept.writeImmutableBuffer(byte)
        }
        guard let first: UInt8 = self.kept.readInteger(), let second: UInt8 = self.kept.readInteger(),
            // Whole, with nothing reserved, and not masked: servers do not.
            first & 0xF0 == 0x80, second & 0x80 == 0, let opcode = Opcode(rawValue: first & 0x0F)
        else { throw Malformed() }
        let length: Int
        switch second {
        case 126: length = Int(self.kept.readInteger(as: UInt16.self) ?? 0)
        case 127:
            guard let long = self.kept.readInteger(as: UInt64.self).flatMap(Int.init(exactly:)) else {
                throw Malformed()
            }
            length = long
        default: length = Int(second)
        }
        self.kept.clear()
        self.isPush = false
        if length > 0 { self.step = .frame(opcode, left: length) } else { self.endFrame(opcode, found) }
    }

    /// - Parameter start: two bytes at least.
    private static func headerLength(_ start: ByteBuffer) -> Int {
        switch start.getInteger(at: start.readerIndex + 1, as: UInt8.self).map({ $0 & 0x7F }) {
        case 126: 4
        case 127: 10
        default: 2
        }
    }

    private mutating func endFrame(_ opcode: Opcode, _ found: (Found) -> Void) {
        self.step = .start
        guard !self.isPush else { return }
        let bytes = self.kept
        self.kept.clear()
        switch opcode {
        case .text: found(.message(String(buffer: bytes)))
        case .ping: found(.ping(bytes))
        case .pong: break
        case .close: found(.closed(Int(bytes.getInteger(at: bytes.readerIndex, as: UInt16.self) ?? 1005)))
        }
    }

    // MARK: Lines of an event stream

    private mutating func readLines(_ chunk: ByteBuffer, _ found: (Found) -> Void) throws(Malformed) {
        self.count(chunk)
        var rest = chunk
        while rest.readableBytes > 0 {
            let end = rest.readableBytesView.firstIndex(of: 0x0A)
            guard let part = rest.readSlice(length: end.map { $0 + 1 - rest.readerIndex } ?? rest.readableBytes) else {
                return
            }
            if self.isPush {
                // The line is no event's name, and is passed over to its end.
            } else {
                try self.keep(part.getSlice(at: part.readerIndex, length: min(part.readableBytes, 256)) ?? part)
                let isName = self.kept.readableBytesView.starts(with: "event:".utf8)
                self.isPush = self.kept.readableBytes >= 6 && !isName
                if end != nil, isName {
                    found(.message(String(buffer: self.kept).filter { $0 != "\n" }))
                    self.kept.clear()
                }
            }
            if self.isPush || end != nil { self.kept.clear() }
            if end != nil { self.isPush = false }
        }
    }
}

/// Finds the moments that records of a load carry as `"due":NANOSECONDS`, wherever reads cut them.
package struct DueReader {
    private static let name = Array("\"due\":".utf8)
    private var matched = 0
    private var value: UInt64?

    package init() {}

    package mutating func feed(_ chunk: ByteBuffer, _ found: (UInt64) -> Void) {
        chunk.withUnsafeReadableBytes { bytes in
            for byte in bytes {
                if let value = self.value {
                    if byte >= 0x30, byte <= 0x39 {
                        self.value = value &* 10 &+ UInt64(byte &- 0x30)
                        continue
                    }
                    found(value)
                    self.value = nil
                }
                if byte == Self.name[self.matched] {
                    self.matched += 1
                    if self.matched == Self.name.count {
                        self.matched = 0
                        self.value = 0
                    }
                } else {
                    self.matched = byte == Self.name[0] ? 1 : 0
                }
            }
        }
    }
}
