/// Everybody the same number of partitions, give or take one, and nobody loses one without need.
enum UniformAssignment {
    /// All members want the same topics. Each keeps what it had up to its share; what is left over goes round, so that
    /// the partitions of one topic spread over the members. Takes as many steps as there are partitions and members.
    static func assignAlike(_ problem: AssignmentProblem) -> [PartitionSet] {
        let wanted = Set(problem.members[0].topics)
        var row = PartitionRow(problem.topics)
        let members = problem.members.count
        let total = wanted.reduce(0) { $0 + row.range(of: $1).count }
        let share = total / members
        // So many members have one more than the others.
        var longer = total % members
        var load = Array(repeating: 0, count: members)
        for index in 0..<members {
            for partition in problem.members[index].before {
                guard let (topic, place) = row.place(of: partition), wanted.contains(topic), row.owner[place] < 0 else {
                    continue
                }
                if load[index] == share {
                    guard longer > 0 else { break }
                    longer -= 1
                } else if load[index] > share {
                    break
                }
                row.owner[place] = index
                load[index] += 1
            }
        }
        var free = wanted.sorted().flatMap { row.range(of: $0) }.filter { row.owner[$0] < 0 }[...]
        // First up to the share, then one more for as many as there are left.
        for limit in [share, share + 1] {
            var hungry = load.indices.filter { load[$0] < limit }
            while !hungry.isEmpty, !free.isEmpty {
                var still: [Int] = []
                for member in hungry {
                    guard let place = free.popFirst() else { break }
                    row.owner[place] = member
                    load[member] += 1
                    if load[member] < limit { still.append(member) }
                }
                hungry = still
            }
        }
        return row.sets(members: members)
    }
}
