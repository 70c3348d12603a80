/// The port to chance: salts, ids, jitter. Seeded in tests, the system's own generator in production.
public protocol Randomness: Sendable {
    /// 64 uniformly random bits.
    func next() -> UInt64
}
