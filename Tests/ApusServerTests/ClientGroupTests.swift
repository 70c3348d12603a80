import ApusClient
import ApusCore
import ApusServer
import NIOCore
import Synchronization
import Testing

/// The Swift client's groups, from inside and from outside, against the real broker.
@Suite("Groups through the Swift client", .timeLimit(.minutes(20)))
struct ClientGroupTests {
    private func withClient(_ body: @Sendable (ApusClient) async throws -> Void) async throws {
        let bench = try ServerBench()
        try await bench.serve(bench.configuration) { server in
            var configuration = ClientConfiguration(servers: ["\(server.kafka)"])
            configuration.callTimeout = .seconds(300)
            configuration.allowsTopicCreation = false
            try await ApusClient(configuration).withConnection { apus in
                try await apus.topics.create("orders", partitions: 4)
                try await body(apus)
            }
        }
    }

    private func code(_ body: () async throws -> Void) async -> ApusError.Code? {
        do {
            try await body()
            return nil
        } catch let error as ApusError {
            return error.code
        } catch {
            Issue.record("\(error)")
            return nil
        }
    }

    private func fill(_ apus: ApusClient, _ range: Range<Int>) async throws {
        for number in range {
            try await apus.publish(
                ByteBuffer(string: "\(number)"), to: "orders", partition: PartitionIndex(rawValue: Int32(number % 4)))
        }
    }

    /// Joins quickly, and says soon what it did.
    private var options: ConsumerOptions {
        var options = ConsumerOptions()
        options.heartbeatInterval = .milliseconds(200)
        options.commitInterval = .milliseconds(200)
        options.sessionTimeout = .seconds(60)
        return options
    }

    private func place(_ partition: Int32) -> NamedPartition {
        NamedPartition("orders", PartitionIndex(rawValue: partition))
    }

    @Test("positions are set from outside, asked for, forgotten; the group is listed, described and deleted")
    func administration() async throws {
        try await self.withClient { apus in
            try await self.fill(apus, 0..<8)
            #expect(await self.code { _ = try await apus.groups.describe("billing") } == .unknownGroup)
            #expect(await self.code { try await apus.groups.delete("billing") } == .unknownGroup)
            #expect(try await apus.groups.positions(of: "billing").isEmpty)
            let position = GroupPosition(Offset(rawValue: 1), metadata: "said beside")
            try await apus.groups.commit([self.place(0): position, self.place(1): position], for: "billing")
            #expect(try await apus.groups.positions(of: "billing")[self.place(1)] == position)
            let group = try await apus.groups.describe("billing")
            #expect(group.state == .empty && group.members.isEmpty && group.kind == .classic)
            #expect(try await apus.groups.list().map(\.name) == ["billing"])
            let lags = try await apus.groups.lag(of: "billing")
            #expect(lags.map(\.lag) == [1, 1] && lags.map(\.partition) == [self.place(0), self.place(1)])
            try await apus.groups.deletePositions(of: "billing", in: [self.place(0)])
            #expect(try await apus.groups.positions(of: "billing").keys.map { $0 } == [self.place(1)])
            let wrong = [NamedPartition("absent", PartitionIndex(rawValue: 0)): position]
            #expect(await self.code { try await apus.groups.commit(wrong, for: "billing") } == .unknownTopic)
            try await apus.groups.delete("billing")
            #expect(try await apus.groups.list().isEmpty)
        }
    }

    @Test("positions that are set from outside: those that can be are, and each that can not is told")
    func someRefused() async throws {
        try await self.withClient { apus in
            let stranger = NamedPartition("nosuch", PartitionIndex(rawValue: 0))
            let wanted = [
                self.place(0): GroupPosition(.zero), stranger: GroupPosition(.zero),
                self.place(3): GroupPosition(.zero),
            ]
            let refused = try await apus.groups.commitEach(wanted, for: "billing")
            #expect(refused.mapValues(\.code) == [stranger: .unknownTopic])
            #expect(try await Set(apus.groups.positions(of: "billing").keys) == [self.place(0), self.place(3)])
            #expect(await self.code { try await apus.groups.commit(wanted, for: "billing") } == .unknownTopic)
            #expect(try await apus.groups.commitEach([:], for: "billing").isEmpty)
        }
    }

    @Test("a member reads everything once, leaves, and whoever comes next goes on there")
    func resumes() async throws {
        try await self.withClient { apus in
            try await self.fill(apus, 0..<40)
            let first = try await self.read(apus, 40)
            #expect(first.sorted() == Array(0..<40))
            #expect(try await apus.groups.describe("billing").state == .empty)
            try await self.fill(apus, 40..<60)
            #expect(try await self.read(apus, 20).sorted() == Array(40..<60))
            #expect(try await apus.groups.lag(of: "billing").map(\.lag) == [0, 0, 0, 0])
        }
    }

