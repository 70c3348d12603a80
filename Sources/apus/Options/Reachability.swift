import ApusClient
import ApusCommand
import ApusCore
import Foundation
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
                reason = Self.words(for: error)
            }
        }
        throw CommandFailure(ApusError(.unreachable, reason), servers: named)
    }

    /// What went wrong, as the system says it: the errors of a connection attempt carry much that nobody asked for.
    private static func words(for error: any Error) -> String {
        guard let failure = error as? NIOConnectionError else { return Self.reason(error) }
        if let resolution = failure.dnsAError ?? failure.dnsAAAAError, failure.connectionErrors.isEmpty {
            return Self.reason(resolution)
        }
        return failure.connectionErrors.last.map { Self.reason($0.error) } ?? "no address for \(failure.host)"
    }

    private static func reason(_ error: any Error) -> String {
        switch error {
        case let error as IOError: return String(cString: strerror(error.errnoCode))
        case ChannelError.connectTimeout: return "no answer within \(Self.patience.nanoseconds / 1_000_000_000) s"
        case let error as SocketAddressError.UnknownHost: return "there is no host \(error.host)"
        default: return "\(error)"
        }
    }
}
