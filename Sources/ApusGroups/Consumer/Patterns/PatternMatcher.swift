/// Walks names through one pattern, and counts what that takes. Keeps its memory from name to name.
struct PatternMatcher {
    /// A set of places that is emptied in no time (Briggs and Torczon 1993).
    private struct Places {
        var list: [Int] = []
        var at: [Int]

        init(capacity: Int) {
            self.at = Array(repeating: 0, count: capacity)
            self.list.reserveCapacity(capacity)
        }

        @inline(__always)
        mutating func insert(_ place: Int) -> Bool {
            let index = self.at[place]
            if index < self.list.count, self.list[index] == place { return false }
            self.at[place] = self.list.count
            self.list.append(place)
            return true
        }
    }

    private let program: PatternProgram
    private var current: Places
    private var following: Places
    private var stack: [Int] = []
    /// Places looked at so far, over all names.
    private(set) var steps = 0

    init(_ pattern: TopicRegex) {
        self.program = pattern.program
        self.current = Places(capacity: pattern.program.steps.count)
        self.following = self.current
    }

    /// Whether the pattern matches all of `name`.
    mutating func matches(_ name: String) -> Bool {
        var name = name
        return name.withUTF8 { self.matches($0) }
    }

    private mutating func matches(_ name: UnsafeBufferPointer<UInt8>) -> Bool {
        self.following.list.removeAll(keepingCapacity: true)
        self.enter(self.program.start, before: 0, of: name)
        swap(&self.current, &self.following)
        for index in name.indices {
            if self.current.list.isEmpty { return false }
            self.following.list.removeAll(keepingCapacity: true)
            for place in self.current.list {
                guard case .take(let set, let next) = self.program.steps[place], set.contains(name[index]) else {
                    continue
                }
                self.enter(next, before: index + 1, of: name)
            }
            swap(&self.current, &self.following)
        }
        // Place 0 is where the program ends.
        return self.current.list.contains(0)
    }

    /// Adds a place to `following`, and all that can be reached from it without taking a character.
    private mutating func enter(_ place: Int, before index: Int, of name: UnsafeBufferPointer<UInt8>) {
        self.stack.append(place)
        while let place = self.stack.popLast() {
            self.steps += 1
            guard self.following.insert(place) else { continue }
            switch self.program.steps[place] {
            case .take, .matched: break
            case .fork(let one, let other):
                self.stack.append(other)
                self.stack.append(one)
            case .require(let assertion, let next):
                if assertion.holds(before: index, of: name) { self.stack.append(next) }
            }
        }
    }
}

extension PatternAssertion {
    fileprivate func holds(before index: Int, of name: UnsafeBufferPointer<UInt8>) -> Bool {
        let newline = UInt8(ascii: "\n")
        switch self {
        case .textStart: return index == 0
        case .textEnd: return index == name.count
        case .lineStart: return index == 0 || name[index - 1] == newline
        case .lineEnd: return index == name.count || name[index] == newline
        case .wordBoundary, .noWordBoundary:
            let before = index > 0 && AsciiSet.word.contains(name[index - 1])
            let after = index < name.count && AsciiSet.word.contains(name[index])
            return (before != after) == (self == .wordBoundary)
        }
    }
}
