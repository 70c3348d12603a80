import ApusCore
import HashTreeCollections

/// Who reads which topic: names in a tree, patterns in a tree by what they begin with.
///
/// A topic is looked up once as a name, and once for each length of prefix that some pattern has; only the patterns of
/// those few buckets are tried. Everything in a bucket is sorted by period, the widest first and those without a period
/// last, so that the widest is the first that matches.
struct InterestTable: Sendable {
    private struct Holder: Comparable, Sendable {
        /// In milliseconds; -1: none is stated.
        var period: Int64
        var id: SubscriptionID

        static func < (left: Holder, right: Holder) -> Bool {
            (right.period, left.id) < (left.period, right.id)
        }

        var reader: Reader { Reader(id: self.id, period: self.period < 0 ? nil : .milliseconds(self.period)) }
    }

    private struct PatternHolder: Sendable {
        var holder: Holder
        var pattern: TopicPattern
    }

    private var names: TreeDictionary<String, [Holder]> = [:]
    private var patterns: TreeDictionary<String, [PatternHolder]> = [:]
    /// Patterns by the length of their prefix in bytes.
    private var prefixLengths: [Int: Int] = [:]

    var isEmpty: Bool { self.names.isEmpty && self.patterns.isEmpty }

    // MARK: Keeping it

    mutating func add(_ entry: RegisteredSubscription) {
        let holder = Self.holder(of: entry)
        for topic in entry.subscription.interest.names {
            var holders = self.names[topic] ?? []
            holders.insert(holder, at: Self.place(of: holder, in: holders.count) { holders[$0] })
            self.names[topic] = holders
        }
        if let pattern = entry.subscription.interest.pattern {
            var holders = self.patterns[pattern.prefix] ?? []
            let place = Self.place(of: holder, in: holders.count) { holders[$0].holder }
            holders.insert(PatternHolder(holder: holder, pattern: pattern), at: place)
            self.patterns[pattern.prefix] = holders
            self.prefixLengths[pattern.prefix.utf8.count, default: 0] += 1
        }
    }

    /// - Precondition: it was added as it is.
    mutating func remove(_ entry: RegisteredSubscription) {
        let holder = Self.holder(of: entry)
        for topic in entry.subscription.interest.names {
            guard var holders = self.names[topic] else { continue }
            let place = Self.place(of: holder, in: holders.count) { holders[$0] }
            precondition(place < holders.count && holders[place].id == holder.id, "a subscription that was not added")
            holders.remove(at: place)
            self.names[topic] = holders.isEmpty ? nil : holders
        }
        if let pattern = entry.subscription.interest.pattern, var holders = self.patterns[pattern.prefix] {
            let place = Self.place(of: holder, in: holders.count) { holders[$0].holder }
            precondition(
                place < holders.count && holders[place].holder.id == holder.id, "a subscription that was not added")
            holders.remove(at: place)
            self.patterns[pattern.prefix] = holders.isEmpty ? nil : holders
            let length = pattern.prefix.utf8.count
            let count = (self.prefixLengths[length] ?? 1) - 1
            self.prefixLengths[length] = count == 0 ? nil : count
        }
    }

    private static func holder(of entry: RegisteredSubscription) -> Holder {
        Holder(period: entry.subscription.period?.wholeMilliseconds ?? -1, id: entry.id)
    }

    /// Where it is, or belongs.
    private static func place(of holder: Holder, in count: Int, _ at: (Int) -> Holder) -> Int {
        var low = 0
        var high = count
        while low < high {
            let middle = low + (high - low) / 2
            if at(middle) < holder { low = middle + 1 } else { high = middle }
        }
        return low
    }

    // MARK: Asking

    func readers(of topic: String) -> [Reader] {
        var holders = self.names[topic] ?? []
        let named = holders.count
        let bytes = Array(topic.utf8)
        self.forEachBucket(of: topic) { bucket in
            for entry in bucket where entry.pattern.matches(bytes: bytes) { holders.append(entry.holder) }
        }
        if holders.count > named { holders.sort() }
        return holders.map(\.reader)
    }

    func widest(of topic: String) -> WidestPeriod {
        var widest: Int64 = -1
        var hasUnstated = false
        if let holders = self.names[topic], let first = holders.first, let last = holders.last {
            widest = first.period
            hasUnstated = last.period < 0
        }
        let bytes = Array(topic.utf8)
        self.forEachBucket(of: topic) { bucket in
            // The first that matches is the widest; what is not wider than what is known need not be tried.
            for entry in bucket {
                guard entry.holder.period > widest else { break }
                guard entry.pattern.matches(bytes: bytes) else { continue }
                widest = entry.holder.period
                break
            }
            guard !hasUnstated else { return }
            for entry in bucket.reversed() {
                guard entry.holder.period < 0 else { break }
                guard entry.pattern.matches(bytes: bytes) else { continue }
                hasUnstated = true
                break
            }
        }
        return WidestPeriod(stated: widest < 0 ? nil : .milliseconds(widest), hasUnstated: hasUnstated)
    }

    private func forEachBucket(of topic: String, _ body: ([PatternHolder]) -> Void) {
        let bytes = topic.utf8
        for length in self.prefixLengths.keys where length <= bytes.count {
            // A topic's name is ASCII; of anything else a prefix may be no text, and no pattern begins with it.
            guard let prefix = String(bytes.prefix(length)), let bucket = self.patterns[prefix] else { continue }
            body(bucket)
        }
    }
}
