/// What a pattern says, as a tree.
indirect enum PatternNode: Hashable, Sendable {
    case empty
    /// One character of the set. An empty set matches nothing.
    case set(AsciiSet)
    case assertion(PatternAssertion)
    case sequence([PatternNode])
    case alternatives([PatternNode])
    /// Without `max`: any number from `min` on.
    case repeated(PatternNode, min: Int, max: Int?)
}

/// A condition on a place between two characters.
enum PatternAssertion: Hashable, Sendable {
    case textStart
    case textEnd
    case lineStart
    case lineEnd
    case wordBoundary
    case noWordBoundary
}
