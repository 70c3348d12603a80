import ApusCore
import ApusSystem
import Glibc
import NIOCore

/// The one address that will be bound: resolved once, so that what was judged is what is listened on.
struct ListenAddress {
    let host: String
    let port: Int
    /// The flag by which it is said.
    private let flag: String

    /// Resolves and judges. Blocking when the host is a name.
    ///
    /// - Parameter danger: why it may not be reached from other machines; nil: it may.
    init(_ address: ServerAddress, flag: String = "--kafka", danger: String?) throws(ServerError) {
        self.flag = flag
        guard (0...65535).contains(address.port) else {
            throw ServerError(.configuration, "\(flag) \(address): a port is a number from 0 to 65535")
        }
        let resolved: SocketAddress
        do {
            resolved = try SocketAddress.makeAddressResolvingHost(address.host, port: address.port)
        } catch {
            throw ServerError(.addressRefused, "\(flag) \(address): no such host", cause: error)
        }
        guard let host = resolved.ipAddress else {
            throw ServerError(.addressRefused, "\(flag) \(address): not an internet address")
        }
        self.host = host
        self.port = address.port
        if let danger, !Self.isLoopback(host) {
            throw ServerError(
                .publicAddress,
                "\(address) can be reached from other machines, and \(danger). Use \(flag) "
                    + "127.0.0.1:\(address.port), or --auth with --tls-cert and --tls-key, or say --insecure"
            )
        }
    }

    /// 127.0.0.0/8 (RFC 1122), ::1 (RFC 4291), and the former written as IPv6.
    private static func isLoopback(_ host: String) -> Bool {
        host.hasPrefix("127.") || host == "::1" || host.hasPrefix("::ffff:127.")
    }

    /// What a failed bind means, and which flag changes it.
    func refusal(of error: any Error) -> ServerError {
        let address = ServerAddress(host: self.host, port: self.port)
        guard let failure = error as? IOError else {
            return ServerError(.addressRefused, "cannot listen on \(address): \(error)", cause: error)
        }
        switch failure.errnoCode {
        case EADDRINUSE:
            let holder = PortHolder.find(port: self.port).map { " by process \($0.process) (\($0.name))" } ?? ""
            return ServerError(
                .addressInUse, "\(address) is in use\(holder): choose another port with \(self.flag) HOST:PORT",
                cause: error
            )
        case EADDRNOTAVAIL:
            return ServerError(
                .addressRefused,
                "\(address) is not an address of this machine: choose another with \(self.flag) HOST:PORT",
                cause: error)
        case EACCES, EPERM:
            return ServerError(
                .addressRefused,
                "\(address): this user may not listen there; ports below 1024 are root's. "
                    + "Choose another with \(self.flag) HOST:PORT",
                cause: error)
        default:
            return ServerError(
                .addressRefused, "cannot listen on \(address): \(failure.localizedDescription)", cause: error)
        }
    }
}
