import CLZ4
import NIOCore

/// The LZ4 frame format through liblz4.
enum LZ4 {
    static func decompress(_ input: ByteBuffer, into output: inout CappedOutput) throws(WireError) {
        var context: OpaquePointer?
        guard LZ4F_isError(LZ4F_createDecompressionContext(&context, UInt32(LZ4F_VERSION))) == 0, let context else {
            throw output.corrupt
        }
        defer { LZ4F_freeDecompressionContext(context) }

        var rest = input
        // 0 between frames: the only place where the input may end.
        var hint = 0
        while true {
            let (status, consumed, written) = try output.step { room in
                let (status, consumed, written) = rest.withUnsafeReadableBytes { bytes in
                    var consumed = bytes.count
                    var written = room.count
                    let status = LZ4F_decompress(context, room.baseAddress, &written, bytes.baseAddress, &consumed, nil)
                    return (status, consumed, written)
                }
                return (written, (status, consumed, written))
            }
            guard LZ4F_isError(status) == 0 else { throw output.corrupt }
            rest.moveReaderIndex(forwardBy: consumed)
            hint = status
            if rest.readableBytes == 0, hint == 0 { return }
            guard consumed > 0 || written > 0 else { throw output.corrupt }
        }
    }

    static func compress(_ input: ByteBuffer, into output: inout ByteBuffer) {
        // Independent blocks of 64 KiB, no content size, no checksums: what every Kafka client can read.
        var preferences = LZ4F_preferences_t()
        preferences.frameInfo.blockMode = LZ4F_blockIndependent
        preferences.frameInfo.blockSizeID = LZ4F_max64KB
        let bound = LZ4F_compressFrameBound(input.readableBytes, &preferences)
        output.writeWithUnsafeMutableBytes(minimumWritableBytes: bound) { room in
            input.withUnsafeReadableBytes { bytes in
                let written = LZ4F_compressFrame(room.baseAddress, bound, bytes.baseAddress, bytes.count, &preferences)
                precondition(LZ4F_isError(written) == 0, "LZ4 ends within its own bound")
                return written
            }
        }
    }
}
