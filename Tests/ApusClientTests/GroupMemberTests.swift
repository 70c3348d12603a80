import ApusCore
import KafkaWire
import NIOCore
import NIOEmbedded
import Synchronization
import Testing

@testable import ApusClient

@Suite("A member between two generations", .timeLimit(.minutes(5))) struct GroupMemberTests {
    private static let patience = Duration.seconds(120)

    /// Where the batches that were handed out ended.
    private final class Ends: Sendable {
        private let offsets = Mutex<[Int64]>([])

        var all: [Int64] { self.offsets.withLock { $0 } }
        func note(_ offset: Offset) { self.offsets.withLock { $0.append(offset.rawValue) } }
    }

    /// Lets virtual time pass until the condition holds, which is asked on the broker's loop.
    private func pass(_ broker: FakeCoordinator, until holds: @escaping @Sendable () -> Bool) async throws {
        let deadline = ContinuousClock.now.advanced(by: Self.patience)
        while try await !broker.loop.executeInContext(holds) {
            try #require(ContinuousClock.now < deadline, "it did not come to that")
            await broker.loop.advanceTime(by: .milliseconds(100))
            await Task.yield()
        }
    }

    @Test("what could not be committed is committed later only where it is still its own, and beyond the group")
    func sharedOutAnew() async throws {
        let broker = FakeCoordinator(shares: [[0, 1, 2], [1, 2]])
        try await broker.loop.executeInContext {
            for partition in Int32(0)..<3 { try broker.write(10, to: partition) }
            // It may pass: the member keeps what it wanted to commit.
            broker.commitErrors = [1: .coordinatorNotAvailable]
            broker.onJoin = { [unowned broker] generation in
                guard generation == 2 else { return }
                // Somebody else had 1 and 2 in between, and came to 50 in both; there is more in 1.
                try broker.write(50, to: 1)
                try broker.write(40, to: 2)
                broker.positions = [0: 40, 1: 50, 2: 50]
            }
        }
        var options = ConsumerOptions()
        options.heartbeatInterval = .seconds(1)
        options.commitInterval = .seconds(5)
        let core = broker.client()
        let desk = ConsumerDesk()
        let member = GroupMember(core: core, group: "g", topics: ["t"], options: options, desk: desk)
        let ends = Ends()
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { await member.run() }
            tasks.addTask {
                let consumer = GroupConsumer(core: core, desk: desk, member: member)
                for try await batch in consumer { ends.note(batch.nextOffset) }
            }
            try await self.pass(broker) { ends.all.count == 3 }
            try await broker.loop.executeInContext { broker.isRebalancing = true }
            try await self.pass(broker) { broker.commits.contains { $0.generation == 2 } }
            tasks.cancelAll()
        }
        let commits = try await broker.loop.executeInContext { broker.commits }
        let kept = commits.last { $0.generation == 1 }
        #expect(kept == FakeCoordinator.Commit(generation: 1, offsets: [0: 10, 1: 10, 2: 10]))
        #expect(commits.filter { $0.generation == 2 } == [.init(generation: 2, offsets: [1: 60])])
        #expect(ends.all == [10, 10, 10, 60])
    }
}