    /// As many records as these, by one member, which commits and leaves.
    private func read(_ apus: ApusClient, _ count: Int) async throws -> [Int] {
        try await apus.withConsumer(of: ["orders"], in: "billing", options: self.options) { consumer in
            var seen: [Int] = []
            for try await batch in consumer {
                seen += try batch.records().compactMap { $0.value.flatMap { Int(String(buffer: $0)) } }
                if seen.count >= count {
                    try await consumer.commit()
                    break
                }
            }
            return seen
        }
    }

    @Test("a batch that was given up in its middle goes on at the record that was named")
    func middle() async throws {
        try await self.withClient { apus in
            try await apus.withProducer { producer in
                for number in 0..<10 {
                    try await producer.send(
                        ProducerRecord(
                            ByteBuffer(string: "\(number)"), topic: "orders", partition: PartitionIndex(rawValue: 2)))
                }
            }
            try await apus.withConsumer(of: ["orders"], in: "billing", options: self.options) { consumer in
                for try await _ in consumer {
                    try await consumer.commit([self.place(2): GroupPosition(Offset(rawValue: 3))])
                    break
                }
            }
            #expect(try await self.read(apus, 7).sorted() == Array(3..<10))
        }
    }

    @Test("two members share the partitions, nobody from outside moves them, and one has all when the other leaves")
    func share() async throws {
        try await self.withClient { apus in
            let seen = Seen()
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                for _ in 0..<2 {
                    tasks.addTask { try await self.take(apus, into: seen) }
                }
                // There is no such group before the first of them came.
                try await self.until { (try? await apus.groups.describe("billing").isShared(by: 2, 4)) ?? false }
                let position = [self.place(0): GroupPosition(.zero)]
                #expect(await self.code { try await apus.groups.commit(position, for: "billing") } == .groupNotEmpty)
                #expect(await self.code { try await apus.groups.delete("billing") } == .groupNotEmpty)
                try await self.fill(apus, 0..<40)
                try await self.until { try await apus.groups.lag(of: "billing").map(\.lag) == [0, 0, 0, 0] }
                tasks.cancelAll()
            }
            #expect(seen.numbers.withLock { Set($0) } == Set(0..<40))
            #expect(try await apus.groups.describe("billing").members.isEmpty)
            #expect(try await apus.groups.lag(of: "billing").map(\.lag) == [0, 0, 0, 0])
        }
    }

    @Test("whoever joins waits for the batch that another member has in hand, and gets nothing of it again")
    func slow() async throws {
        try await self.withClient { apus in
            try await self.fill(apus, 0..<40)
            let seen = Seen()
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                tasks.addTask {
                    try await self.take(apus, into: seen) { isFirst in
                        guard isFirst else { return }
                        try await self.until { try await apus.groups.describe("billing").state == .preparingRebalance }
                    }
                }
                try await self.until { seen.numbers.withLock { !$0.isEmpty } }
                tasks.addTask { try await self.take(apus, into: seen) }
                try await self.until { try await apus.groups.describe("billing").isShared(by: 2, 4) }
                try await self.fill(apus, 40..<80)
                try await self.until { seen.numbers.withLock { $0.count } >= 80 }
                tasks.cancelAll()
            }
            #expect(seen.numbers.withLock { $0.sorted() } == Array(0..<80))
        }
    }

    /// - Parameter processing: what takes the time of a batch; told whether it is the member's first.
    private func take(
        _ apus: ApusClient, into seen: Seen, processing: @Sendable (Bool) async throws -> Void = { _ in }
    ) async throws {
        do {
            try await apus.withConsumer(of: ["orders"], in: "billing", options: self.options) { consumer in
                var isFirst = true
                for try await batch in consumer {
                    let numbers = try batch.records().compactMap { $0.value.flatMap { Int(String(buffer: $0)) } }
                    seen.numbers.withLock { $0 += numbers }
                    try await processing(isFirst)
                    isFirst = false
                }
            }
        } catch is CancellationError {
            // How the test ends it.
        }
    }

    private func until(_ condition: () async throws -> Bool) async throws {
        let end = ContinuousClock.now + .seconds(600)
        while try await !condition() {
            try #require(ContinuousClock.now < end, "it did not come to be in ten minutes")
            await Task.yield()
        }
    }
}

private final class Seen: Sendable {
    let numbers = Mutex<[Int]>([])
}

extension GroupDescription {
    fileprivate func isShared(by members: Int, _ partitions: Int) -> Bool {
        self.state == .stable && self.members.count == members
            && self.members.flatMap(\.partitions).count == partitions
            && self.members.allSatisfy { !$0.partitions.isEmpty }
    }
}
