import ApusCore
import KafkaWire

/// How the leader of a classic group shares partitions out: for each topic, each member's range, the first ones one
/// longer where it does not come out even (Kafka's `range`).
enum RangeShares {
    static let name = "range"

    struct Member: Hashable, Sendable {
        var id: String
        /// Members that come back under their name keep their place in the order.
        var instanceID: String?
        var topics: [String]

        fileprivate var place: (String, String) { (self.instanceID ?? self.id, self.id) }
    }

    /// - Parameter partitions: how many each topic has; topics that are not there are nobody's.
    static func shares(
        of partitions: [String: Int], among members: [Member]
    ) -> [String: [ConsumerSubscription.TopicPartitions]] {
        var shares: [String: [ConsumerSubscription.TopicPartitions]] = [:]
        let ordered = members.sorted { $0.place < $1.place }
        for (topic, count) in partitions.sorted(by: { $0.key < $1.key }) {
            let wanting = ordered.filter { $0.topics.contains(topic) }
            guard !wanting.isEmpty else { continue }
            let (each, more) = count.quotientAndRemainder(dividingBy: wanting.count)
            var next = 0
            for (place, member) in wanting.enumerated() {
                let length = each + (place < more ? 1 : 0)
                guard length > 0 else { continue }
                shares[member.id, default: []].append(
                    .init(topic: topic, partitions: (next..<next + length).map { Int32($0) }))
                next += length
            }
        }
        return shares
    }
}
