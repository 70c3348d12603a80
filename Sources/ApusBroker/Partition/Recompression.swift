import ApusCore
import KafkaWire
import NIOCore

/// Rewrites a batch to the codec that the topic asks for (`compression.type`). The records' bytes stay as they are;
/// codec, length and CRC change. Costs a decompression and a compression on the shard's loop, which is why the default,
/// `producer`, does neither.
enum Recompression {
    /// The batch to store: the same bytes when it has the codec already.
    static func apply(
        _ codec: CompressionCodec, to batch: ByteBuffer, header: RecordBatchHeader
    ) throws(BatchRefusal) -> (batch: ByteBuffer, header: RecordBatchHeader) {
        guard let old = header.attributes.codec, old != codec else { return (batch, header) }
        var blob = batch
        blob.moveReaderIndex(forwardBy: RecordBatchHeader.byteCount)
        let plain: ByteBuffer
        do throws(WireError) {
            plain = try old.decompress(blob, outputBytesMax: WireLimits.decompressedBytesMax)
        } catch {
            throw BatchRefusal(.corruptBatch("the batch does not decompress: \(error)"))
        }
        var records = ByteBufferAllocator().buffer(capacity: RecordBatchHeader.byteCount + plain.readableBytes)
        records.writeRepeatingByte(0, count: RecordBatchHeader.byteCount)
        codec.compress(plain, into: &records)
        var header = header
        let length = records.readableBytes - RecordBatchHeader.lengthPrefixByteCount
        guard let batchLength = Int32(exactly: length) else {
            throw BatchRefusal(.batchTooLarge(.bytes(length), limit: .bytes(Int(Int32.max))))
        }
        header.batchLength = batchLength
        header.attributes = RecordBatchHeader.Attributes(
            rawValue: (header.attributes.rawValue & ~0x07) | Int16(codec.rawValue)
        )
        header.write(to: &records, at: records.readerIndex)
        do throws(WireError) {
            let rewritten = try RecordBatch(from: records)
            header.crc = rewritten.computedCRC
        } catch {
            throw BatchRefusal(.corruptBatch("the rewritten batch is no batch: \(error)"))
        }
        header.write(to: &records, at: records.readerIndex)
        return (records, header)
    }
}
