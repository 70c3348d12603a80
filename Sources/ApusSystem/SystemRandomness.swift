import ApusCore

/// The system's own generator (getrandom), fit for salts and ids that nobody may guess.
package struct SystemRandomness: Randomness {
    package init() {}

    package func next() -> UInt64 {
        var generator = SystemRandomNumberGenerator()
        return generator.next()
    }
}
