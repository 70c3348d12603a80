/// Where a broker listens.
struct ServerAddress: Hashable, Sendable, CustomStringConvertible {
    static let portDefault = 9092

    var host: String
    /// 1 to 65,535.
    var port: Int

    init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    /// `host`, `host:port`, `[v6 address]:port`; nil for anything else.
    init?(_ text: String) {
        if text.hasPrefix("[") {
            guard let end = text.firstIndex(of: "]") else { return nil }
            self.host = String(text[text.index(after: text.startIndex)..<end])
            let rest = text[text.index(after: end)...]
            guard rest.isEmpty || rest.first == ":" else { return nil }
            guard let port = rest.isEmpty ? Self.portDefault : Int(rest.dropFirst()) else { return nil }
            self.port = port
        } else {
            let parts = text.split(separator: ":", omittingEmptySubsequences: false)
            guard parts.count <= 2, let host = parts.first,
                let port = parts.count == 2 ? Int(parts[1]) : Self.portDefault
            else { return nil }
            self.host = String(host)
            self.port = port
        }
        guard !self.host.isEmpty, (1...65_535).contains(self.port) else { return nil }
    }

    var description: String {
        self.host.contains(":") ? "[\(self.host)]:\(self.port)" : "\(self.host):\(self.port)"
    }
}
