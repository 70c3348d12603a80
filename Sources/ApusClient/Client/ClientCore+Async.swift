import ApusCore
import KafkaWire
import NIOCore

/// The same for callers on any task.
extension ClientCore {
    func call<Request: KafkaRequest>(
        _ request: Request, to node: Node, for purpose: Purpose = .control, upTo limit: Int16 = .max,
        timeout: Duration? = nil
    ) async throws(ApusError) -> BrokerAnswer<Request.Response> {
        let result = await withCheckedContinuation { continuation in
            self.loop.execute {
                self.call(request, to: node, for: purpose, upTo: limit, timeout: timeout) {
                    continuation.resume(returning: $0)
                }
            }
        }
        return try result.get()
    }

    func learn(_ topics: [String], within timeout: Duration) async throws(ApusError) {
        let result = await withCheckedContinuation { continuation in
            self.loop.execute {
                self.learn(topics, by: self.now.advanced(by: timeout)) { continuation.resume(returning: $0) }
            }
        }
        try result.get()
    }

    /// Asks whichever broker can be reached, after something is known of the cluster.
    func callAny<Request: KafkaRequest>(_ request: Request) async throws(ApusError) -> BrokerAnswer<Request.Response> {
        try await self.callKnown(request, to: .any)
    }

    /// Asks the broker that manages the cluster.
    func callController<Request: KafkaRequest>(_ request: Request) async throws(ApusError) -> BrokerAnswer<
        Request.Response
    > {
        try await self.learn([], within: self.configuration.callTimeout)
        let controller = await self.ask { self.metadata.controller }
        return try await self.call(request, to: controller.map { .broker($0) } ?? .any)
    }

    /// Asks a broker after its address is known.
    func callKnown<Request: KafkaRequest>(
        _ request: Request, to node: Node
    ) async throws(ApusError) -> BrokerAnswer<Request.Response> {
        try await self.learn([], within: self.configuration.callTimeout)
        return try await self.call(request, to: node)
    }

    /// Asks the loop for a value that lives there.
    func ask<Answer: Sendable>(_ question: @escaping @Sendable () -> Answer) async -> Answer {
        await withCheckedContinuation { continuation in
            self.loop.execute { continuation.resume(returning: question()) }
        }
    }

    /// Waits on the loop's clock.
    func pause(for duration: Duration) async throws {
        let waiter = Waiter()
        self.loop.scheduleTask(in: .nanoseconds(duration.wholeNanoseconds)) { waiter.wake() }
        try await waiter.value()
    }

    /// Repeats what fails for now, by the rules of the protocol, until it works or the time is over.
    /// - Parameter repeats: whether to repeat also what may have been done already.
    func retrying<Answer>(
        repeatingIndefinite repeats: Bool, _ attempt: () async throws(ApusError) -> Answer
    ) async throws -> Answer {
        let deadline = Instant(self.loop.now).advanced(by: self.configuration.callTimeout)
        let backoff = Backoff(base: self.configuration.retryBackoff, limit: self.configuration.retryBackoffMax)
        var failures = 0
        while true {
            do throws(ApusError) {
                return try await attempt()
            } catch {
                failures += 1
                let wait = backoff.wait(afterFailures: failures, chance: self.environment.randomness.next())
                let isOver = Instant(self.loop.now).advanced(by: wait) >= deadline
                guard error.isRetryable, repeats || !error.isIndefinite, !isOver else { throw error }
                self.loop.execute { self.refresh() }
                try await self.pause(for: wait)
            }
        }
    }
}
