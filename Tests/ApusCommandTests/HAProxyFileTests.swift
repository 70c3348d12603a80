import Testing

@testable import ApusCommand

@Suite("The configuration of HAProxy")
struct HAProxyFileTests {
    private func address(_ text: String) throws -> HostPort { try HostPort(text) }

    @Test("pushes go to whoever has the fewest connections and is ready, and every node is there once for each backend")
    func whole() throws {
        let file = try HAProxyFile(
            bind: self.address("0.0.0.0:8000"), nodes: [self.address("10.0.0.1:8080"), self.address("10.0.0.2:8080")])
        let text = file.text
        let push = try #require(text.components(after: "backend push\n").first)
        #expect(push.contains("balance leastconn") && push.contains("uri /readyz?unready=404 "))
        // What a node says when it wants no more clients is told apart from a node that is dead.
        #expect(push.contains("http-check disable-on-404") && push.contains("on-marked-down shutdown-sessions"))
        for server in ["server node1 10.0.0.1:8080\n", "server node2 10.0.0.2:8080\n"] {
            #expect(text.components(after: server).count == 2)
        }
        #expect(text.contains("bind 0.0.0.0:8000\n") && text.contains("timeout tunnel 1h"))
        #expect(!text.contains(" ssl "))
    }

    @Test("brokers take what is no push, and TLS is on both sides if it is said")
    func brokers() throws {
        let file = try HAProxyFile(
            bind: self.address("0.0.0.0:443"), certificateFile: "/etc/apus.pem", nodes: [self.address("a:1")],
            brokers: [self.address("b:2")], nodeAuthorityFile: "/etc/ca.pem")
        let rest = try #require(file.text.components(after: "backend rest").last)
        #expect(rest.contains("server node1 b:2\n") && !rest.contains("a:1"))
        #expect(file.text.contains("bind 0.0.0.0:443 ssl crt /etc/apus.pem"))
        #expect(rest.contains("ssl verify required ca-file /etc/ca.pem"))
    }

    @Test("what would break out of its line is refused", arguments: ["a b", "a\nb", "a#b", "\"a\"", ""])
    func names(file: String) throws {
        let node = try self.address("a:1")
        #expect(throws: CommandFailure.self) { try HAProxyFile(bind: node, certificateFile: file, nodes: [node]) }
        #expect(throws: CommandFailure.self) { try HAProxyFile(bind: node, nodes: [node, node]) }
        #expect(throws: CommandFailure.self) { try HAProxyFile(bind: node, nodes: []) }
    }
}

extension String {
    /// What follows each place where the word stands, up to the next.
    fileprivate func components(after word: String) -> [Substring] {
        var parts: [Substring] = []
        var start = self.startIndex
        var last: String.Index?
        while start < self.endIndex {
            if self[start...].hasPrefix(word) {
                if let last { parts.append(self[last..<start]) }
                start = self.index(start, offsetBy: word.count)
                last = start
            } else {
                start = self.index(after: start)
            }
        }
        if let last { parts.append(self[last...]) }
        return parts
    }
}
