import CApus
public import NIOCore

/// Writing a broker's fields into a batch where it lies.
///
/// Record bytes reach a broker as a slice of the frame they came in, and a slice shares its storage: `setInteger` on it
/// would copy the whole frame, a megabyte to change twelve bytes. So these functions write through the storage itself.
///
/// What the caller owes: until the batch is handed on (to the log, to a cache, to another thread) these bytes are its
/// own. Nobody reads them at the same time, and nobody else holds a slice that covers them and expects the old values.
/// A frame just read from a socket, its requests handled by one owner, meets that. Two partitions' batches of one frame
/// may be patched at the same time: their bytes do not overlap.
extension RecordBatchHeader {
    /// Gives the batch at the start of the readable bytes its place in the log.
    ///
    /// Changes bytes 0..<8 and 12..<16 only. Both lie outside the CRC.
    /// - Precondition: the readable bytes hold a whole header.
    public static func patch(_ batch: ByteBuffer, baseOffset: Int64, leaderEpoch: Int32) {
        self.withExclusiveBytes(of: batch) { bytes in
            bytes.storeBytes(of: baseOffset.bigEndian, toByteOffset: 0, as: Int64.self)
            bytes.storeBytes(of: leaderEpoch.bigEndian, toByteOffset: 12, as: Int32.self)
        }
    }

    /// Stamps the batch with the time of the log (`message.timestamp.type=LogAppendTime`).
    ///
    /// Sets the timestamp-type bit and the largest timestamp, and computes the CRC anew: one pass over the batch.
    /// - Parameter time: milliseconds since 1970.
    /// - Precondition: the readable bytes start with a batch whose CRC was verified.
    public static func patch(_ batch: ByteBuffer, logAppendTime time: Int64) {
        self.withExclusiveBytes(of: batch) { bytes in
            let length = Int(Int32(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: Int32.self)))
            let end = self.lengthPrefixByteCount + length
            precondition(length >= 49 && end <= bytes.count)
            let attributes = Int16(bigEndian: bytes.loadUnaligned(fromByteOffset: 21, as: Int16.self)) | 0x08
            bytes.storeBytes(of: attributes.bigEndian, toByteOffset: 21, as: Int16.self)
            bytes.storeBytes(of: time.bigEndian, toByteOffset: 35, as: Int64.self)
            let covered = UnsafeRawBufferPointer(rebasing: bytes[self.crcCoverageStart..<end])
            let crc = capus_crc32c(0, covered.baseAddress, covered.count)
            bytes.storeBytes(of: crc.bigEndian, toByteOffset: 17, as: UInt32.self)
        }
    }

    private static func withExclusiveBytes(of batch: ByteBuffer, _ body: (UnsafeMutableRawBufferPointer) -> Void) {
        batch.withUnsafeReadableBytes { bytes in
            precondition(bytes.count >= self.byteCount)
            body(UnsafeMutableRawBufferPointer(mutating: bytes))
        }
    }
}
