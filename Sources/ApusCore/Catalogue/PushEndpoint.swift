/// Where records are pushed to: an `http` or `https` address (RFC 3986), without a user, password or fragment.
///
/// Which hosts may be reached from here is not decided by the text: whoever connects checks the address it resolves to.
public struct PushEndpoint: Hashable, Sendable {
    public let text: String
    public let isSecure: Bool
    /// A name, an IPv4 address, or an IPv6 address without its brackets.
    public let host: String
    public let port: Int
    /// With the query; begins with `/`.
    public let target: String

    public init(_ text: String) throws(InvalidField) {
        guard text.utf8.count <= Limits.pushEndpointBytesMax.rawValue else {
            throw Self.refused("at most \(Limits.pushEndpointBytesMax), this has \(text.utf8.count) B")
        }
        guard text.utf8.allSatisfy({ (0x21...0x7E).contains($0) && !"\"<>\\^`{|}".utf8.contains($0) }) else {
            throw Self.refused("is made of the characters of a URL only; others are written as %XX")
        }
        guard let colon = text.range(ofSign: "://") else { throw Self.refused("begins with http:// or https://") }
        switch text[..<colon.lowerBound].lowercased() {
        case "http": self.isSecure = false
        case "https": self.isSecure = true
        default: throw Self.refused("begins with http:// or https://")
        }
        let rest = text[colon.upperBound...]
        guard !rest.utf8.contains(UInt8(ascii: "#")) else { throw Self.refused("has no fragment ('#…')") }
        let end = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
        let authority = rest[..<end]
        guard !authority.contains("@") else { throw Self.refused("has no user and no password in it") }
        let (host, port) = try Self.split(authority)
        self.host = host
        self.port = port ?? (self.isSecure ? 443 : 80)
        let target = String(rest[end...])
        self.target = target.hasPrefix("/") ? target : "/" + target
        self.text = text
    }

    private static func split(_ authority: Substring) throws(InvalidField) -> (String, Int?) {
        let host: Substring
        let after: Substring
        if authority.hasPrefix("[") {
            guard let close = authority.firstIndex(of: "]") else { throw Self.refused("'[' without ']'") }
            host = authority[..<close].dropFirst()
            after = authority[close...].dropFirst()
            guard !host.isEmpty, host.allSatisfy({ $0.isHexDigit || $0 == ":" || $0 == "." }) else {
                throw Self.refused("'[\(host)]' is no IPv6 address")
            }
        } else {
            host = authority.prefix { $0 != ":" }
            after = authority[host.endIndex...]
            guard !host.isEmpty, host.utf8.count <= 253, host.utf8.allSatisfy({ Self.isInHostName($0) }) else {
                throw Self.refused(host.isEmpty ? "names a host" : "'\(host)' is no host name")
            }
        }
        guard !after.isEmpty else { return (String(host), nil) }
        let digits = after.dropFirst()
        guard after.first == ":", digits.utf8.count <= 5, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
            let port = Int(digits), (1...65_535).contains(port)
        else { throw Self.refused("a port is a number from 1 to 65535") }
        return (String(host), port)
    }

    private static func isInHostName(_ byte: UInt8) -> Bool {
        byte != UInt8(ascii: "_") && TopicName.isAllowed(byte)
    }

    private static func refused(_ message: String) -> InvalidField { InvalidField("push-endpoint", message) }
}

extension String {
    fileprivate func range(ofSign sign: String) -> Range<String.Index>? {
        var start = self.startIndex
        while start < self.endIndex {
            if self[start...].hasPrefix(sign) { return start..<self.index(start, offsetBy: sign.count) }
            start = self.index(after: start)
        }
        return nil
    }
}
