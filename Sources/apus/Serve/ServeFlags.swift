import ApusCommand
import ArgumentParser

/// The settings as flags: optional all, because the environment and the file come after them.
struct ServeFlags: ParsableArguments {
    @Option(help: ArgumentHelp(.init(Setting.help("data")), valueName: "dir"))
    var data: String?
    @Option(help: ArgumentHelp(.init(Setting.help("kafka")), valueName: "host:port"))
    var kafka: String?
    @Option(help: ArgumentHelp(.init(Setting.help("http")), valueName: "host:port"))
    var http: String?
    @Option(help: ArgumentHelp(.init(Setting.help("http-origin")), valueName: "origin"))
    var httpOrigin: [String] = []
    @Option(help: ArgumentHelp(.init(Setting.help("advertise")), valueName: "host:port"))
    var advertise: String?
    @Flag(help: ArgumentHelp(.init(Setting.help("ws-deflate"))))
    var wsDeflate = false

    @Flag(help: ArgumentHelp(.init(Setting.help("insecure"))))
    var insecure = false
    @Flag(help: ArgumentHelp(.init(Setting.help("data-must-exist"))))
    var dataMustExist = false
    @Option(help: ArgumentHelp(.init(Setting.help("loops")), valueName: "n"))
    var loops: String?
    @Option(help: ArgumentHelp(.init(Setting.help("disk-threads")), valueName: "n"))
    var diskThreads: String?
    @Option(help: ArgumentHelp(.init(Setting.help("auto-create")), valueName: "bool"))
    var autoCreate: String?
    @Option(help: ArgumentHelp(.init(Setting.help("partitions")), valueName: "n"))
    var partitions: String?
    @Option(help: ArgumentHelp(.init(Setting.help("durability")), valueName: "fsync|page-cache"))
    var durability: String?
    @Option(help: ArgumentHelp(.init(Setting.help("request-memory")), valueName: "size"))
    var requestMemory: String?
    @Option(help: ArgumentHelp(.init(Setting.help("tail-cache")), valueName: "size"))
    var tailCache: String?
    @Option(help: ArgumentHelp(.init(Setting.help("free-floor")), valueName: "size"))
    var freeFloor: String?
    @Option(help: ArgumentHelp(.init(Setting.help("options")), valueName: "name=value,…"))
    var options: String?
    @Option(help: ArgumentHelp(.init(Setting.help("log-level")), valueName: "level"))
    var logLevel: String?
    @Option(help: ArgumentHelp(.init(Setting.help("max-connections")), valueName: "n"))
    var maxConnections: String?
    @Option(help: ArgumentHelp(.init(Setting.help("max-connections-per-ip")), valueName: "n"))
    var maxConnectionsPerIp: String?
    @Option(help: ArgumentHelp(.init(Setting.help("drain-grace")), valueName: "duration"))
    var drainGrace: String?
    @OptionGroup(title: "An endpoint server alone") var upstream: UpstreamFlags
    @OptionGroup(title: "Who may come in") var security: SecurityFlags

    /// What was said, by the name of the setting.
    var given: [String: String] {
        var given: [String: String] = [:]
        let texts: [(String, String?)] = [
            ("data", self.data), ("kafka", self.kafka), ("http", self.http), ("advertise", self.advertise),
            ("loops", self.loops),
            ("disk-threads", self.diskThreads), ("auto-create", self.autoCreate), ("partitions", self.partitions),
            ("durability", self.durability), ("request-memory", self.requestMemory), ("tail-cache", self.tailCache),
            ("free-floor", self.freeFloor), ("options", self.options), ("log-level", self.logLevel),
            ("max-connections", self.maxConnections), ("max-connections-per-ip", self.maxConnectionsPerIp),
            ("drain-grace", self.drainGrace),
        ]
        for (name, text) in texts + self.upstream.texts + self.security.texts { given[name] = text }
        if self.upstream.upstreamTls { given["upstream-tls"] = "true" }
        if !self.httpOrigin.isEmpty { given["http-origin"] = self.httpOrigin.joined(separator: ",") }
        if self.security.scramInClear { given["scram-in-clear"] = "true" }
        if self.wsDeflate { given["ws-deflate"] = "true" }
        if self.insecure { given["insecure"] = "true" }
        if self.dataMustExist { given["data-must-exist"] = "true" }
        return given
    }
}
