import NIOCore

/// The batches of one job, each behind its seal, as the buffers of one gathered write.
///
/// Small batches are copied beside their seals: below a few KiB a copy costs less than two more buffers to gather.
/// Large ones stay the very bytes that came from the socket.
struct SealedBatches {
    private static let copiedBytesMax = 4096

    private(set) var buffers: [ByteBuffer] = []
    private(set) var byteCount = 0

    init(_ batches: [ByteBuffer], seed: UInt32, isDurable: Bool) {
        var copied = 0
        for batch in batches {
            copied += Seal.byteCount + (batch.readableBytes <= Self.copiedBytesMax ? batch.readableBytes : 0)
        }
        var scratch = ByteBufferAllocator().buffer(capacity: copied)
        // Slices are taken after the last write: a buffer that shares its bytes copies all of them before it writes.
        var large: [(batch: ByteBuffer, after: Int)] = []
        for batch in batches {
            let mark = Seal.mark(distance: self.byteCount, isDurable: isDurable)
            let checksum = batch.withUnsafeReadableBytes { Seal.checksum(seed: seed, mark: mark, batch: $0) }
            scratch.writeInteger(mark)
            scratch.writeInteger(checksum)
            self.byteCount += Seal.byteCount + batch.readableBytes
            if batch.readableBytes <= Self.copiedBytesMax {
                scratch.writeImmutableBuffer(batch)
            } else {
                large.append((batch, scratch.writerIndex))
            }
        }
        for (batch, after) in large {
            if let seals = scratch.readSlice(length: after - scratch.readerIndex) { self.buffers.append(seals) }
            self.buffers.append(batch)
        }
        if scratch.readableBytes > 0 { self.buffers.append(scratch) }
    }
}
