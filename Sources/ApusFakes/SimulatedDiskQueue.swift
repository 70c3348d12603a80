package import ApusCore
package import NIOCore
import Synchronization

/// Runs disk work at once on the caller's thread; the answer comes as a task of its own on the loop.
package final class InlineDiskQueue: DiskQueue {
    package let disk: any Disk

    package init(_ disk: any Disk) { self.disk = disk }

    package func run<Answer: Sendable>(
        in lane: DiskLane, on loop: any EventLoop, _ work: @escaping @Sendable (any Disk) -> Answer,
        then: @escaping @Sendable (Answer) -> Void
    ) {
        let answer = work(self.disk)
        loop.execute { then(answer) }
    }

    package func runShort<Answer>(_ work: (any Disk) -> Answer) -> Answer? { work(self.disk) }
}

/// Keeps disk work until it is told to go on, one piece at a time, in an order that the seed picks: lanes overtake one
/// another, work of one lane never does.
package final class SimulatedDiskQueue: DiskQueue {
    private struct State {
        var random: SplitMix64
        var lanes: [DiskLane: [@Sendable () -> Void]] = [:]
    }

    package let disk: any Disk
    private let state: Mutex<State>

    package init(_ disk: any Disk, seed: UInt64) {
        self.disk = disk
        self.state = Mutex(State(random: SplitMix64(seed: seed)))
    }

    package func run<Answer: Sendable>(
        in lane: DiskLane, on loop: any EventLoop, _ work: @escaping @Sendable (any Disk) -> Answer,
        then: @escaping @Sendable (Answer) -> Void
    ) {
        let disk = self.disk
        let piece: @Sendable () -> Void = {
            let answer = work(disk)
            loop.execute { then(answer) }
        }
        self.state.withLock { $0.lanes[lane, default: []].append(piece) }
    }

    /// Now or not: the seed says.
    package func runShort<Answer>(_ work: (any Disk) -> Answer) -> Answer? {
        self.state.withLock { $0.random.below(2) == 0 } ? work(self.disk) : nil
    }

    /// Whose pieces wait.
    package var lanesWaiting: Set<DiskLane> { self.state.withLock { Set($0.lanes.keys) } }

    /// Pieces that wait.
    package var count: Int { self.state.withLock { $0.lanes.values.reduce(0) { $0 + $1.count } } }

    /// Runs one piece. Its answer is on its loop then, not delivered yet.
    /// - Returns: false when nothing waits.
    @discardableResult
    package func step() -> Bool {
        let piece = self.state.withLock { state -> (@Sendable () -> Void)? in
            // Sorted: the order of a dictionary differs from one process to the next.
            let lanes = state.lanes.keys.sorted { $0.rawValue < $1.rawValue }
            guard !lanes.isEmpty else { return nil }
            let lane = lanes[state.random.below(lanes.count)]
            let piece = state.lanes[lane]?.removeFirst()
            if state.lanes[lane]?.isEmpty ?? false { state.lanes[lane] = nil }
            return piece
        }
        guard let piece else { return false }
        piece()
        return true
    }

    /// The process ends: what waits is never run.
    package func dropAll() {
        self.state.withLock { $0.lanes = [:] }
    }
}
