import ApusAccess

/// The host of a `Host` or `Origin` header, as far as it says where a browser believes to be.
///
/// A page of anybody's, open in a browser on this machine, can send requests to 127.0.0.1, and with a name of its own
/// that points there it can read the answers (DNS rebinding). Browsers name the page in `Origin`, and the name that was
/// looked up in `Host`.
enum HostName {
    /// The host without its port; nil when there is none.
    static func host(of text: String) -> Substring? {
        if text.hasPrefix("[") {
            guard let end = text.firstIndex(of: "]") else { return nil }
            return text[text.index(after: text.startIndex)..<end]
        }
        let host = text.prefix { $0 != ":" }
        return host.isEmpty ? nil : host
    }

    /// Written as an address, which nobody can point elsewhere, or the name that every machine has for itself.
    static func isOurs(_ host: Substring) -> Bool {
        let name = host.lowercased()
        return name == "localhost" || name.hasSuffix(".localhost") || HostAddress(name) != nil
    }

    static func isLoopback(_ host: String) -> Bool {
        host == "localhost" || HostAddress(host)?.isLoopback == true
    }

    /// Why a request may not come from where it says that it comes from; nil: it may.
    static func refusal(host: String?, origin: String?, isPrivate: Bool) -> String? {
        if let origin {
            // Same origin: what stands behind the scheme is the host that was asked.
            let parts = origin.lowercased().split(separator: "/", omittingEmptySubsequences: false)
            guard parts.count == 3, parts[0] == "http:" || parts[0] == "https:", let host,
                parts[2] == host.lowercased()[...]
            else { return "pages of other origins may not ask here" }
        }
        guard isPrivate, let host else { return nil }
        guard let name = self.host(of: host), self.isOurs(name) else {
            return "this broker is for this machine only: ask it as localhost or by its address"
        }
        return nil
    }
}
