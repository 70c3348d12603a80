import ApusClient
import ApusCommand
import ApusCore
import NIOCore
import NIOPosix

/// Whether anybody listens at all. The client keeps trying for as long as a call may take, as a service wants it; a
/// person who mistyped an address wants to hear of it now.
enum Reachability {
    private static let patience = TimeAmount.seconds(3)

    /// Throws when every one of the servers refuses at once.
    static func check(_ servers: [HostPort], named: String) async throws(CommandFailure) {
        var reason = ""
        for server in servers {
            do {
                let bootstrap = ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                    .connectTimeout(Self.patience)
                let channel = try await bootstrap.connect(host: server.host, port: server.port).get()
                try await channel.close().get()
                return
            } catch {
                reason = "\(error)"
            }
        }
        throw CommandFailure(ApusError(.unreachable, reason), servers: named)
    }
}
