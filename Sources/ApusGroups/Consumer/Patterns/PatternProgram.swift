import ApusCore

/// A pattern as steps: Thompson's automaton. A repetition with counts is written out, under a bound.
struct PatternProgram: Hashable, Sendable {
    enum Step: Hashable, Sendable {
        /// Takes one character of the set.
        case take(AsciiSet, then: Int)
        /// Goes on at both places.
        case fork(Int, Int)
        case require(PatternAssertion, then: Int)
        case matched
    }

    private(set) var steps: [Step] = [.matched]
    private(set) var start = 0
    /// Writing out `((){1000}){1000}` makes no step, but takes its time; so visits are bounded as well.
    private var visits = 0

    init(_ node: PatternNode) throws(PatternError) {
        self.start = try self.add(node, then: 0)
    }

    /// Writes steps from the back: what comes behind is known already. Answers where the node begins.
    private mutating func add(_ node: PatternNode, then next: Int) throws(PatternError) -> Int {
        self.visits += 1
        guard self.visits <= 8 * Limits.topicPatternStepsMax else { throw Self.tooLarge }
        switch node {
        case .empty: return next
        case .set(let set): return try self.append(.take(set, then: next))
        case .assertion(let assertion): return try self.append(.require(assertion, then: next))
        case .sequence(let items):
            var next = next
            for item in items.reversed() { next = try self.add(item, then: next) }
            return next
        case .alternatives(let branches):
            var start: Int?
            for branch in branches.reversed() {
                let place = try self.add(branch, then: next)
                start = if let other = start { try self.append(.fork(place, other)) } else { place }
            }
            return start ?? next
        case .repeated(let item, let min, let max): return try self.add(item, min: min, max: max, then: next)
        }
    }

    private mutating func add(
        _ item: PatternNode, min: Int, max: Int?, then next: Int
    ) throws(PatternError) -> Int {
        var place = next
        if let max {
            // x{2,4} is xx(x(x)?)?: whoever stops goes straight to what comes behind.
            for _ in min..<Swift.max(min, max) { place = try self.append(.fork(try self.add(item, then: place), next)) }
        } else {
            place = try self.append(.matched)
            self.steps[place] = .fork(try self.add(item, then: place), next)
        }
        for _ in 0..<min { place = try self.add(item, then: place) }
        return place
    }

    private mutating func append(_ step: Step) throws(PatternError) -> Int {
        guard self.steps.count < Limits.topicPatternStepsMax else { throw Self.tooLarge }
        self.steps.append(step)
        return self.steps.count - 1
    }

    private static var tooLarge: PatternError {
        PatternError("larger than \(Limits.topicPatternStepsMax) steps when its repetitions are written out")
    }
}
