import ApusCore
import ApusSystem
import Logging
import NIOCore
import Synchronization

/// Gives the ballast back when the disk is nearly full, so that the coordinator store and the logs' own files can still
/// be written, and takes it again when there is room. The broker refuses produce long before; this is for a disk that
/// somebody else fills.
///
/// Looks at the free space now and then, on a disk thread. Owner of `hasBallast`.
final class BallastKeeper: Sendable {
    private let directory: DataDirectory
    private let threads: DiskThreads
    private let floor: ByteCount
    private let logger: Logger
    private let hasBallast: Mutex<Bool>
    private let watch = Mutex<RepeatedTask?>(nil)

    init(_ directory: DataDirectory, hasBallast: Bool, threads: DiskThreads, floor: ByteCount, logger: Logger) {
        self.directory = directory
        self.hasBallast = Mutex(hasBallast)
        self.threads = threads
        self.floor = floor
        self.logger = logger
    }

    func start(on loop: any EventLoop) {
        let period = TimeAmount.nanoseconds(Limits.ballastLookPeriod.wholeNanoseconds)
        let watch = loop.scheduleRepeatedTask(initialDelay: period, delay: period) { [self] _ in
            self.threads.run(in: DiskLane(rawValue: .max), on: loop, { _ in self.look() }, then: {})
        }
        self.watch.withLock { $0 = watch }
    }

    /// No look begins after this has answered.
    func stop(on loop: any EventLoop) async {
        guard let watch = self.watch.withLock({ $0 }) else { return }
        let stopped = loop.makePromise(of: Void.self)
        watch.cancel(promise: stopped)
        // A repeated task ends without an error, or the loop is gone and it with it.
        try? await stopped.futureResult.get()
    }

    /// On a disk thread.
    private func look() {
        do throws(DiskError) {
            let free = try self.directory.disk.freeBytes()
            if self.hasBallast.withLock({ $0 }) {
                guard free.rawValue < self.floor.rawValue / 4 else { return }
                try self.directory.dropBallast()
                self.hasBallast.withLock { $0 = false }
                self.logger.error("the disk is full: gave the ballast back", metadata: ["free": "\(free)"])
            } else if free.rawValue / 2 > self.floor.rawValue {
                let isTaken = try self.directory.takeBallast()
                self.hasBallast.withLock { $0 = isTaken }
            }
        } catch {
            self.logger.error("the ballast file cannot be changed", metadata: ["error": "\(error)"])
        }
    }
}
