import ApusCore
@testable import ApusSystem
import Glibc
import NIOCore
import NIOPosix
import Synchronization
import Testing

@Suite struct DiskThreadsTests {
    private let directory: TemporaryDirectory
    private let disk: PosixDisk
    private let loops = MultiThreadedEventLoopGroup(numberOfThreads: 2)

    init() throws {
        self.directory = try TemporaryDirectory()
        self.disk = try PosixDisk(below: self.directory.path)
    }

    /// Runs the body with threads of its own, and waits for every one of them to end.
    private func withThreads(_ count: Int, _ body: (DiskThreads) async throws -> Void) async throws {
        let threads = DiskThreads(count: count, disk: self.disk)
        do {
            try await body(threads)
        } catch {
            await threads.shutdown()
            try await self.loops.shutdownGracefully()
            throw error
        }
        await threads.shutdown()
        try await self.loops.shutdownGracefully()
    }

    @Test("the answer comes once, on the loop it was asked on")
    func answers() async throws {
        try await self.withThreads(2) { threads in
            for loop in [self.loops.next(), self.loops.next()] {
                let size = await withCheckedContinuation { continuation in
                    threads.run(
                        in: DiskLane(rawValue: 1), on: loop,
                        { disk in
                            Result { () throws(DiskError) in
                                try disk.create(DiskPath("f\(ObjectIdentifier(loop).hashValue)"))
                                return try disk.list(.root).count
                            }
                        },
                        then: { answer in
                            loop.preconditionInEventLoop()
                            continuation.resume(returning: answer)
                        })
                }
                let count = try size.get()
                #expect(count > 0)
            }
        }
    }

    @Test("jobs of a lane run one at a time and are answered in order, on many threads", arguments: [1, 4, 16])
    func order(threadCount: Int) async throws {
        let lanes = 20
        let jobs = 200
        let running = Mutex([Int](repeating: 0, count: lanes))
        let overlaps = Mutex(0)
        let answers = Mutex([[Int]](repeating: [], count: lanes))
        try await self.withThreads(threadCount) { threads in
            let loop = self.loops.next()
            await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
                let left = Mutex(lanes * jobs)
                for job in 0..<jobs {
                    for lane in 0..<lanes {
                        threads.run(
                            in: DiskLane(rawValue: UInt64(lane)), on: loop,
                            { _ in
                                running.withLock { $0[lane] += 1 }
                                if running.withLock({ $0[lane] }) != 1 { overlaps.withLock { $0 += 1 } }
                                running.withLock { $0[lane] -= 1 }
                                return job
                            },
                            then: { job in
                                answers.withLock { $0[lane].append(job) }
                                let isLast = left.withLock { left in
                                    left -= 1
                                    return left == 0
                                }
                                if isLast { continuation.resume() }
                            })
                    }
                }
            }
        }
        #expect(overlaps.withLock { $0 } == 0)
        #expect(answers.withLock { $0 } == Array(repeating: Array(0..<jobs), count: lanes))
    }

    @Test("lanes run beside one another: each of four jobs waits until all four have begun")
    func parallel() async throws {
        let meeting = Meeting(of: 4)
        try await self.withThreads(4) { threads in
            let loop = self.loops.next()
            await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
                let left = Mutex(4)
                for lane in 0..<4 {
                    threads.run(in: DiskLane(rawValue: UInt64(lane)), on: loop, { _ in meeting.arrive() }) {
                        let isLast = left.withLock { left in
                            left -= 1
                            return left == 0
                        }
                        if isLast { continuation.resume() }
                    }
                }
            }
        }
        #expect(meeting.count == 4)
    }

    @Test("a lane that is stuck does not hold up another")
    func stuckLane() async throws {
        let gate = Meeting(of: 2)
        try await self.withThreads(2) { threads in
            let loop = self.loops.next()
            for _ in 0..<100 { threads.run(in: DiskLane(rawValue: 1), on: loop, { _ in gate.arriveOnce() }) {} }
            for _ in 0..<100 {
                await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
                    threads.run(in: DiskLane(rawValue: 2), on: loop, { _ in }) { continuation.resume() }
                }
            }
            gate.arrive()
        }
    }

    @Test("reads that give way take no thread from a write, however many are stuck")
    func stuckReads() async throws {
        let door = Meeting(of: 1)
        try await self.withThreads(2) { threads in
            let loop = self.loops.next()
            for lane in 0..<20 {
                threads.run(in: DiskLane(rawValue: UInt64(lane), givesWay: true), on: loop, { _ in door.waitForAll() })
                {}
            }
            for lane in 0..<20 {
                await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
                    threads.run(in: DiskLane(rawValue: UInt64(lane)), on: loop, { _ in }) { continuation.resume() }
                }
            }
            door.arrive()
        }
    }

    @Test("what gives way runs at a lower priority than the rest")
    func priority() async throws {
        try await self.withThreads(2) { threads in
            let loop = self.loops.next()
            var niceness: [Int32] = []
            for givesWay in [false, true] {
                niceness.append(
                    await withCheckedContinuation { continuation in
                        threads.run(in: DiskLane(rawValue: 1, givesWay: givesWay), on: loop, { _ in nice(0) }) {
                            continuation.resume(returning: $0)
                        }
                    })
            }
            #expect(niceness[1] == min(19, niceness[0] + Limits.coldReaderNiceness))
        }
    }

    @Test("all that was queued before a shutdown is run and answered, and what comes after it too")
    func shutdown() async throws {
        let answered = Mutex(0)
        let threads = DiskThreads(count: 3, disk: self.disk)
        let loop = self.loops.next()
        for job in 0..<1000 {
            threads.run(in: DiskLane(rawValue: UInt64(job % 7)), on: loop, { _ in }) { answered.withLock { $0 += 1 } }
        }
        await threads.shutdown()
        threads.run(in: DiskLane(rawValue: 1), on: loop, { _ in }) { answered.withLock { $0 += 1 } }
        await threads.shutdown()
        try await loop.submit {}.get()
        #expect(answered.withLock { $0 } == 1001)
        try await self.loops.shutdownGracefully()
    }
}

/// A place where threads wait until as many have come as were asked for.
///
/// Unchecked because `arrived` is touched between `lock` and `unlock` only.
private final class Meeting: @unchecked Sendable {
    private let gate = ThreadGate()
    private let size: Int
    private var arrived = 0

    init(of size: Int) { self.size = size }

    var count: Int {
        self.gate.lock()
        defer { self.gate.unlock() }
        return self.arrived
    }

    func arrive() {
        self.gate.lock()
        self.arrived += 1
        self.gate.wakeAll()
        while self.arrived < self.size { self.gate.wait() }
        self.gate.unlock()
    }

    /// Waits like one who came, and is not counted.
    func waitForAll() {
        self.gate.lock()
        while self.arrived < self.size { self.gate.wait() }
        self.gate.unlock()
    }

    /// The first to come waits; whoever comes when all are here does not.
    func arriveOnce() {
        if self.count < self.size { self.arrive() }
    }
}
