package import NIOCore
package import NIOHTTP1

/// How a connection comes to another door on the same port: by the head of a request that is the other door's. From
/// then on it is that door's for good.
package struct EdgeEntrance: Sendable {
    /// Whether a connection that begins with this request is the other door's. On the connection's loop.
    package var takes: @Sendable (HTTPRequestHead) -> Bool
    /// Takes it, on its loop: adds its handler at the place that is named and answers the request itself. Raw bytes go
    /// in both directions from then on, first those that the client sent behind its head; between the socket and the
    /// new handler is nothing that matters but TLS. What stands behind it is not to be given anything.
    private let taken:
        @Sendable (HTTPRequestHead, any Channel, _ isSecure: Bool, ChannelPipeline.SynchronousOperations.Position) ->
            Void

    package init(
        takes: @escaping @Sendable (HTTPRequestHead) -> Bool,
        take:
            @escaping @Sendable (
                HTTPRequestHead, any Channel, _ isSecure: Bool, ChannelPipeline.SynchronousOperations.Position
            ) -> Void
    ) {
        self.takes = takes
        self.taken = take
    }

    func take(
        _ head: HTTPRequestHead, _ channel: any Channel, isSecure: Bool,
        at position: ChannelPipeline.SynchronousOperations.Position
    ) {
        self.taken(head, channel, isSecure, position)
    }
}
