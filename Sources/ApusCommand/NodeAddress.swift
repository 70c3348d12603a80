/// Where a node serves HTTP, as it is typed: `http://host:port`, `https://host:port`, or `host:port` alone. Without
/// a port it is the scheme's, and 8080 without a scheme.
package struct NodeAddress: Hashable, Sendable {
    package var address: HostPort
    package var isSecure: Bool

    package init(_ text: String) throws(CommandFailure) {
        let lower = text.lowercased()
        self.isSecure = lower.hasPrefix("https://")
        var host = Substring(text)
        var port = 8080
        if self.isSecure {
            (host, port) = (host.dropFirst(8), 443)
        } else if lower.hasPrefix("http://") {
            (host, port) = (host.dropFirst(7), 80)
        }
        if host.hasSuffix("/") { host = host.dropLast() }
        guard !host.isEmpty, host.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }),
            !host.contains(where: { "/?@".contains($0) })
        else {
            throw .usage("\"\(text)\" is no address of a node", next: "http://127.0.0.1:8080")
        }
        let hasPort = host.hasPrefix("[") ? !host.hasSuffix("]") : host.contains(":")
        self.address = try HostPort(hasPort ? String(host) : "\(host):\(port)")
    }
}
