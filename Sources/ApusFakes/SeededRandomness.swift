import ApusCore
import Synchronization

/// SplitMix64 (Steele, Lea, Flood 2014): small, fast, and the same on every machine for a seed.
package struct SplitMix64: RandomNumberGenerator, Sendable {
    private var state: UInt64

    package init(seed: UInt64) { self.state = seed }

    package mutating func next() -> UInt64 {
        self.state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = self.state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// 0 ..< `count`. The tiny bias of the remainder does not matter to a test.
    package mutating func below(_ count: Int) -> Int { Int(self.next() % UInt64(max(1, count))) }

    /// True once in `count` times.
    package mutating func isOne(in count: Int) -> Bool { self.below(count) == 0 }
}

/// The port to chance, from a seed.
package final class SeededRandomness: Randomness {
    private let generator: Mutex<SplitMix64>

    package init(seed: UInt64) { self.generator = Mutex(SplitMix64(seed: seed)) }

    package func next() -> UInt64 { self.generator.withLock { $0.next() } }
}
