import CZstd
import NIOCore

/// RFC 8878 through libzstd.
enum Zstd {
    static func decompress(_ input: ByteBuffer, into output: inout CappedOutput) throws(WireError) {
        guard let context = ZSTD_createDCtx() else { throw output.corrupt }
        defer { ZSTD_freeDCtx(context) }
        // A frame names its window, and the decoder allocates it: without this bound, 128 MiB for nine bytes.
        ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, WireLimits.zstdWindowLogMax)

        var rest = input
        while true {
            let (status, consumed, written) = try output.step { room in
                let (status, consumed, written) = rest.withUnsafeReadableBytes { bytes in
                    var source = ZSTD_inBuffer(src: bytes.baseAddress, size: bytes.count, pos: 0)
                    var target = ZSTD_outBuffer(dst: room.baseAddress, size: room.count, pos: 0)
                    let status = ZSTD_decompressStream(context, &target, &source)
                    return (status, source.pos, target.pos)
                }
                return (written, (status, consumed, written))
            }
            guard ZSTD_isError(status) == 0 else { throw output.corrupt }
            rest.moveReaderIndex(forwardBy: consumed)
            // 0 says that a frame is complete and wholly given out.
            if rest.readableBytes == 0, status == 0 { return }
            guard consumed > 0 || written > 0 else { throw output.corrupt }
        }
    }

    static func compress(_ input: ByteBuffer, into output: inout ByteBuffer) {
        let bound = ZSTD_compressBound(input.readableBytes)
        output.writeWithUnsafeMutableBytes(minimumWritableBytes: bound) { room in
            input.withUnsafeReadableBytes { bytes in
                let written = ZSTD_compress(room.baseAddress, bound, bytes.baseAddress, bytes.count, 3)
                precondition(ZSTD_isError(written) == 0, "zstd ends within its own bound")
                return written
            }
        }
    }
}
