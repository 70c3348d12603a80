/// A small generator of well-mixed numbers from a seed (Steele, Lea, Flood 2014): which partition comes next needs no
/// better, and the same seed makes the same choices.
struct SplitMix: Sendable {
    private var state: UInt64

    init(seed: UInt64) {
        self.state = seed
    }

    mutating func next() -> UInt64 {
        self.state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = self.state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// A number from 0 up to, not including, `count` (1 or more).
    mutating func next(below count: Int) -> Int {
        Int(self.next() % UInt64(count))
    }
}
