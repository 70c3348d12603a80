import KafkaWire
import NIOCore

/// One batch for each codec, with everything a record may have, and one that asks for the largest window.
func batchSeeds() -> [[UInt8]] {
    let whole = CompressionCodec.allCases.map { codec in
        var builder = RecordBatchBuilder(codec: codec, producerID: 7, producerEpoch: 1, baseSequence: 3)
        builder.append(key: nil, value: nil, timestamp: 1000)
        builder.append(key: ByteBuffer(string: "key"), value: ByteBuffer(), timestamp: 900)
        let header = Record.Header(key: "trace", value: ByteBuffer(string: "1"))
        builder.append(
            key: ByteBuffer(), value: ByteBuffer(repeating: 120, count: 300), headers: [header, header], timestamp: 2000
        )
        return Array(builder.finish().readableBytesView)
    }
    return whole + [wideWindow(in: whole[Int(CompressionCodec.zstd.rawValue)])]
}

/// The header of a zstd batch in front of the shortest frame that makes the decoder allocate its largest window.
private func wideWindow(in batch: [UInt8]) -> [UInt8] {
    let windowDescriptor = UInt8(WireLimits.zstdWindowLogMax - 10) << 3
    // Magic number, no content size, the window, one last block that repeats one byte eight times (RFC 8878, 3.1.1).
    let frame: [UInt8] = [0x28, 0xB5, 0x2F, 0xFD, 0x00, windowDescriptor, 0x43, 0x00, 0x00, 0x00]
    var seed = Array(batch[..<RecordBatchHeader.byteCount])
    let length = UInt32(seed.count + frame.count - RecordBatchHeader.lengthPrefixByteCount)
    seed.replaceSubrange(8..<12, with: (0..<4).map { UInt8(truncatingIfNeeded: length >> (24 - 8 * $0)) })
    return seed + frame
}
