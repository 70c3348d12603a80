/// A whole configuration of HAProxy in front of nodes that push: what `apus generate haproxy` prints.
package struct HAProxyFile: Hashable, Sendable {
    /// Where clients connect.
    package var bind: HostPort
    /// A certificate with its key, in one PEM file; nil: in clear.
    package var certificateFile: String?
    /// Nodes with `/v1/ws` and `/v1/stream`: endpoint servers, or brokers.
    package var nodes: [HostPort]
    /// Where everything else goes, which only brokers serve; none: to the nodes, too.
    package var brokers: [HostPort]
    /// The nodes' certificates must be signed by those in this file; nil: nodes are spoken to in clear.
    package var nodeAuthorityFile: String?

    /// - Throws: no node, one that is named twice, a file whose name would not stay on its line.
    package init(
        bind: HostPort, certificateFile: String? = nil, nodes: [HostPort], brokers: [HostPort] = [],
        nodeAuthorityFile: String? = nil
    ) throws(CommandFailure) {
        guard !nodes.isEmpty else { throw .usage("a balancer needs nodes", next: "--node HOST:PORT --node HOST:PORT") }
        for list in [nodes, brokers] where Set(list).count != list.count {
            throw .usage("a node is named twice", next: "name each once")
        }
        for host in ([bind] + nodes + brokers).map(\.host) where !Self.isPlain(host) {
            throw .usage("\"\(host)\" is no host")
        }
        for file in [certificateFile, nodeAuthorityFile].compactMap(\.self) where !Self.isPlain(file) {
            throw .usage("HAProxy's file has no room for the name \"\(file)\"", next: "no spaces, no quotes")
        }
        self.bind = bind
        self.certificateFile = certificateFile
        self.nodes = nodes
        self.brokers = brokers
        self.nodeAuthorityFile = nodeAuthorityFile
    }

    /// What needs no quoting there.
    private static func isPlain(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F } && !text.contains { "\"'\\#$".contains($0) }
    }

    package var text: String {
        let tls = self.certificateFile.map { " ssl crt \($0) alpn http/1.1" } ?? ""
        return """
            # Written by "apus generate haproxy". HAProxy 2.4 or newer.
            #
            # Try it:  haproxy -c -f THIS    Run it:  haproxy -f THIS

            # How many connections there may be follows from the limit of open files: each takes two.

            defaults
                mode http
                option redispatch 1
                option http-no-delay
                retries 3
                retry-on conn-failure
                timeout connect 2s
                timeout http-request 10s
                timeout http-keep-alive 60s
                timeout queue 10s
                # A node that is slow to answer is busy with its clients. Taken for dead it would lose them all, and
                # they would come back to it or to the others at once.
                timeout check 5s
                # A quiet stream has a sign of life every 25 s, in one direction only.
                timeout client 1h
                timeout server 1h
                # WebSockets, in both directions.
                timeout tunnel 1h

            frontend apus
                bind \(self.bind)\(tls)
                acl is_push path /v1/ws /v1/stream
                use_backend push if is_push
                default_backend rest

            # Connections stay for hours: each new one goes to whoever has the fewest. A node that is about to stop, or
            # that has lost its brokers, says so here (404), gets no more, and keeps the clients it has or sends them
            # away itself. One that says nothing is dead: after the first connection that it refuses it is asked again
            # at once, and what still seems open to it is closed, so that its clients come back to another.
            backend push
                balance leastconn
            \(self.servers(self.nodes))

            backend rest
                balance roundrobin
                timeout server 90s
            \(self.servers(self.brokers.isEmpty ? self.nodes : self.brokers))

            """
    }

    private static let check =
        "check inter 1s fastinter 250ms downinter 1s fall 3 rise 1 observe layer4 error-limit 1 on-error sudden-death"

    private func servers(_ nodes: [HostPort]) -> String {
        let tls = self.nodeAuthorityFile.map { " ssl verify required ca-file \($0) alpn http/1.1" } ?? ""
        var lines = [
            "    option httpchk",
            "    http-check send meth GET uri /readyz?unready=404 ver HTTP/1.1 hdr Host localhost",
            "    http-check disable-on-404", "    default-server \(Self.check) on-marked-down shutdown-sessions\(tls)",
        ]
        lines += nodes.enumerated().map { "    server node\($0.offset + 1) \($0.element)" }
        return lines.joined(separator: "\n")
    }
}
