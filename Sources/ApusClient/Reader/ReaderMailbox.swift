import ApusCore
import DequeModule
import Synchronization

/// Batches on their way from the event loop, which fetches ahead, to the task that reads.
///
/// Its bound is the reader's back-pressure: while it is over, nothing is fetched.
final class ReaderMailbox: Sendable {
    private struct State {
        var batches: Deque<ReaderBatch> = []
        var bytes = 0
        var waiter: Waiter?
        var end: Result<Void, ApusError>?
        /// The event loop stopped for lack of room and waits to be told.
        var isPaused = false
    }

    enum Answer {
        /// With `resumes`, the event loop is to be told that there is room again.
        case batch(ReaderBatch, resumes: Bool)
        case ended(Result<Void, ApusError>)
        case wait(Waiter)
    }

    private let state = Mutex(State())
    private let bytesMax: Int

    init(bytesMax: Int) {
        self.bytesMax = bytesMax
    }

    /// - Returns: whether more may be fetched.
    func put(_ batches: [ReaderBatch]) -> Bool {
        let (waiter, hasRoom) = self.state.withLock { state in
            for batch in batches {
                state.batches.append(batch)
                state.bytes += batch.byteCount.rawValue
            }
            state.isPaused = state.bytes >= self.bytesMax
            return (batches.isEmpty ? nil : state.waiter.take(), !state.isPaused)
        }
        waiter?.wake()
        return hasRoom
    }

    var hasRoom: Bool { self.put([]) }

    /// What was put before is still handed out.
    func end(_ result: Result<Void, ApusError>) {
        let waiter = self.state.withLock { state in
            if state.end == nil { state.end = result }
            return state.waiter.take()
        }
        waiter?.wake()
    }

    func take() -> Answer {
        self.state.withLock { state in
            if let batch = state.batches.popFirst() {
                state.bytes -= batch.byteCount.rawValue
                let resumes = state.isPaused && state.bytes <= self.bytesMax / 2
                if resumes { state.isPaused = false }
                return .batch(batch, resumes: resumes)
            }
            if let end = state.end { return .ended(end) }
            let waiter = Waiter()
            state.waiter = waiter
            return .wait(waiter)
        }
    }
}
