import ApusCore
import ApusFakes
import ApusSubscriptions
import Testing

@Suite("Readers of a partition")
struct PartitionReadersTests {
    private let billing = SubscriptionID(1)
    private let search = SubscriptionID(2)
    private let audit = SubscriptionID(3)
    private let consumed = RetentionPolicy(floor: .zero, ceiling: .hours(100), mode: .consumed)

    private func readers(_ periods: (SubscriptionID, Duration?)...) -> [Reader] {
        periods.map { Reader(id: $0.0, period: $0.1) }
    }

    /// One record an hour up to now, at offset 1000.
    private func startOfAge(_ age: Duration) -> Offset {
        Offset(max(0, 1000 - age.components.seconds / 3600))
    }

    @Test("records are free when the slowest has read them, between floor and ceiling")
    func free() {
        var partition = PartitionReaders()
        let all = self.readers((self.billing, nil), (self.search, nil))
        func free(_ policy: RetentionPolicy, _ readers: [Reader]) -> Int64 {
            partition.free(below: Offset(1000), readers: readers, policy: policy, startOfAge: self.startOfAge).rawValue
        }
        // Nobody has read anything: only what is older than the ceiling goes.
        #expect(free(self.consumed, all) == 900)
        #expect(free(RetentionPolicy(floor: .zero, mode: .consumed), all) == 0)
        partition.committed(self.billing, Offset(990))
        partition.committed(self.search, Offset(950))
        #expect(free(self.consumed, all) == 950)
        partition.committed(self.search, Offset(999))
        #expect(free(self.consumed, all) == 990)
        // The floor keeps what everybody has read.
        #expect(free(RetentionPolicy(floor: .hours(30), ceiling: .hours(100), mode: .consumed), all) == 970)
        #expect(free(RetentionPolicy(floor: nil, mode: .consumed), all) == 0)
        // A third that has read nothing holds up to the ceiling, or its own period, or until it is gone.
        #expect(free(self.consumed, all + self.readers((self.audit, nil))) == 900)
        #expect(free(self.consumed, all + self.readers((self.audit, .hours(20)))) == 980)
        #expect(free(self.consumed, all + self.readers((self.audit, .hours(500)))) == 900)
        // One that begins at the end is not waited for.
        partition.began(self.audit, at: Offset(1000))
        #expect(free(self.consumed, all + self.readers((self.audit, nil))) == 990)
        partition.forget(self.billing)
        #expect(free(self.consumed, self.readers((self.search, nil))) == 999)
        #expect(free(self.consumed, []) == 1000)
    }

