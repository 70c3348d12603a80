import ApusCore
import ApusReplication
import Testing

@Suite("One replica, alone")
struct ReplicaTests {
    /// What happened to a replica, line by line, and what it answered.
    private func transcript(
        _ durability: Replica.Durability, from end: Int64 = 0, durable: Int64? = nil, _ facts: [Fact]
    ) -> [String] {
        var replica = Replica(
            leading: Epoch(rawValue: 3), logEnd: Offset(rawValue: end), durableEnd: Offset(rawValue: durable ?? end),
            durability: durability, inSyncReplicasMin: 1
        )
        return facts.map { fact in
            let action = fact.tell(&replica)
            let moved = if case .raiseHighWatermark(let to) = action { " → \(to)" } else { "" }
            return "\(fact)\(moved), watermark \(replica.highWatermark)"
        }
    }

    enum Fact: CustomStringConvertible {
        case appended(Int64)
        case written(Int64)
        case synced(Int64)
        case withdrawn(Int64)
        case configured(Replica.Durability)

        func tell(_ replica: inout Replica) -> Replica.Action {
            switch self {
            case .appended(let end): replica.appended(through: Offset(rawValue: end))
            case .written(let end): return replica.written(through: Offset(rawValue: end))
            case .synced(let end): return replica.synced(through: Offset(rawValue: end))
            case .withdrawn(let end): replica.withdrawn(to: Offset(rawValue: end))
            case .configured(let durability): return replica.configured(durability: durability, inSyncReplicasMin: 1)
            }
            return .none
        }

        var description: String {
            switch self {
            case .appended(let end): "appended \(end)"
            case .written(let end): "written \(end)"
            case .synced(let end): "synced \(end)"
            case .withdrawn(let end): "withdrawn \(end)"
            case .configured(let durability): "\(durability)"
            }
        }
    }

    @Test("with fsync the watermark follows what is on the disk, and nothing else")
    func fsync() {
        let lines = self.transcript(.fsync, [.appended(5), .written(5), .appended(9), .synced(5), .synced(9)])
        #expect(
            lines == [
                "appended 5, watermark 0",
                "written 5, watermark 0",
                "appended 9, watermark 0",
                "synced 5 → 5, watermark 5",
                "synced 9 → 9, watermark 9",
            ])
    }

    @Test("with page-cache the watermark follows what was written")
    func pageCache() {
        let lines = self.transcript(.pageCache, [.appended(5), .written(3), .written(5), .synced(5)])
        #expect(
            lines == [
                "appended 5, watermark 0",
                "written 3 → 3, watermark 3",
                "written 5 → 5, watermark 5",
                "synced 5, watermark 5",
            ])
    }

    @Test("late and repeated facts never move the watermark back")
    func late() {
        let lines = self.transcript(.fsync, [.appended(9), .synced(9), .synced(4), .written(4)])
        #expect(lines.last == "written 4, watermark 9")
    }

    @Test("what recovery found in the page cache is not promised before it is synced")
    func recovered() {
        #expect(
            self.transcript(.fsync, from: 10, durable: 7, [.synced(10)]) == ["synced 10 → 10, watermark 10"]
        )
        let replica = Replica(
            leading: .zero, logEnd: Offset(rawValue: 10), durableEnd: Offset(rawValue: 7), durability: .fsync,
            inSyncReplicasMin: 1
        )
        #expect(replica.highWatermark == Offset(rawValue: 7))
    }

    @Test("a stronger promise does not take back what was readable, a weaker one shows more at once")
    func configured() {
        let lines = self.transcript(
            .pageCache,
            [.appended(5), .written(5), .configured(.fsync), .appended(6), .written(6), .configured(.pageCache)]
        )
        #expect(lines[2] == "fsync, watermark 5")
        #expect(lines[4] == "written 6, watermark 5")
        #expect(lines[5] == "pageCache → 6, watermark 6")
    }

    @Test("offsets that the disk had no room for are given again")
    func withdrawn() {
        let lines = self.transcript(
            .fsync, [.appended(5), .synced(5), .appended(9), .withdrawn(5), .appended(7), .synced(7)])
        #expect(lines.last == "synced 7 → 7, watermark 7")
    }

    @Test("one replica is not enough when two must be in sync", arguments: [1, 2, 3] as [Int32])
    func minimum(_ minimum: Int32) {
        let replica = Replica(
            leading: .zero, logEnd: .zero, durableEnd: .zero, durability: .fsync, inSyncReplicasMin: minimum
        )
        #expect(replica.hasEnoughReplicas == (minimum == 1))
    }
}
