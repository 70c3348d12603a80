import ApusCommand
import ArgumentParser

/// `apus generate`: files for other programs.
struct GenerateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "generate", abstract: "Write files for other programs.",
        subcommands: [GenerateHAProxy.self])
}

/// `apus generate haproxy`.
struct GenerateHAProxy: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "haproxy",
        abstract: "Write a configuration of HAProxy in front of endpoint servers.",
        discussion: """
            Clients of WebSockets and event streams go to the node with the fewest connections, and to no node that \
            says it is not ready. docs/balancing.md says what a node does when it stops.

              apus generate haproxy --node 10.0.0.1:8080 --node 10.0.0.2:8080 > haproxy.cfg
              haproxy -c -f haproxy.cfg && haproxy -f haproxy.cfg
            """
    )

    @Option(help: ArgumentHelp("A node with /v1/ws and /v1/stream. Say it once for each.", valueName: "host:port"))
    var node: [String] = []
    @Option(
        help: ArgumentHelp(
            "A broker's HTTP port, for all other requests. Say it once for each. [default: the nodes]",
            valueName: "host:port"))
    var broker: [String] = []
    @Option(help: ArgumentHelp("Where clients connect.", valueName: "host:port"))
    var bind = "0.0.0.0:8000"
    @Option(
        help: ArgumentHelp("Certificate and key in one PEM file: clients use TLS. [default: none]", valueName: "file"))
    var tlsCert: String?
    @Option(
        help: ArgumentHelp(
            "What the nodes' certificates are signed by, in PEM: nodes are reached over TLS. [default: none]",
            valueName: "file"))
    var nodeCa: String?

    func run() async throws {
        func addresses(_ texts: [String]) throws(CommandFailure) -> [HostPort] {
            try texts.map { text throws(CommandFailure) in try HostPort(text) }
        }
        let file = try HAProxyFile(
            bind: HostPort(self.bind), certificateFile: self.tlsCert, nodes: addresses(self.node),
            brokers: addresses(self.broker), nodeAuthorityFile: self.nodeCa)
        try StandardOutput.write(file.text)
    }
}
