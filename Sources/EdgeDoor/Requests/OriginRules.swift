/// From which pages browsers may connect (RFC 6455 section 10.2). A client that names no origin is no browser.
package struct OriginRules: Hashable, Sendable {
    /// Origins as browsers write them, `https://example.com:8443`; `*` is all of them.
    package var allowed: Set<String>

    /// - Parameter allowed: besides pages of the host that the request is for.
    package init(allowed: Set<String> = []) {
        self.allowed = Set(allowed.map { $0.lowercased() })
    }

    package func allow(_ request: WebRequest) -> Bool {
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
}
