package import ApusCore
package import Configuration

/// What `apus serve` was told, from wherever it was told: flag, then `APUS_` environment, then file, then default.
package struct ServeSettings: Hashable, Sendable {
    package var data: String
    package var dataMustExist: Bool
    package var kafka: HostPort
    package var http: WebAddress
    /// Origins of pages that may connect besides the server's own; `*` is all.
    package var httpOrigins: Set<String>
    package var deflatesWebSockets: Bool
    /// What clients are told to connect to; nil: what they connected to.
    package var advertise: HostPort?
    package var isInsecure: Bool
    /// Who may come in.
    package var security: SecuritySettings
    /// Event loops; 0: half the cores.
    package var loops: Int
    package var diskThreads: Int
    package var createsTopics: Bool
    package var partitionsDefault: Int
    /// `fsync` or `page-cache`, for topics that do not say.
    package var durabilityDefault: String
    package var requestMemory: ByteCount
    package var tailCache: ByteCount
    package var freeBytesFloor: ByteCount
    /// More of the broker's options, by Kafka's names.
    package var options: [String: String]
    package var logLevel: String
    /// Nil: a broker. Else an endpoint server alone.
    package var upstream: UpstreamSettings?
    package var connectionsMax: Int
    package var connectionsPerAddressMax: Int
    /// How long a stop says that it is not ready before it sends clients away.
    package var drainGrace: Duration

    /// Every setting, in the order in which `--help` lists them.
    package static let known: [Setting] =
        [
            Setting("data", "DIR", "./apus-data", "directory of everything durable"),
            Setting("kafka", "HOST:PORT", "127.0.0.1:9092", "where Kafka clients connect"),
            Setting(
                "http", "HOST:PORT", "auto",
                "where clients of HTTP connect; auto is 127.0.0.1:8080 if that is free, none is nowhere"),
            Setting(
                "http-origin", "ORIGIN,…", "",
                "pages that may connect besides our own, as https://app.example; * is all (repeatable)"),
            Setting("ws-deflate", nil, "false", "compress what is pushed over WebSockets to clients that offer it"),
            Setting("advertise", "HOST:PORT", "", "address that clients are told, when they can not use --kafka's"),
            Setting(
                "insecure", nil, "false", "take a public address though anybody may come in, or others may listen"),
            Setting("data-must-exist", nil, "false", "refuse a data directory that is missing or empty"),
            Setting("loops", "N", "0", "event loops (0: half the cores)"),
            Setting("disk-threads", "N", "\(Limits.diskThreadsDefault)", "threads that wait for the disk"),
            Setting("auto-create", "BOOL", "true", "make a topic when a producer first names it"),
            Setting("partitions", "N", "1", "partitions of a topic that does not say"),
            Setting(
                "durability", "fsync|page-cache", "fsync", "when a record is acknowledged, for topics that do not say"),
            Setting("request-memory", "SIZE", "256MiB", "memory for requests in progress"),
            Setting("tail-cache", "SIZE", "128MiB", "memory for the newest records, for readers at the end"),
            Setting("free-floor", "SIZE", "64MiB", "free disk space below which writing is refused"),
            Setting("options", "NAME=VALUE,…", "", "more broker options by Kafka's names, as log.retention.ms=7d"),
            Setting("log-level", "LEVEL", "info", "trace, debug, info, notice, warning, error or critical"),
            Setting("max-connections", "N", "\(Limits.connectionsMax)", "connections of each port"),
            Setting(
                "max-connections-per-ip", "N", "\(Limits.connectionsPerAddressMax)",
                "those of them from one address other than loopback; a balancer on another machine is one address"),
            Setting(
                "drain-grace", "DURATION", "5s",
                "how long a stop answers /readyz with 503, and serves on, before it sends clients away; not at all if "
                    + "nobody ever asked /readyz"),
        ] + UpstreamSettings.known + SecuritySettings.known

    /// Reads the settings; the error names the setting and the way it was probably set.
    package init(from reader: ConfigReader) throws(CommandFailure) {
        let values = SettingValues(reader: reader)
        self.data = values.text("data")
        self.kafka = try values.parsed("kafka") { text throws(CommandFailure) in try HostPort(text) }
        self.http = try values.parsed("http") { text throws(CommandFailure) in try WebAddress(text) }
        self.httpOrigins = try values.parsed("http-origin") { text throws(CommandFailure) in
            try Self.origins(text)
        }
        self.deflatesWebSockets = try values.flag("ws-deflate")
        let advertise = values.text("advertise")
        self.advertise = advertise.isEmpty ? nil : try HostPort(advertise)
        self.isInsecure = try values.flag("insecure")
        self.security = try SecuritySettings(values)
        self.dataMustExist = try values.flag("data-must-exist")
        self.loops = try values.number("loops", in: 0...1024)
        self.diskThreads = try values.number("disk-threads", in: 1...1024)
        self.createsTopics = try values.flag("auto-create")
        self.partitionsDefault = try values.number("partitions", in: 1...Limits.partitionsPerTopicMax)
        self.durabilityDefault = try values.word("durability", among: ["fsync", "page-cache"])
        self.requestMemory = try values.parsed("request-memory") { text throws(CommandFailure) in
            try Quantity.size(text)
        }
        self.tailCache = try values.parsed("tail-cache") { text throws(CommandFailure) in try Quantity.size(text) }
        self.freeBytesFloor = try values.parsed("free-floor") { text throws(CommandFailure) in
            try Quantity.size(text)
        }
        self.options = try values.parsed("options") { text throws(CommandFailure) in try Self.options(text) }
        self.logLevel = try values.word(
            "log-level", among: ["trace", "debug", "info", "notice", "warning", "error", "critical"])
        self.drainGrace = try values.parsed("drain-grace") { text throws(CommandFailure) in
            try Quantity.duration(text)
        }
        self.connectionsMax = try values.number("max-connections", in: 1...1_000_000)
        self.connectionsPerAddressMax = try values.number("max-connections-per-ip", in: 1...1_000_000)
        self.upstream = try UpstreamSettings(values)
        guard let danger = self.security.dangerInPublic, !self.isInsecure else { return }
        if self.upstream == nil, !self.kafka.isLoopback { throw Self.publicAddress(self.kafka, "kafka", danger) }
        if case .at(let address) = self.http, !address.isLoopback {
            throw Self.publicAddress(address, "http", danger)
        }
    }

    /// Each as a browser writes it in `Origin`: scheme, host, port unless it is the scheme's, and nothing behind.
    private static func origins(_ text: String) throws(CommandFailure) -> Set<String> {
        var origins: Set<String> = []
        for part in text.split(separator: ",").map(String.init) {
            let pieces = part.lowercased().split(separator: "/", omittingEmptySubsequences: false)
            let isOrigin =
                pieces.count == 3 && ["http:", "https:"].contains(pieces[0]) && pieces[1].isEmpty && !pieces[2].isEmpty
                && pieces[2].utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }
            guard part == "*" || isOrigin else {
                throw CommandFailure.usage(
                    "\(part.debugDescription) is no origin",
                    next: "write it as browsers do: apus serve --http-origin https://app.example")
            }
            origins.insert(part.lowercased())
        }
        guard origins.count <= Limits.webOriginsMax else {
            throw CommandFailure.usage(
                "at most \(Limits.webOriginsMax) origins are taken",
                next: "name fewer with --http-origin, or * for all")
        }
        return origins
    }

    private static func options(_ text: String) throws(CommandFailure) -> [String: String] {
        var options: [String: String] = [:]
        for part in text.split(separator: ",") {
            let pair = try KeyValue.setting(String(part))
            options[pair.name] = pair.value
        }
        return options
    }

    private static func publicAddress(_ address: HostPort, _ flag: String, _ danger: String) -> CommandFailure {
        CommandFailure(
            .denied, code: "public_address", "\(address) can be reached from other machines, and \(danger)",
            next:
                "apus serve --\(flag) 127.0.0.1:\(address.port), or with --auth scram --tls-cert FILE --tls-key FILE, "
                + "or say so in words: apus serve --\(flag) \(address) --insecure"
        )
    }
}

/// One setting of `apus serve`: its name in each place it may be set.
package struct Setting: Hashable, Sendable {
    /// The flag without its dashes; the key in the file.
    package var name: String
    package var value: String?
    package var fallback: String
    package var meaning: String

    init(_ name: String, _ value: String?, _ fallback: String, _ meaning: String) {
        self.name = name
        self.value = value
        self.fallback = fallback
        self.meaning = meaning
    }

    package var environmentName: String { "APUS_" + self.name.uppercased().replacing("-", with: "_") }

    /// The line of `--help`, ready to be read: meaning, environment variable, default.
    package static func help(_ name: String) -> String {
        guard let setting = ServeSettings.known.first(where: { $0.name == name }) else {
            preconditionFailure("no setting is called \(name)")
        }
        let fallback = setting.fallback.isEmpty ? "none" : setting.fallback
        let sentence = setting.meaning.prefix(1).uppercased() + setting.meaning.dropFirst()
        return "\(sentence). [env: \(setting.environmentName)] [default: \(fallback)]"
    }
}
