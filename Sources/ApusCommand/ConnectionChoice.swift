/// Which cluster a command talks to, and for how long it tries.
///
/// The first of these that is there names the servers: `--server`, `--context`, `APUS_SERVER`, `APUS_CONTEXT`, the
/// current context, 127.0.0.1:9092. A context counts as a whole or not at all: its timeout and its credentials never go
/// with somebody else's servers. `--timeout` and `APUS_TIMEOUT` go before a context's; so do the options of safety and
/// login, each by itself. Their environment counts where no context does.
package struct ConnectionChoice: Hashable, Sendable {
    package static let serverDefault = "127.0.0.1:\(HostPort.portDefault)"

    /// As the user would name them, for error messages too.
    package var servers: String
    /// nil for the default.
    package var timeout: Duration?
    /// The context that it comes from.
    package var context: String?
    /// How to get there safely, and who to be there.
    package var security: ConnectionSecurity

    /// - Parameter contexts: reads the file; called only when a context may count.
    package init(
        server: String?, context: String?, timeout: Duration?, security: ConnectionSecurity = ConnectionSecurity(),
        environment: [String: String],
        contexts: () throws(CommandFailure) -> Contexts
    ) throws(CommandFailure) {
        guard server == nil || context == nil else {
            throw .usage("--server and --context exclude each other", next: "a context names its server")
        }
        var chosen: Contexts.Context?
        if server == nil, context != nil || environment["APUS_SERVER"] == nil {
            let known = try contexts()
            self.context = context ?? environment["APUS_CONTEXT"] ?? known.current
            chosen = try self.context.map { name throws(CommandFailure) in try known.named(name) }
        }
        self.servers = server ?? chosen?.server ?? environment["APUS_SERVER"] ?? Self.serverDefault
        if let chosen {
            self.security = security.over(chosen.security)
        } else {
            self.security = security.over(try ConnectionSecurity(environment: environment))
        }
        try self.security.check()
        self.timeout = timeout
        if self.timeout == nil, let text = environment["APUS_TIMEOUT"] ?? chosen?.timeout {
            self.timeout = try Quantity.duration(text)
        }
    }
}
