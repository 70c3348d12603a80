/// Decides what a power cut leaves.
protocol CrashChooser {
    /// One of `count` possibilities, 0 being the oldest.
    mutating func one(of count: Int) -> Int
    /// A page of so many versions is next.
    mutating func begin(versions: Int)
    /// Which of the distinct contents of a sector survives; `versions` names for each the newest version that has it.
    mutating func sector(versions: [Int]) -> Int
}

/// By seed: pages mostly old or new as a whole, sometimes torn, as disks do.
struct SeededCrash: CrashChooser {
    private enum Page {
        case whole(version: Int)
        case torn
    }

    private var random: SplitMix64
    private var page = Page.torn

    init(seed: UInt64) { self.random = SplitMix64(seed: seed) }

    mutating func one(of count: Int) -> Int { self.random.below(count) }

    mutating func begin(versions: Int) {
        switch self.random.below(4) {
        case 0: self.page = .whole(version: 0)
        case 1: self.page = .whole(version: versions - 1)
        case 2: self.page = .whole(version: self.random.below(versions))
        default: self.page = .torn
        }
    }

    mutating func sector(versions: [Int]) -> Int {
        guard versions.count > 1 else { return 0 }
        switch self.page {
        case .torn: return self.random.below(versions.count)
        // The contents that were there at that version: the last distinct one that began before it would be exact; the
        // first that lasted beyond it is close enough, and every combination is a legal one.
        case .whole(let version): return versions.firstIndex { $0 >= version } ?? versions.count - 1
        }
    }
}

/// One path through all possibilities. Made again and again with ``next()``, it goes through every one of them.
package struct CrashPath: CrashChooser, Sendable {
    private var counts: [Int] = []
    private var choices: [Int] = []
    private var position = 0

    package init() {}

    /// Decisions on this path.
    package var length: Int { self.choices.count }

    mutating func one(of count: Int) -> Int {
        if self.position == self.choices.count {
            self.choices.append(0)
            self.counts.append(count)
        }
        defer { self.position += 1 }
        return self.choices[self.position]
    }

    mutating func begin(versions: Int) {}

    mutating func sector(versions: [Int]) -> Int { versions.count > 1 ? self.one(of: versions.count) : 0 }

    /// The next path; false after the last.
    package mutating func next() -> Bool {
        self.position = 0
        while let last = self.choices.indices.last {
            if self.choices[last] + 1 < self.counts[last] {
                self.choices[last] += 1
                return true
            }
            self.choices.removeLast()
            self.counts.removeLast()
        }
        return false
    }
}
