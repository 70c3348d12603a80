/// Where `apus sub --ws` connects.
package struct PushAddress: Hashable, Sendable {
    package var address: HostPort
    package var isSecure: Bool
    /// With its query.
    package var target: String

    /// `ws://host:port/path` or `wss://…`; the port is 80 or 443 when it is absent, the path `/v1/ws`.
    package init(_ text: String) throws(CommandFailure) {
        let lower = text.lowercased()
        let isSecure = lower.hasPrefix("wss://")
        guard isSecure || lower.hasPrefix("ws://") else { throw Self.refusal(text) }
        let rest = text.dropFirst(isSecure ? 6 : 5)
        let end = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
        let (host, path) = (String(rest[..<end]), String(rest[end...]))
        guard !host.isEmpty, !host.contains("@"), path.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw Self.refusal(text)
        }
        let hasPort = host.hasPrefix("[") ? !host.hasSuffix("]") : host.contains(":")
        self.address = try HostPort(hasPort ? host : "\(host):\(isSecure ? 443 : 80)")
        self.isSecure = isSecure
        self.target = path.isEmpty || path == "/" ? "/v1/ws" : path
    }

    private static func refusal(_ text: String) -> CommandFailure {
        .usage("\"\(text)\" is no address of a WebSocket", next: "--ws ws://127.0.0.1:8080")
    }
}
