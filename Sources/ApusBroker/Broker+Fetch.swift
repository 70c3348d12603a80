package import NIOCore

extension Broker {
    /// Reads whole batches, waiting for `limits.bytesMin` for at most `limits.waitMax`. Answers in the entries' order.
    ///
    /// Answers at once when there is an error, a divergence or enough bytes. A cancelled fetch may or may not answer.
    @discardableResult
    package func fetch(
        _ entries: [FetchEntry], limits: FetchLimits, client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable ([FetchResult]) -> Void
    ) -> FetchTicket {
        loop.execute { then(entries.map { _ in FetchResult(error: .shuttingDown) }) }
        return FetchTicket()
    }
}

/// Lets go of a fetch whose client has gone. Any thread.
package final class FetchTicket: Sendable {
    package func cancel() {}
}
