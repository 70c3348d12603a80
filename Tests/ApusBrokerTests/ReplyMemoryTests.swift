import ApusCore
import ApusFakes
import KafkaWire
import NIOCore
import NIOEmbedded
import Testing

@testable import ApusBroker

@Suite("Memory for answers")
struct ReplyMemoryTests {
    private static let batchCount = 20

    /// A topic of a megabyte, none of it in the tail cache.
    private func coldWorld() throws -> TestBroker {
        let world = try TestBroker(tailCache: .bytes(1))
        try world.create("t", partitions: 1, ["max.message.bytes": "65536"])
        for _ in 0..<Self.batchCount {
            _ = try world.produce("t", Batch.of([String(repeating: "x", count: 50_000)]))
        }
        return world
    }

    /// The next reads go to the disk threads.
    private func evict(_ world: TestBroker) {
        for slot in world.broker.shards[0].sweep { slot.wasNotCached() }
    }

    /// One fetch, and what a door does with its answer: it counts it before `then` returns.
    private func fetch(
        _ world: TestBroker, _ memory: ReplyMemory, from offset: Int64 = 0, bytesMin: Int = 1, wait: Duration = .zero
    ) -> (answer: Once<[FetchResult]>, ticket: FetchTicket) {
        let answer = Once<[FetchResult]>()
        let entry = FetchEntry(
            topic: .name("t"), partition: PartitionIndex(rawValue: 0), offset: Offset(rawValue: offset),
            bytesMax: .mebibytes(1)
        )
        let limits = FetchLimits(bytesMin: .bytes(bytesMin), bytesMax: .mebibytes(1), waitMax: wait)
        let ticket = world.broker.fetch(
            [entry], limits: limits, client: .embedded, memory: memory, on: world.loop
        ) { results in
            memory.hold(results.first?.byteCount ?? .zero)
            answer.put(results)
        }
        world.tick()
        return (answer, ticket)
    }

    /// Goes on until nothing does, and looks at the memory at every step.
    private func settle(_ world: TestBroker, _ memory: ReplyMemory) {
        repeat {
            world.loop.run()
            #expect(memory.used <= memory.limit)
        } while world.queue.step()
        world.loop.run()
        #expect(memory.used <= memory.limit)
    }

    /// What clients do who read: all answers that are there and were not taken yet.
    private func take(
        _ fetches: [(answer: Once<[FetchResult]>, ticket: FetchTicket)], _ memory: ReplyMemory, _ taken: inout Set<Int>
    ) {
        for (index, fetch) in fetches.enumerated() where !taken.contains(index) {
            guard let result = fetch.answer.value?.first else { continue }
            #expect(result.error == nil)
            #expect(!result.batches.isEmpty)
            memory.drop(result.byteCount)
            taken.insert(index)
        }
    }

    /// Until all have their answers.
    private func takeAll(
        _ fetches: [(answer: Once<[FetchResult]>, ticket: FetchTicket)], _ world: TestBroker, _ memory: ReplyMemory
    ) throws {
        var taken = Set<Int>()
        while taken.count < fetches.count {
            let before = taken.count
            self.take(fetches, memory, &taken)
            try #require(taken.count > before, "somebody always goes on")
            self.settle(world, memory)
        }
        #expect(memory.used == .zero)
        #expect(memory.waitingCount == 0)
        #expect(!memory.isShort)
    }

    @Test(
        "three hundred fetches at once stay within the memory, and all get an answer as others take theirs",
        arguments: [true, false]
    )
    func manyAtOnce(isOnDiskThreads: Bool) throws {
        let world = try self.coldWorld()
        if isOnDiskThreads { self.evict(world) }
        let memory = ReplyMemory(limit: .mebibytes(4))
        let fetches = (0..<300).map { _ in self.fetch(world, memory) }
        #expect(memory.used <= memory.limit)
        #expect(memory.waitingCount > 0)
        self.settle(world, memory)
        let answeredFirst = fetches.count { $0.answer.value != nil }
        #expect((10..<300).contains(answeredFirst))
        #expect(memory.isShort)

        try self.takeAll(fetches, world, memory)
    }

