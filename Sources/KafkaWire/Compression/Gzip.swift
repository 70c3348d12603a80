import CZlib
import NIOCore

/// RFC 1952 through zlib.
enum Gzip {
    /// 15: the largest window. 16 more: a gzip header, not zlib's.
    private static let windowBits: Int32 = 15 + 16

    static func decompress(_ input: ByteBuffer, into output: inout CappedOutput) throws(WireError) {
        // On the heap, because zlib keeps the stream's address.
        let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
        defer { stream.deallocate() }
        stream.initialize(to: z_stream())
        let started = inflateInit2_(
            stream, self.windowBits, zlibVersion(), Int32(MemoryLayout<z_stream>.size)
        )
        guard started == Z_OK else { throw output.corrupt }
        defer { inflateEnd(stream) }

        var rest = input
        while rest.readableBytes > 0 {
            let (status, consumed, written) = try output.step { room in
                let (status, consumed, written) = self.inflateStep(stream, rest, room)
                return (written, (status, consumed, written))
            }
            rest.moveReaderIndex(forwardBy: consumed)
            switch status {
            case Z_STREAM_END:
                // Another member may follow, as `cat a.gz b.gz` makes; anything else fails on its magic number.
                guard inflateReset(stream) == Z_OK else { throw output.corrupt }
                if rest.readableBytes == 0 { return }
            case Z_OK where consumed > 0 || written > 0:
                continue
            case Z_BUF_ERROR where written > 0:
                continue
            default:
                throw output.corrupt
            }
        }
        // What was read is all there is, yet the stream may hold back output for which there was no room.
        try self.drain(stream, into: &output)
    }

    private static func drain(
        _ stream: UnsafeMutablePointer<z_stream>, into output: inout CappedOutput
    ) throws(WireError) {
        while true {
            let (status, written) = try output.step { room in
                let (status, _, written) = self.inflateStep(stream, ByteBuffer(), room)
                return (written, (status, written))
            }
            if status == Z_STREAM_END { return }
            guard status == Z_OK || status == Z_BUF_ERROR, written > 0 else { throw output.corrupt }
        }
    }

    private static func inflateStep(
        _ stream: UnsafeMutablePointer<z_stream>, _ input: ByteBuffer, _ room: UnsafeMutableRawBufferPointer
    ) -> (status: Int32, consumed: Int, written: Int) {
        input.withUnsafeReadableBytes { bytes in
            let offered = UInt32(clamping: bytes.count)
            let output = room.assumingMemoryBound(to: UInt8.self)
            stream.pointee.next_in = UnsafeMutablePointer(
                mutating: bytes.assumingMemoryBound(to: UInt8.self).baseAddress)
            stream.pointee.avail_in = offered
            stream.pointee.next_out = output.baseAddress
            stream.pointee.avail_out = UInt32(clamping: output.count)
            let status = inflate(stream, Z_NO_FLUSH)
            return (
                status, Int(offered - stream.pointee.avail_in),
                Int(UInt32(clamping: output.count) - stream.pointee.avail_out)
            )
        }
    }

    static func compress(_ input: ByteBuffer, into output: inout ByteBuffer) {
        let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
        defer { stream.deallocate() }
        stream.initialize(to: z_stream())
        let started = deflateInit2_(
            stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, self.windowBits, 8, Z_DEFAULT_STRATEGY, zlibVersion(),
            Int32(MemoryLayout<z_stream>.size)
        )
        precondition(started == Z_OK, "zlib is out of memory")
        defer { deflateEnd(stream) }
        let bound = Int(deflateBound(stream, UInt(input.readableBytes)))
        precondition(bound <= Int(UInt32.max), "a batch is shorter than 2 GiB")
        output.writeWithUnsafeMutableBytes(minimumWritableBytes: bound) { room in
            input.withUnsafeReadableBytes { bytes in
                let out = room.assumingMemoryBound(to: UInt8.self)
                stream.pointee.next_in = UnsafeMutablePointer(
                    mutating: bytes.assumingMemoryBound(to: UInt8.self).baseAddress)
                stream.pointee.avail_in = UInt32(bytes.count)
                stream.pointee.next_out = out.baseAddress
                stream.pointee.avail_out = UInt32(bound)
                let status = deflate(stream, Z_FINISH)
                precondition(status == Z_STREAM_END, "deflate ends within its own bound")
                return bound - Int(stream.pointee.avail_out)
            }
        }
    }
}
