package import NIOCore

/// Austin Appleby's MurmurHash2, 32 bits, with the seed and the byte order of Kafka's Java client: records with the
/// same key go to the same partition whichever client sent them.
package enum Murmur2 {
    private static let seed: UInt32 = 0x9747_B28C
    private static let multiplier: UInt32 = 0x5BD1_E995
    private static let shift: UInt32 = 24

    package static func hash(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        var hash = self.seed ^ UInt32(truncatingIfNeeded: bytes.count)
        var index = 0
        while bytes.count - index >= 4 {
            var word = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: index, as: UInt32.self))
            word = word &* self.multiplier
            word ^= word >> self.shift
            word = word &* self.multiplier
            hash = (hash &* self.multiplier) ^ word
            index += 4
        }
        let rest = bytes.count - index
        if rest >= 3 { hash ^= UInt32(bytes[index + 2]) << 16 }
        if rest >= 2 { hash ^= UInt32(bytes[index + 1]) << 8 }
        if rest >= 1 { hash = (hash ^ UInt32(bytes[index])) &* self.multiplier }
        hash ^= hash >> 13
        hash = hash &* self.multiplier
        hash ^= hash >> 15
        return hash
    }

    /// - Parameter count: partitions of the topic, 1 or more.
    package static func partition(of key: ByteBuffer, count: Int) -> Int {
        // The sign bit is dropped, not the number negated: as the Java client does.
        key.withUnsafeReadableBytes { Int(self.hash($0) & 0x7FFF_FFFF) % count }
    }
}
