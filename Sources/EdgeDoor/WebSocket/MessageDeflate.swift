import ApusCore
import CZlib
package import NIOCore

/// permessage-deflate (RFC 7692) in the form that shares: neither side keeps a window from one message to the next, so
/// what is compressed once is right for every socket, and no connection has a window of its own.
///
/// A message is one run of DEFLATE (RFC 1951), ended by an empty block whose last four bytes, 00 00 FF FF, are left out
/// on the wire (section 7.2.1).
package enum MessageDeflate {
    /// 15: the largest window. Below zero: DEFLATE itself, without zlib's head and sum.
    private static let windowBits: Int32 = -15
    private static let tail: [UInt8] = [0x00, 0x00, 0xFF, 0xFF]

    /// The message as it goes over the wire; nil when that would not be shorter.
    package static func deflated(_ message: ByteBuffer) -> ByteBuffer? {
        guard message.readableBytes >= Limits.edgeDeflatedBytesMin.rawValue,
            let length = UInt32(exactly: message.readableBytes)
        else { return nil }
        // On the heap, because zlib keeps the stream's address.
        let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
        defer { stream.deallocate() }
        stream.initialize(to: z_stream())
        // Level 1 takes half the time of 6 and leaves a tenth more: these are messages of some hundred bytes.
        let started = deflateInit2_(
            stream, 1, Z_DEFLATED, self.windowBits, 8, Z_DEFAULT_STRATEGY, zlibVersion(),
            Int32(MemoryLayout<z_stream>.size))
        guard started == Z_OK else { return nil }
        defer { deflateEnd(stream) }
        var output = ByteBuffer()
        // One byte less than it is now: what needs more is not worth it. The tail is cut off again.
        let room = message.readableBytes - 1 + self.tail.count
        var isWhole = false
        output.writeWithUnsafeMutableBytes(minimumWritableBytes: room) { target in
            message.withUnsafeReadableBytes { bytes in
                stream.pointee.next_in = UnsafeMutablePointer(
                    mutating: bytes.assumingMemoryBound(to: UInt8.self).baseAddress)
                stream.pointee.avail_in = length
                stream.pointee.next_out = target.assumingMemoryBound(to: UInt8.self).baseAddress
                stream.pointee.avail_out = UInt32(clamping: room)
                isWhole = deflate(stream, Z_SYNC_FLUSH) == Z_OK && stream.pointee.avail_in == 0
                isWhole = isWhole && stream.pointee.avail_out > 0
                return room - Int(stream.pointee.avail_out)
            }
        }
        let end = output.readableBytes - self.tail.count
        guard isWhole, end > 0, output.getBytes(at: output.readerIndex + end, length: self.tail.count) == self.tail
        else { return nil }
        return output.getSlice(at: output.readerIndex, length: end)
    }

    /// A message as it was. What comes out is bounded however little goes in.
    /// - Throws: `.deflate` for what is no DEFLATE, `.tooLarge` beyond ``Limits/edgeMessageBytesMax``.
    package static func inflated(_ wire: ByteBuffer) throws(WebSocketFault) -> ByteBuffer {
        var input = wire
        input.writeBytes(self.tail)
        let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
        defer { stream.deallocate() }
        stream.initialize(to: z_stream())
        guard inflateInit2_(stream, self.windowBits, zlibVersion(), Int32(MemoryLayout<z_stream>.size)) == Z_OK else {
            throw .tooLarge
        }
        defer { inflateEnd(stream) }
        var output = ByteBuffer()
        while true {
            let left = Limits.edgeMessageBytesMax.rawValue - output.readableBytes
            // One byte more than there may be tells that there is more. Never four times what came at once.
            let room = min(left + 1, max(1024, input.readableBytes * 4))
            let (status, consumed, written) = self.step(stream, input, room, into: &output)
            input.moveReaderIndex(forwardBy: consumed)
            guard output.readableBytes <= Limits.edgeMessageBytesMax.rawValue else { throw .tooLarge }
            switch status {
            // A final block may end it; the empty one that the tail belongs to follows, and nothing else.
            case Z_STREAM_END:
                guard input.readableBytes <= self.tail.count + 1 else { throw .deflate }
                return output
            case Z_OK, Z_BUF_ERROR:
                if input.readableBytes == 0 {
                    // It has to end where a block does. zlib tells of that once: not again when it is asked for more.
                    if stream.pointee.data_type & 128 != 0 { return output }
                    guard written == room else { throw .deflate }
                }
                guard consumed > 0 || written > 0 else { throw .deflate }
            default: throw .deflate
            }
        }
    }

    private static func step(
        _ stream: UnsafeMutablePointer<z_stream>, _ input: ByteBuffer, _ room: Int, into output: inout ByteBuffer
    ) -> (status: Int32, consumed: Int, written: Int) {
        var (status, consumed) = (Z_OK, 0)
        let written = output.writeWithUnsafeMutableBytes(minimumWritableBytes: room) { target in
            input.withUnsafeReadableBytes { bytes in
                let offered = UInt32(clamping: bytes.count)
                stream.pointee.next_in = UnsafeMutablePointer(
                    mutating: bytes.assumingMemoryBound(to: UInt8.self).baseAddress)
                stream.pointee.avail_in = offered
                stream.pointee.next_out = target.assumingMemoryBound(to: UInt8.self).baseAddress
                stream.pointee.avail_out = UInt32(clamping: room)
                status = inflate(stream, Z_SYNC_FLUSH)
                consumed = Int(offered - stream.pointee.avail_in)
                return room - Int(stream.pointee.avail_out)
            }
        }
        return (status, consumed, written)
    }
}

extension MessageDeflate {
    /// The answer to what a client offers in `Sec-WebSocket-Extensions`; nil: nothing of it is taken.
    ///
    /// The first offer that can be kept is taken (section 5.1). A window that is smaller than zlib's, asked of us, can
    /// not; one that the client asks for itself costs nothing.
    package static func answer(to offers: [String]) -> String? {
        for offer in offers {
            let parts = offer.split(separator: ";", omittingEmptySubsequences: false).map { WebRequest.trimmed($0) }
            guard parts.first?.lowercased() == "permessage-deflate" else { continue }
            var seen: Set<String> = []
            var answer = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
            var isKept = true
            for part in parts.dropFirst() {
                let halves = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                let name = WebRequest.trimmed(halves[0]).lowercased()
                let value = halves.count == 2 ? self.unquoted(WebRequest.trimmed(halves[1])) : nil
                isKept = isKept && seen.insert(name).inserted && self.keeps(name, value)
                if name == "server_max_window_bits" { answer += "; server_max_window_bits=15" }
            }
            if isKept { return answer }
        }
        return nil
    }

    private static func keeps(_ name: String, _ value: String?) -> Bool {
        switch (name, value) {
        case ("server_no_context_takeover", nil), ("client_no_context_takeover", nil), ("client_max_window_bits", nil):
            true
        case ("client_max_window_bits", let bits?): (8...15).map { String($0) }.contains(bits)
        case ("server_max_window_bits", let bits?): bits == "15"
        default: false
        }
    }

    private static func unquoted(_ value: String) -> String {
        value.count >= 2 && value.hasPrefix("\"") && value.hasSuffix("\"")
            ? String(value.dropFirst().dropLast()) : value
    }
}