    @Test("parked fetches hold nothing, neither the count nor the bytes, and set memory aside when they are woken")
    func parked() throws {
        let world = try self.coldWorld()
        let memory = ReplyMemory(limit: .mebibytes(2))
        // Each has found one batch and waits for more.
        let fetches = (0..<100).map { _ in
            self.fetch(world, memory, from: Int64(Self.batchCount - 1), bytesMin: 90_000, wait: .seconds(5))
        }
        self.settle(world, memory)
        #expect(memory.used == .zero)
        #expect(memory.waitingCount == 0)
        let parts = world.broker.shards[0].sweep.flatMap(\.parked)
        #expect(parts.count == 100)
        #expect(parts.allSatisfy { $0.results.allSatisfy(\.batches.isEmpty) })

        _ = world.beginProduce([("t", 0, Batch.of([String(repeating: "y", count: 50_000)]))])
        self.settle(world, memory)
        #expect(memory.waitingCount > 0)
        try self.takeAll(fetches, world, memory)
    }

    @Test("a fetch that is cancelled while it waits leaves the queue, one that reads gives back when the disk is done")
    func cancelled() throws {
        let world = try self.coldWorld()
        self.evict(world)
        let memory = ReplyMemory(limit: .mebibytes(1))
        let reading = self.fetch(world, memory)
        let gone = self.fetch(world, memory)
        let last = self.fetch(world, memory)
        #expect(memory.waitingCount == 2)
        gone.ticket.cancel()
        world.tick()
        #expect(memory.waitingCount == 1)
        reading.ticket.cancel()
        world.tick()
        #expect(memory.used > .zero)
        #expect(memory.waitingCount == 1)
        self.settle(world, memory)
        #expect(reading.answer.value == nil)
        #expect(gone.answer.value == nil)
        #expect(last.answer.value?.first?.batches.isEmpty == false)
        #expect(memory.used == last.answer.value?.first?.byteCount)
    }

    @Test("a fetch that is cut short is answered with what it has, whatever it wanted to wait for")
    func cutShort() throws {
        let world = try self.coldWorld()
        let memory = ReplyMemory(limit: .mebibytes(2))
        memory.hold(.kibibytes(1500))
        let (answer, _) = self.fetch(world, memory, bytesMin: 900_000, wait: .seconds(5))
        self.settle(world, memory)
        let result = try #require(answer.value?.first)
        #expect(result.batches.count == 1)
        memory.drop(.kibibytes(1500))
        memory.drop(result.byteCount)
        let (whole, _) = self.fetch(world, memory, bytesMin: 900_000, wait: .seconds(5))
        self.settle(world, memory)
        #expect(whole.value?.first?.batches.count == Self.batchCount)
    }

    @Test("closing the broker answers those who read, and those who waited when it is their turn")
    func closing() throws {
        let world = try self.coldWorld()
        let memory = ReplyMemory(limit: .mebibytes(1))
        let fetches = (0..<3).map { _ in self.fetch(world, memory) }
        #expect(try world.close())
        #expect(fetches[0].answer.value != nil)
        for fetch in fetches where fetch.answer.value != nil {
            memory.drop(fetch.answer.value?.first?.byteCount ?? .zero)
        }
        self.settle(world, memory)
        #expect(fetches.allSatisfy { $0.answer.value != nil })
    }

    @Test("first come, first served: a small one does not overtake a large one that waits")
    func order() throws {
        let loop = EmbeddedEventLoop()
        let memory = ReplyMemory(limit: .mebibytes(10))
        memory.hold(.mebibytes(6))
        let order = (0..<2).map { _ in Once<Bool>() }
        for (index, least) in [(0, 5), (1, 1)] {
            let wish = ReplyMemory.Wish(most: .mebibytes(8), least: .mebibytes(least))
            let reservation = memory.reserve(wish, on: loop) { _ in order[index].put(true) }
            guard case .waiting = reservation else {
                Issue.record("granted out of turn")
                return
            }
        }
        memory.drop(.mebibytes(2))
        loop.run()
        #expect(order.map(\.value) == [true, nil])
        #expect(memory.used == .mebibytes(10))
        memory.drop(.mebibytes(4))
        loop.run()
        #expect(order.map(\.value) == [true, true])
        #expect(memory.used == .mebibytes(7))
    }

    @Test("more than the whole memory is granted no more than there is, and so it goes on")
    func tooLarge() throws {
        let memory = ReplyMemory(limit: .mebibytes(1))
        let wish = ReplyMemory.Wish(most: .mebibytes(64), least: .mebibytes(16))
        guard case .granted(let grant) = memory.reserve(wish, on: EmbeddedEventLoop(), resume: { _ in }) else {
            Issue.record("nobody holds anything, and still it waits")
            return
        }
        #expect(grant.share == .mebibytes(1))
        memory.release(grant)
        #expect(memory.used == .zero)
    }
}
