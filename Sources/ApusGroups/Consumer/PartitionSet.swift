package import ApusCore

/// Partitions of some topics, each once, in order: what a member has, gets or must give up.
///
/// A sorted list, not a hash set: sets of one member are small, they are compared, merged and written far more often
/// than searched, and the same set always has the same form on the disk.
package struct PartitionSet: Hashable, Sendable, Sequence, ExpressibleByArrayLiteral, CustomStringConvertible {
    /// Ascending, without repeats.
    package private(set) var elements: [TopicPartition]

    package static let empty = PartitionSet(sorted: [])

    private init(sorted: [TopicPartition]) { self.elements = sorted }

    /// In any order; repeats count once.
    package init(_ partitions: some Sequence<TopicPartition>) {
        var elements = Array(partitions)
        if !zip(elements, elements.dropFirst()).allSatisfy({ $0 < $1 }) {
            elements.sort()
            var last: TopicPartition?
            elements.removeAll { partition in
                defer { last = partition }
                return partition == last
            }
        }
        self.elements = elements
    }

    package init(arrayLiteral elements: TopicPartition...) { self.init(elements) }

    package var count: Int { self.elements.count }
    package var isEmpty: Bool { self.elements.isEmpty }

    /// How many topics they are of.
    var topicCount: Int {
        var count = 0
        var last: TopicID?
        for element in self.elements where element.topic != last {
            count += 1
            last = element.topic
        }
        return count
    }

    package func makeIterator() -> IndexingIterator<[TopicPartition]> { self.elements.makeIterator() }

    package func contains(_ partition: TopicPartition) -> Bool { self.index(of: partition) != nil }

    /// The place of a partition in `elements`.
    package func index(of partition: TopicPartition) -> Int? {
        var (low, high) = (0, self.elements.count)
        while low < high {
            let middle = (low + high) / 2
            if self.elements[middle] < partition { low = middle + 1 } else { high = middle }
        }
        return low < self.elements.count && self.elements[low] == partition ? low : nil
    }

    package func intersection(_ other: PartitionSet) -> PartitionSet {
        guard self != other else { return self }
        return self.merged(other) { inSelf, inOther in inSelf && inOther }
    }

    package func subtracting(_ other: PartitionSet) -> PartitionSet {
        guard !other.isEmpty else { return self }
        return self.merged(other) { inSelf, inOther in inSelf && !inOther }
    }

    package func union(_ other: PartitionSet) -> PartitionSet {
        guard !other.isEmpty else { return self }
        return self.merged(other) { _, _ in true }
    }

    package func isSubset(of other: PartitionSet) -> Bool { self.subtracting(other).isEmpty }

    package func isDisjoint(with other: PartitionSet) -> Bool { self.intersection(other).isEmpty }

    /// One walk over both.
    private func merged(_ other: PartitionSet, _ keep: (_ inSelf: Bool, _ inOther: Bool) -> Bool) -> PartitionSet {
        let (left, right) = (self.elements, other.elements)
        var result: [TopicPartition] = []
        var (i, j) = (0, 0)
        while i < left.count || j < right.count {
            if j >= right.count || (i < left.count && left[i] < right[j]) {
                if keep(true, false) { result.append(left[i]) }
                i += 1
            } else if i >= left.count || right[j] < left[i] {
                if keep(false, true) { result.append(right[j]) }
                j += 1
            } else {
                if keep(true, true) { result.append(left[i]) }
                i += 1
                j += 1
            }
        }
        return PartitionSet(sorted: result)
    }

    /// The same, topic by topic, as the protocol and the records have it.
    package var byTopic: [(topic: TopicID, partitions: [Int32])] {
        var topics: [(topic: TopicID, partitions: [Int32])] = []
        for element in self.elements {
            if topics.last?.topic == element.topic {
                topics[topics.count - 1].partitions.append(element.partition.rawValue)
            } else {
                topics.append((element.topic, [element.partition.rawValue]))
            }
        }
        return topics
    }

    package init(byTopic topics: some Sequence<(topic: TopicID, partitions: [Int32])>) {
        self.init(
            topics.flatMap { entry in
                entry.partitions.map {
                    TopicPartition(topic: entry.topic, partition: PartitionIndex(rawValue: $0))
                }
            }
        )
    }

    package var description: String { self.elements.description }
}
