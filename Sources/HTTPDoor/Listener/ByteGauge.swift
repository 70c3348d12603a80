import NIOCore

/// Counts what comes from the socket, in front of the decoder: a head that never ends and a chunk's extensions are
/// bytes of which the decoder tells nothing.
final class ByteGauge: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private let guardian: ConnectionGuard

    init(_ guardian: ConnectionGuard) {
        self.guardian = guardian
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard self.guardian.arrived(Self.unwrapInboundIn(data).readableBytes) else { return }
        context.fireChannelRead(data)
    }
}
