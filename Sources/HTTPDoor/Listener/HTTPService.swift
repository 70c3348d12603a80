package import ApusBroker
package import Logging
package import NIOCore

/// The connections of a listener without its port: bytes may come any other way, from a fuzzer for one.
package struct HTTPService: Sendable {
    private let connections: WebConnections
    private let logger: Logger

    package init(_ configuration: HTTPListener.Configuration, broker: Broker, logger: Logger) {
        let door = WebDoor(broker: broker, configuration: configuration, logger: logger)
        self.connections = WebConnections(door: door, configuration: configuration)
        self.logger = logger
    }

    /// Makes the channel a connection; on its loop, before it is active. What is returned serves it and ends with it.
    package func take(_ channel: any Channel) -> @Sendable () async -> Void {
        let made = self.connections.setup(channel: channel, logger: self.logger)
        return { [connections, logger] in
            // `try?`: a connection that could not be made is closed.
            guard let value = try? await made.get() else { return channel.close(promise: nil) }
            await connections.handle(value: value, logger: logger)
        }
    }
}
