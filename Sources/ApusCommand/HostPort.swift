/// `HOST:PORT`, as in `127.0.0.1:9092`, `[::1]:9092`, `localhost:0`, `broker-1` (port 9092).
package struct HostPort: Hashable, Sendable, CustomStringConvertible {
    package static let portDefault = 9092

    package var host: String
    /// 0...65535; 0 asks the system for a free one.
    package var port: Int

    package init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    package init(_ text: String) throws(CommandFailure) {
        let host: Substring
        let rest: Substring
        if text.first == "[", let end = text.firstIndex(of: "]") {
            host = text[text.index(after: text.startIndex)..<end]
            rest = text[text.index(after: end)...]
        } else if let colon = text.lastIndex(of: ":"), text.firstIndex(of: ":") == colon {
            host = text[..<colon]
            rest = text[colon...]
        } else {
            host = text[...]
            rest = ""
        }
        let digits = rest.dropFirst()
        let isNamed = !host.isEmpty && !host.contains { $0.isWhitespace || $0 == "[" || $0 == "]" }
        guard isNamed, rest.isEmpty || rest.first == ":",
            digits.allSatisfy({ ("0"..."9").contains($0) }), rest.isEmpty || !digits.isEmpty,
            let port = rest.isEmpty ? Self.portDefault : Int(digits), port <= 65_535,
            // More than one colon needs brackets, else nobody knows where the port begins.
            text.first == "[" || !host.contains(":")
        else {
            throw .usage(
                "\"\(text)\" is not an address", next: "write it as 127.0.0.1:9092, localhost:9092 or [::1]:9092")
        }
        self.host = String(host)
        self.port = port
    }

    /// Several, with commas between them.
    package static func list(_ text: String) throws(CommandFailure) -> [HostPort] {
        var list: [HostPort] = []
        for part in text.split(separator: ",") {
            list.append(try HostPort(String(part.trimming(while: \.isWhitespace))))
        }
        guard !list.isEmpty else { throw .usage("no server was named", next: "--server 127.0.0.1:9092") }
        return list
    }

    /// Only this machine can connect there.
    package var isLoopback: Bool {
        if self.host == "localhost" || self.host == "::1" { return true }
        let parts = self.host.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
    }

    package var description: String {
        self.host.contains(":") ? "[\(self.host)]:\(self.port)" : "\(self.host):\(self.port)"
    }
}

extension Substring {
    fileprivate func trimming(while isNoise: (Character) -> Bool) -> Substring {
        var text = self.drop(while: isNoise)
        while let last = text.last, isNoise(last) { text.removeLast() }
        return text
    }
}
