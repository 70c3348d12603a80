import Synchronization

/// An answer that one task waits for and another thread gives. The first answer counts, the others find nobody; it may
/// come before the wait. Cancelling the task that waits is an answer too.
final class Reply<Value: Sendable>: Sendable {
    private enum State {
        case open
        case awaited(CheckedContinuation<Value, any Error>)
        case answered(Result<Value, any Error>)
        case done
    }

    private let state = Mutex(State.open)

    func answer<Failure: Error>(_ answer: Result<Value, Failure>) {
        let result = answer.mapError { $0 as any Error }
        let continuation = self.state.withLock { state -> CheckedContinuation<Value, any Error>? in
            switch state {
            case .open: state = .answered(result)
            case .awaited(let continuation):
                state = .done
                return continuation
            case .answered, .done: break
            }
            return nil
        }
        continuation?.resume(with: result)
    }

    /// To be called once.
    func value() async throws -> Value {
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let result = self.state.withLock { state -> Result<Value, any Error>? in
                    guard case .answered(let result) = state else {
                        state = .awaited(continuation)
                        return nil
                    }
                    state = .done
                    return result
                }
                if let result { continuation.resume(with: result) }
            }
        } onCancel: {
            self.answer(Result<Value, CancellationError>.failure(CancellationError()))
        }
    }
}

/// Somebody who waits until it is worth looking again.
typealias Waiter = Reply<Void>

extension Reply<Void> {
    func wake() { self.answer(Result<Void, ApusError>.success(())) }
}
