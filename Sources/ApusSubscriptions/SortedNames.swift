import ApusCore

/// The names of all subscriptions in order, by bytes: a list of them is read from anywhere, a page at a time.
///
/// Short runs one behind the other: a change of a list that others still hold copies one run and the list of runs, a
/// few kilobytes among a hundred thousand names.
struct SortedNames: Sendable {
    /// Each sorted, all before the next, not empty, at most `runMax`.
    private var runs: [[SubscriptionName]] = []
    private static let runMax = 512

    mutating func insert(_ name: SubscriptionName) {
        guard let run = self.run(of: name) else { return self.runs = [[name]] }
        let place = self.runs[run].place { $0 < name }
        guard place == self.runs[run].count || self.runs[run][place] != name else { return }
        self.runs[run].insert(name, at: place)
        guard self.runs[run].count > Self.runMax else { return }
        let half = Array(self.runs[run].suffix(Self.runMax / 2))
        self.runs[run].removeLast(half.count)
        self.runs.insert(half, at: run + 1)
    }

    mutating func remove(_ name: SubscriptionName) {
        guard let run = self.run(of: name) else { return }
        let place = self.runs[run].place { $0 < name }
        guard place < self.runs[run].count, self.runs[run][place] == name else { return }
        self.runs[run].remove(at: place)
        if self.runs[run].isEmpty { self.runs.remove(at: run) }
    }

    /// Those behind a name, which need not be there; nil: all.
    func after(_ name: SubscriptionName?) -> some Sequence<SubscriptionName> {
        guard let name, let run = self.run(of: name) else { return Walk(runs: self.runs, run: 0, place: 0) }
        return Walk(runs: self.runs, run: run, place: self.runs[run].place { !(name < $0) })
    }

    /// Where it is, or belongs; nil: there is none.
    private func run(of name: SubscriptionName) -> Int? {
        // Behind the last that begins with it or before it; what comes before all belongs into the first.
        self.runs.isEmpty ? nil : max(0, self.runs.place { run in run.first.map { !(name < $0) } ?? true } - 1)
    }

    private struct Walk: Sequence, IteratorProtocol {
        let runs: [[SubscriptionName]]
        var run: Int
        var place: Int

        mutating func next() -> SubscriptionName? {
            while self.run < self.runs.count {
                if self.place < self.runs[self.run].count {
                    defer { self.place += 1 }
                    return self.runs[self.run][self.place]
                }
                self.run += 1
                self.place = 0
            }
            return nil
        }
    }
}

extension Array {
    /// The first index at which the condition does not hold; it holds for all before it.
    fileprivate func place(where isBefore: (Element) -> Bool) -> Int {
        var low = 0
        var high = self.count
        while low < high {
            let middle = low + (high - low) / 2
            if isBefore(self[middle]) { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
