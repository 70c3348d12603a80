import KafkaWire
import NIOCore

/// One batch for each codec, with everything a record may have.
func batchSeeds() -> [[UInt8]] {
    CompressionCodec.allCases.map { codec in
        var builder = RecordBatchBuilder(codec: codec, producerID: 7, producerEpoch: 1, baseSequence: 3)
        builder.append(key: nil, value: nil, timestamp: 1000)
        builder.append(key: ByteBuffer(string: "key"), value: ByteBuffer(), timestamp: 900)
        let header = Record.Header(key: "trace", value: ByteBuffer(string: "1"))
        builder.append(
            key: ByteBuffer(), value: ByteBuffer(repeating: 120, count: 300), headers: [header, header], timestamp: 2000
        )
        return Array(builder.finish().readableBytesView)
    }
}
