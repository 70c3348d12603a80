import CSnappy
import NIOCore

/// Snappy, which has no stream format of its own. Kafka's clients write the framing of the xerial Java library, some a
/// raw block:
///
///     0x82 "SNAPPY" 0 │ version Int32 = 1 │ compatible Int32 = 1 │ { length Int32, raw block } …
///
/// A raw block starts with a varint of its plain length, which here is at most 2^32, so it cannot start with 0x82 'S':
/// that would be a length of ten thousands and a literal tag, then bytes that fail to decode.
enum Snappy {
    private static let magic: [UInt8] = [0x82, 0x53, 0x4E, 0x41, 0x50, 0x50, 0x59, 0x00]
    /// Plain bytes of one block when we write.
    private static let blockBytes = 32 << 10
    /// No block grows by more: three bytes copy at most 64.
    private static let expansionMax = 22

    static func decompress(_ input: ByteBuffer, into output: inout CappedOutput) throws(WireError) {
        guard input.readableBytesView.starts(with: self.magic) else {
            return try self.decompressBlock(input, into: &output)
        }
        var rest = input
        guard rest.readSlice(length: self.magic.count) != nil,
            rest.readInteger(as: Int32.self) != nil, rest.readInteger(as: Int32.self) != nil
        else { throw output.corrupt }
        while rest.readableBytes > 0 {
            guard let length = rest.readInteger(as: Int32.self), length > 0,
                let block = rest.readSlice(length: Int(length))
            else { throw output.corrupt }
            try self.decompressBlock(block, into: &output)
        }
    }

    private static func decompressBlock(_ block: ByteBuffer, into output: inout CappedOutput) throws(WireError) {
        let length = block.withUnsafeReadableBytes { bytes -> Int? in
            var length = 0
            let text = bytes.assumingMemoryBound(to: CChar.self).baseAddress
            return snappy_uncompressed_length(text, bytes.count, &length) == SNAPPY_OK ? length : nil
        }
        // The length is the sender's word: without the second test five bytes could ask for the whole cap.
        guard let length, length / self.expansionMax <= block.readableBytes else { throw output.corrupt }
        try output.write(exactly: length) { room in
            block.withUnsafeReadableBytes { bytes in
                var written = length
                let status = snappy_uncompress(
                    bytes.assumingMemoryBound(to: CChar.self).baseAddress, bytes.count,
                    room.assumingMemoryBound(to: CChar.self).baseAddress, &written
                )
                return status == SNAPPY_OK && written == length
            }
        }
    }

    static func compress(_ input: ByteBuffer, into output: inout ByteBuffer) {
        output.writeBytes(self.magic)
        output.writeInteger(1 as Int32)
        output.writeInteger(1 as Int32)
        var rest = input
        while let block = rest.readSlice(length: min(rest.readableBytes, self.blockBytes)), block.readableBytes > 0 {
            let lengthIndex = output.writerIndex
            output.writeInteger(0 as Int32)
            let bound = snappy_max_compressed_length(block.readableBytes)
            let written = output.writeWithUnsafeMutableBytes(minimumWritableBytes: bound) { room in
                block.withUnsafeReadableBytes { bytes in
                    var written = room.count
                    let status = snappy_compress(
                        bytes.assumingMemoryBound(to: CChar.self).baseAddress, bytes.count,
                        room.assumingMemoryBound(to: CChar.self).baseAddress, &written
                    )
                    precondition(status == SNAPPY_OK, "snappy ends within its own bound")
                    return written
                }
            }
            output.setInteger(Int32(written), at: lengthIndex)
        }
    }
}
