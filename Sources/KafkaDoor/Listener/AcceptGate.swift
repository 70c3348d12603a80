import ApusCore
import Logging
import NIOCore

/// Turns connections away above the listener's caps, before anything is made for them.
///
/// Owner of the census; touched on the server channel's event loop only.
final class AcceptGate: ChannelInboundHandler {
    typealias InboundIn = any Channel
    typealias InboundOut = any Channel

    private var census: ConnectionCensus
    private let logger: Logger
    /// Since when connections are turned away; nil while there is room. One line for each such time, not for each try.
    private var isTurningAway = false

    init(census: ConnectionCensus, logger: Logger) {
        self.census = census
        self.logger = logger
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let child = Self.unwrapInboundIn(data)
        let address = child.remoteAddress?.plainAddress ?? "?"
        guard self.census.enter(address) else {
            if !self.isTurningAway {
                self.isTurningAway = true
                self.logger.warning("turned away \(address): too many connections (\(self.census.count) open)")
            }
            return child.close(promise: nil)
        }
        self.isTurningAway = false
        child.closeFuture.hop(to: context.eventLoop).assumeIsolated().whenComplete { _ in
            self.census.leave(address)
        }
        context.fireChannelRead(data)
    }
}
