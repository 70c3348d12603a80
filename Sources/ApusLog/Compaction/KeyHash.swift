import NIOCore

/// A key of a record, as 128 bits: SipHash-2-4-128 (Aumasson and Bernstein, 2012) under a secret that the log drew for
/// this pass.
///
/// Compaction takes two keys with one hash for the same key and drops the older one's record. At 128 bits that does not
/// happen by chance (a million keys: one in 10^26), and who writes keys can not make it happen without the secret.
struct KeyHash: Hashable, Sendable {
    var first: UInt64
    var second: UInt64
}

/// What makes hashes of keys.
struct KeyHasher: Sendable {
    let secret: (UInt64, UInt64)

    func hash(_ key: ByteBuffer) -> KeyHash {
        // Unsafe: read through subscripts and loads that are checked.
        key.withUnsafeReadableBytes { self.hash($0) }
    }

    func hash(_ bytes: UnsafeRawBufferPointer) -> KeyHash {
        var state = State(
            v0: 0x736f_6d65_7073_6575 ^ self.secret.0, v1: 0x646f_7261_6e64_6f6d ^ self.secret.1 ^ 0xEE,
            v2: 0x6c79_6765_6e65_7261 ^ self.secret.0, v3: 0x7465_6462_7974_6573 ^ self.secret.1)
        var index = 0
        while index + 8 <= bytes.count {
            state.absorb(UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self)))
            index += 8
        }
        var last = UInt64(truncatingIfNeeded: bytes.count) << 56
        var shift: UInt64 = 0
        while index < bytes.count {
            last |= UInt64(bytes[index]) << shift
            shift += 8
            index += 1
        }
        state.absorb(last)
        state.v2 ^= 0xEE
        for _ in 0..<4 { state.round() }
        let first = state.v0 ^ state.v1 ^ state.v2 ^ state.v3
        state.v1 ^= 0xDD
        for _ in 0..<4 { state.round() }
        return KeyHash(first: first, second: state.v0 ^ state.v1 ^ state.v2 ^ state.v3)
    }

    private struct State {
        var v0: UInt64
        var v1: UInt64
        var v2: UInt64
        var v3: UInt64

        mutating func absorb(_ word: UInt64) {
            self.v3 ^= word
            self.round()
            self.round()
            self.v0 ^= word
        }

        mutating func round() {
            self.v0 &+= self.v1
            self.v1 = Self.rotate(self.v1, 13) ^ self.v0
            self.v0 = Self.rotate(self.v0, 32)
            self.v2 &+= self.v3
            self.v3 = Self.rotate(self.v3, 16) ^ self.v2
            self.v0 &+= self.v3
            self.v3 = Self.rotate(self.v3, 21) ^ self.v0
            self.v2 &+= self.v1
            self.v1 = Self.rotate(self.v1, 17) ^ self.v2
            self.v2 = Self.rotate(self.v2, 32)
        }

        private static func rotate(_ word: UInt64, _ count: UInt64) -> UInt64 {
            word << count | word >> (64 - count)
        }
    }
}
