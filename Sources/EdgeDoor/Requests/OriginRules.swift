import ApusAccess

/// From which pages browsers may connect (RFC 6455 section 10.2). A client that names no origin is no browser.
package struct OriginRules: Hashable, Sendable {
    /// Origins as browsers write them, `https://example.com:8443`; `*` is all of them.
    package var allowed: Set<String>
    /// Nobody logs in, and only this machine's programs are meant to come. A page of any name that is made to point
    /// here would be of the same origin (DNS rebinding), so the host must be an address, or this machine's own name.
    package var isPrivate = false

    /// - Parameter allowed: besides pages of the host that the request is for.
    package init(allowed: Set<String> = []) {
        self.allowed = Set(allowed.map { $0.lowercased() })
    }

    package func allow(_ request: WebRequest) -> Bool {
        guard !self.isPrivate || Self.isOwn(request.values(of: "host")) else { return false }
        let origins = request.values(of: "origin")
        guard let origin = origins.first?.lowercased() else { return true }
        guard origins.count == 1 else { return false }
        if self.allowed.contains("*") || self.allowed.contains(origin) { return true }
        guard let host = request.value(of: "host")?.lowercased(), !host.isEmpty else { return false }
        // Behind a proxy that ends TLS the page's scheme is not ours.
        return ["http", "https"].contains { scheme in
            let port = scheme == "http" ? ":80" : ":443"
            let plain = host.hasSuffix(port) ? String(host.dropLast(port.count)) : host
            return origin == "\(scheme)://\(host)" || origin == "\(scheme)://\(plain)"
        }
    }

    private static func isOwn(_ hosts: [String]) -> Bool {
        guard let host = hosts.first?.lowercased() else { return true }
        guard hosts.count == 1 else { return false }
        let name: Substring
        if host.hasPrefix("[") {
            name = host.dropFirst().prefix { $0 != "]" }
        } else {
            name = host.prefix { $0 != ":" }
        }
        return name == "localhost" || name.hasSuffix(".localhost") || HostAddress(String(name)) != nil
    }
}