    @Test("what is not promised yet is never free, whatever positions say")
    func highWatermark() {
        var partition = PartitionReaders()
        partition.committed(self.billing, Offset(5000))
        let readers = self.readers((self.billing, nil))
        #expect(
            partition.free(below: Offset(70), readers: readers, policy: self.consumed) { _ in Offset(9000) }
                == Offset(70))
    }

    @Test("3 of 5 have read it: who is missing is named")
    func counts() {
        var partition = PartitionReaders()
        var index = SubscriptionIndex()
        let names = ["audit", "search", "billing", "mail", "stock"]
        for (number, name) in names.enumerated() {
            index.apply(.put(.sample(Int64(number), name), at: Int64(number + 1)))
            partition.committed(SubscriptionID(Int64(number)), Offset([50, 3, 7, 8, 9][number]))
        }
        let readers = index.readers(of: "orders")
        func words(_ offset: Int64) -> String {
            partition.count(at: Offset(offset), readers: readers, policy: self.consumed) { _ in .zero }.inWords(index)
        }
        #expect(words(7) == "3 of 5 have read it; waiting for billing, search")
        #expect(words(0) == "5 of 5 have read it")
        #expect(words(99) == "0 of 5 have read it; waiting for audit, billing, mail, search, stock")
        index.apply(.put(.sample(9, "late", period: .hours(1)), at: 9))
        let late = partition.count(
            at: Offset(8), readers: index.readers(of: "orders"), policy: self.consumed
        ) { $0 == .hours(1) ? Offset(9) : .zero }
        #expect(late.inWords(index) == "2 of 6 have read it; waiting for billing, mail, search; too late for late")
        #expect(ReaderCount(subscriptions: 0).inWords(index) == "no subscription reads it")
    }

    @Test("of many who are missing, twenty are named and the others counted")
    func many() {
        var index = SubscriptionIndex()
        for id in 10..<Int64(60) { index.apply(.put(.sample(id), at: id)) }
        let count = PartitionReaders().count(
            at: Offset(1), readers: index.readers(of: "orders"), policy: self.consumed
        ) { _ in .zero }
        #expect(count.waiting == 50 && count.waitingFor.count == 20)
        #expect(count.inWords(index).hasSuffix("s29, and 30 more"))
    }

    @Test("a queue's acks above its position count, and the position moves over what is acked behind it")
    func acks() {
        var partition = PartitionReaders()
        partition.began(self.billing, at: Offset(10))
        partition.acked(self.billing, Offset(12)..<Offset(15))
        partition.acked(self.billing, Offset(20)..<Offset(21))
        #expect(partition.position(of: self.billing) == Offset(10))
        #expect(
            [9, 10, 11, 12, 14, 15, 20, 21].filter { partition.hasRead(self.billing, Offset($0)) } == [9, 12, 14, 20])
        partition.acked(self.billing, Offset(15)..<Offset(20))
        #expect(partition.position(of: self.billing) == Offset(10))
        partition.acked(self.billing, Offset(10)..<Offset(12))
        #expect(partition.position(of: self.billing) == Offset(21))
        partition.began(self.billing, at: Offset(99))
        #expect(partition.position(of: self.billing) == Offset(21))
    }

    @Test("a seek back makes unread what lies behind it, a seek on passes what lies between")
    func seeks() {
        var partition = PartitionReaders()
        partition.committed(self.billing, Offset(100))
        partition.committed(self.billing, Offset(40))
        #expect(!partition.hasRead(self.billing, Offset(40)) && partition.hasRead(self.billing, Offset(39)))
        partition.acked(self.billing, Offset(60)..<Offset(70))
        partition.committed(self.billing, Offset(65))
        #expect(partition.position(of: self.billing) == Offset(70))
    }

    @Test("under any history each record is read exactly if it was passed or acked", arguments: 0..<80)
    func againstModel(seed: Int) {
        var random = SplitMix64(seed: UInt64(seed))
        var partition = PartitionReaders()
        let ids = (0..<4).map { SubscriptionID(Int64($0)) }
        var read: [SubscriptionID: [Bool]] = [:]
        for _ in 0..<60 {
            let id = ids[random.below(4)]
            let from = random.below(60)
            let count = random.below(8)
            switch random.below(8) {
            case 0:
                partition.forget(id)
                read[id] = nil
            case 1:
                // Forward only: what a seek back does to acks is told by a test of its own.
                let position = max(from, read[id]?.firstIndex(of: false) ?? 0)
                partition.committed(id, Offset(Int64(position)))
                var model = read[id] ?? Array(repeating: false, count: 80)
                for offset in 0..<position { model[offset] = true }
                read[id] = model
            default:
                partition.acked(id, Offset(Int64(from))..<Offset(Int64(from + count)))
                guard count > 0 else { break }
                var model = read[id] ?? Array(repeating: false, count: 80)
                for offset in from..<from + count { model[offset] = true }
                read[id] = model
            }
            for id in ids {
                for offset in 0..<70 {
                    let expected = read[id]?[offset] ?? false
                    if partition.hasRead(id, Offset(Int64(offset))) != expected {
                        Issue.record("\(id) at \(offset): read is not \(expected)")
                    }
                }
            }
            let lowest = ids.map { read[$0]?.firstIndex(of: false) ?? 0 }.min() ?? 0
            let free = partition.free(
                below: Offset(70), readers: ids.map { Reader(id: $0, period: nil) },
                policy: RetentionPolicy(floor: .zero, mode: .consumed), startOfAge: { _ in Offset(70) })
            #expect(free == Offset(Int64(min(lowest, 70))))
        }
    }

    @Test("a dead reader pins the disk no longer than its period, the ceiling or its expiry lets it")
    func deadReader() {
        let clock = SimulatedClock(wallTime: .start)
        let policy = RetentionPolicy(floor: .hours(1), ceiling: .hours(48), mode: .consumed)
        var index = SubscriptionIndex()
        var expiries = SubscriptionExpiries(startedAt: .start)
        let page = CataloguePage([
            .sample(1, "alive", expiry: .days(7)), .sample(2, "dead", expiry: .days(3)),
        ])
        index.load(page)
        expiries.load(page)
        var partition = PartitionReaders()
        var ends: [Int: Int64] = [:]
        // One record an hour, for five days; the living one reads at once, the other never did.
        for hour in 1...120 {
            clock.advance(by: .hours(1))
            partition.committed(SubscriptionID(1), Offset(Int64(hour)))
            expiries.used(SubscriptionID(1), at: clock.wallTime)
            for expired in expiries.expired(at: clock.wallTime) {
                index.apply(.remove(expired, at: Int64(hour)))
                partition.forget(expired.id)
            }
            let free = partition.free(
                below: Offset(Int64(hour)), readers: index.readers(of: "orders"), policy: policy
            ) { Offset(max(0, Int64(hour) - $0.components.seconds / 3600)) }
            ends[hour] = Int64(hour) - free.rawValue
        }
        #expect(ends[24] == 24 && ends[48] == 48 && ends[60] == 48 && ends[71] == 48)
        #expect(ends[72] == 1 && ends[120] == 1)
        #expect(index.count == 1)
    }
}
