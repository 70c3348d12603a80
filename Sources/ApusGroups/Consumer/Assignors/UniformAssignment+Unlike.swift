import HeapModule

/// Members that want different topics. There is no equal share then; what holds at the end is that no partition could
/// move to a member that wants it and has at least two fewer than its owner.
///
/// Each keeps what it had. What nobody has goes to the one with the least that wants it, topics with few takers first.
/// Then partitions move from those with the most to those with the least, topic by topic, until nothing moves. Each
/// move makes the sum of the squares of the loads smaller, so it ends.
extension UniformAssignment {
    /// A member and how much it had when this was written down; out of date when it has more or less now.
    private struct Load: Comparable {
        var count: Int
        var member: Int

        static func < (left: Load, right: Load) -> Bool {
            (left.count, left.member) < (right.count, right.member)
        }
    }

    static func assignUnlike(_ problem: AssignmentProblem) -> [PartitionSet] {
        var row = PartitionRow(problem.topics)
        let subscribers = problem.subscribers
        var load = Array(repeating: 0, count: problem.members.count)
        for (index, member) in problem.members.enumerated() {
            let wanted = Set(member.topics)
            for partition in member.before {
                guard let (topic, place) = row.place(of: partition), wanted.contains(topic), row.owner[place] < 0 else {
                    continue
                }
                row.owner[place] = index
                load[index] += 1
            }
        }
        let topics = problem.topics.indices.filter { !subscribers[$0].isEmpty }
        for topic in topics.sorted(by: { (subscribers[$0].count, $0) < (subscribers[$1].count, $1) }) {
            self.give(row.range(of: topic), to: subscribers[topic], &row, &load)
        }
        var moved = true
        while moved {
            moved = false
            for topic in topics where self.level(row.range(of: topic), among: subscribers[topic], &row, &load) {
                moved = true
            }
        }
        return row.sets(members: problem.members.count)
    }

    /// Gives what nobody has of one topic, each to the one with the least.
    private static func give(
        _ places: Range<Int>, to subscribers: [Int], _ row: inout PartitionRow, _ load: inout [Int]
    ) {
        let free = places.filter { row.owner[$0] < 0 }
        guard !free.isEmpty else { return }
        var least = Heap(subscribers.map { Load(count: load[$0], member: $0) })
        for place in free {
            guard var taker = least.popMin() else { return }
            row.owner[place] = taker.member
            load[taker.member] += 1
            taker.count += 1
            least.insert(taker)
        }
    }

    /// Moves partitions of one topic from those with the most to those with the least.
    /// - Returns: whether anything moved.
    private static func level(
        _ places: Range<Int>, among subscribers: [Int], _ row: inout PartitionRow, _ load: inout [Int]
    ) -> Bool {
        let least = subscribers.reduce(Int.max) { min($0, load[$1]) }
        let most = places.reduce(Int.min) { max($0, load[row.owner[$1]]) }
        guard most > least, most - least >= 2 else { return false }
        var held: [Int: [Int]] = [:]
        for place in places { held[row.owner[place], default: []].append(place) }
        var takers = Heap(subscribers.map { Load(count: load[$0], member: $0) })
        var givers = Heap(held.keys.map { Load(count: load[$0], member: $0) })
        var moved = false
        while let giver = givers.popMax() {
            guard giver.count == load[giver.member], held[giver.member]?.isEmpty == false else { continue }
            while let taker = takers.min, taker.count != load[taker.member] { takers.removeMin() }
            guard let taker = takers.min else { break }
            guard giver.count - taker.count >= 2, let place = held[giver.member]?.popLast() else { break }
            row.owner[place] = taker.member
            held[taker.member, default: []].append(place)
            load[giver.member] -= 1
            load[taker.member] += 1
            for member in [giver.member, taker.member] {
                takers.insert(Load(count: load[member], member: member))
                givers.insert(Load(count: load[member], member: member))
            }
            moved = true
        }
        return moved
    }
}
