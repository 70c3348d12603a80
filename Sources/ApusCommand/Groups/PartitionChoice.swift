package import ApusCore

/// Some partitions of a topic, or all: `orders`, `orders:0,2,5-7`.
package struct PartitionChoice: Hashable, Sendable {
    package var topic: String
    /// nil: all of them.
    package var partitions: Set<PartitionIndex>?

    package init(_ text: String) throws(CommandFailure) {
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard let topic = parts.first, !topic.isEmpty else { throw Self.refusal(text) }
        self.topic = String(topic)
        guard parts.count == 2 else { return }
        var partitions: Set<PartitionIndex> = []
        for range in parts[1].split(separator: ",", omittingEmptySubsequences: false) {
            let ends = range.split(separator: "-", omittingEmptySubsequences: false).map { Int32($0) }
            guard (1...2).contains(ends.count), let first = ends[0], let last = ends[ends.count - 1], first >= 0,
                first <= last, last - first <= 10_000
            else { throw Self.refusal(text) }
            for index in first...last { partitions.insert(PartitionIndex(rawValue: index)) }
        }
        self.partitions = partitions
    }

    package func holds(_ partition: PartitionIndex) -> Bool { self.partitions?.contains(partition) ?? true }

    private static func refusal(_ text: String) -> CommandFailure {
        .usage("\"\(text)\" names no partitions", next: "write TOPIC for all of them, or TOPIC:0,2,5-7")
    }
}
