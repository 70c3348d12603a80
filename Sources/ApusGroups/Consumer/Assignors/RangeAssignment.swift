/// Each topic's partitions in ranges, as even as can be, in the order of the members that want it.
enum RangeAssignment {
    static func assign(_ problem: AssignmentProblem) -> [PartitionSet] {
        var row = PartitionRow(problem.topics)
        let order = problem.members.indices.sorted { problem.members[$0].order < problem.members[$1].order }
        var rank = Array(repeating: 0, count: order.count)
        for (position, member) in order.enumerated() { rank[member] = position }
        for (topic, subscribers) in problem.subscribers.enumerated() where !subscribers.isEmpty {
            let range = row.range(of: topic)
            let (share, longer) = range.count.quotientAndRemainder(dividingBy: subscribers.count)
            var place = range.lowerBound
            for (position, member) in subscribers.sorted(by: { rank[$0] < rank[$1] }).enumerated() {
                let end = place + share + (position < longer ? 1 : 0)
                while place < end {
                    row.owner[place] = member
                    place += 1
                }
            }
        }
        return row.sets(members: problem.members.count)
    }
}
