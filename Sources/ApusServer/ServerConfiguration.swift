public import ApusCore

/// Everything that can be decided about a broker before it starts. The defaults are a durable broker for this machine
/// alone.
public struct ServerConfiguration: Sendable {
    /// Where everything durable is. Made if it is missing (its parent must be there).
    public var dataDirectory: String
    /// Refuse a data directory that is missing or empty: say so where its disk might not be mounted.
    public var dataMustExist = false
    /// Where Kafka clients connect. Port 0: any free one.
    public var kafka = ServerAddress(host: "127.0.0.1", port: 9092)
    /// Where clients of HTTP connect, over TLS if there is a certificate. Nil: nowhere. Port 0: any free one.
    public var http: ServerAddress?
    /// Do without HTTP, and say so in the log, where something else listens on that address already.
    public var doesWithoutHTTP = false
    /// Pages that may connect besides the server's own, as browsers write their origins (`https://app.example`); `*` is
    /// all of them.
    public var httpOrigins: Set<String> = []
    /// Compress what is pushed over WebSockets to clients that offer it (RFC 7692).
    public var deflatesWebSockets = false
    /// The version of the program around it, for people.
    public var version = ""
    /// What clients are told to connect to, when it is not what they came to.
    public var advertised: ServerAddress?
    /// Listen on an address that other machines reach, though nobody has to say who he is, or others may listen.
    public var isInsecure = false
    public var authentication = Authentication()
    /// Nil: in clear.
    public var tls: TLS?
    /// Nil: what the data directory says; 1 when it is new.
    public var brokerID: BrokerID?
    /// Nil: what the data directory says; a random one when it is new.
    public var clusterID: String?
    /// Event loops, each with its own share of the partitions and connections. Nil: half the cores, at least one, which
    /// leaves the others to the disk threads and the kernel.
    public var loops: Int?
    /// Threads that wait for the disk.
    public var diskThreads = Limits.diskThreadsDefault
    /// Memory for requests that are being read or handled. Sockets are not read beyond it.
    public var requestMemory = Limits.requestMemoryDefault
    /// Memory for the newest records, for readers at the tail.
    public var tailCache = Limits.tailCacheDefault
    /// Free space on the disk below which produce is refused.
    public var freeBytesFloor = Limits.freeBytesFloorDefault
    /// Asking for a topic that is not there makes it.
    public var createsTopics = true
    /// Partitions of a topic whose creator does not say.
    public var partitionsDefault = 1
    /// When a record of a topic that does not say counts as written.
    public var durabilityDefault = Durability.fsync
    /// The longest request taken, in bytes.
    public var frameBytesMax = Limits.frameBytesMax
    public var connectionsMax = Limits.connectionsMax
    public var connectionsPerAddressMax = Limits.connectionsPerAddressMax
    /// How long a stop waits for requests under way before it cuts their connections.
    public var stopWaitMax = Limits.drainWaitMax
    /// How long a stop answers that it is not ready, and serves on, before it sends clients away: as long as balancers
    /// need to see it. Nothing is waited for if nobody ever asked.
    public var drainGrace = Duration.seconds(5)
    /// More of the broker's options, by Kafka's names (`log.retention.ms`, `message.max.bytes`, …). They win over the
    /// defaults above.
    public var options: [String: String] = [:]

    public init(dataDirectory: String = "./apus-data") {
        self.dataDirectory = dataDirectory
    }

    /// When a record counts as written.
    public enum Durability: String, Sendable {
        /// When it is on the disk: survives a power cut.
        case fsync
        /// When the kernel has it: survives the end of the process, not a power cut.
        case pageCache = "page-cache"
    }

    /// By Kafka's names, as the broker takes them.
    var brokerOptions: [String: String] {
        [
            "num.partitions": String(self.partitionsDefault),
            "auto.create.topics.enable": String(self.createsTopics),
            "durability": self.durabilityDefault.rawValue,
        ].merging(self.options) { _, said in said }
    }
}

/// A host, by address or name, and a port of it.
public struct ServerAddress: Hashable, Sendable, CustomStringConvertible {
    public var host: String
    /// 0 ... 65535.
    public var port: Int

    public init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    public var description: String {
        self.host.contains(":") ? "[\(self.host)]:\(self.port)" : "\(self.host):\(self.port)"
    }
}
