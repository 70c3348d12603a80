package import NIOCore
package import NIOHTTP1

/// How a connection comes to another door on the same port: the first request's head decides, and then the connection
/// is the other door's for good.
package struct EdgeEntrance: Sendable {
    /// Whether a connection that begins with this request is the other door's. On the connection's loop.
    package var takes: @Sendable (HTTPRequestHead) -> Bool
    /// Takes it, on its loop: adds its handlers at the end of the pipeline and answers the request itself. Raw bytes go
    /// in both directions from then on, first those that the client sent behind its head; between the socket and the
    /// new handlers is nothing that matters but TLS.
    private let taken: @Sendable (HTTPRequestHead, any Channel, _ isSecure: Bool) -> Void

    package init(
        takes: @escaping @Sendable (HTTPRequestHead) -> Bool,
        take: @escaping @Sendable (HTTPRequestHead, any Channel, _ isSecure: Bool) -> Void
    ) {
        self.takes = takes
        self.taken = take
    }

    func take(_ head: HTTPRequestHead, _ channel: any Channel, isSecure: Bool) {
        self.taken(head, channel, isSecure)
    }
}
