/// When a group of many members has come to rest: every partition has one owner, and all members are in the same
/// generation. Kept by what members learn, each change in time that does not grow with the group.
package struct GroupSettling: Sendable {
    private var owners: [UInt32]
    /// By member; nil while it is not in.
    private var generations: [Int32?]
    private var partitions: [[Int32]]
    private var partitionsOwnedOnce = 0
    private var membersByGeneration: [Int32: Int] = [:]
    /// Partitions that somebody had while another had them too, once counted for each time.
    package private(set) var conflicts = 0

    package init(members: Int, partitions: Int) {
        self.owners = Array(repeating: 0, count: partitions)
        self.generations = Array(repeating: nil, count: members)
        self.partitions = Array(repeating: [], count: members)
    }

    package var isSettled: Bool {
        self.partitionsOwnedOnce == self.owners.count && self.membersByGeneration.count == 1
            && self.membersByGeneration.values.first == self.generations.count
    }

    /// A member is in a generation and has these partitions, and no others.
    package mutating func joined(_ member: Int, generation: Int32, partitions: [Int32]) {
        self.left(member)
        self.generations[member] = generation
        self.membersByGeneration[generation, default: 0] += 1
        self.partitions[member] = partitions
        for partition in partitions { self.count(partition, up: true) }
    }

    /// A member is in none, and has nothing.
    package mutating func left(_ member: Int) {
        guard let generation = self.generations[member].take() else { return }
        let count = (self.membersByGeneration[generation] ?? 0) - 1
        self.membersByGeneration[generation] = count > 0 ? count : nil
        for partition in self.partitions[member] { self.count(partition, up: false) }
        self.partitions[member] = []
    }

    private mutating func count(_ partition: Int32, up: Bool) {
        let index = Int(partition)
        // A broker that gives what there is not is not ours to trap on.
        guard self.owners.indices.contains(index) else { return self.conflicts += 1 }
        if self.owners[index] == 1 { self.partitionsOwnedOnce -= 1 }
        if up { self.owners[index] += 1 } else { self.owners[index] -= 1 }
        if self.owners[index] == 1 { self.partitionsOwnedOnce += 1 }
        if up, self.owners[index] > 1 { self.conflicts += 1 }
    }
}
