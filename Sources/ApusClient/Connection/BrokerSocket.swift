import ApusCore
import NIOCore
import NIOPosix

/// Makes the TCP connection.
enum BrokerSocket {
    static func connect(
        to address: ServerAddress, handler: BrokerConnection, configuration: ClientConfiguration, on loop: any EventLoop
    ) -> EventLoopFuture<any Channel> {
        ClientBootstrap(group: loop)
            .connectTimeout(.nanoseconds(configuration.connectTimeout.wholeNanoseconds))
            .channelOption(.tcpOption(.tcp_nodelay), value: configuration.sendsWithoutDelay ? 1 : 0)
            .channelOption(.socketOption(.so_keepalive), value: 1)
            .channelOption(.recvAllocator, value: handler.readAllocator)
            .channelOption(.maxMessagesPerRead, value: 16)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(handler)
                }
            }
            .connect(host: address.host, port: address.port)
            .map { $0 }
    }
}
