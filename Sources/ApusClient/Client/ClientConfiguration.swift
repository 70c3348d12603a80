public import ApusCore

/// How a client reaches its cluster. Every option has a default except the servers.
public struct ClientConfiguration: Sendable {
    /// Where to ask first, as `host:port` (`[::1]:9092` for IPv6; 9092 when the port is absent). The brokers of the
    /// cluster are then learned from whichever answers.
    public var servers: [String]
    /// What brokers log and count this client under.
    public var clientID: String
    /// Longest time for one connection to be made and to answer which versions it serves.
    public var connectTimeout: Duration = .seconds(10)
    /// Longest time for one request to be answered, before it counts as lost.
    public var requestTimeout: Duration = .seconds(30)
    /// Longest time for a call with all its retries, where the call itself names none.
    public var callTimeout: Duration = .seconds(60)
    /// Wait before the first retry; it doubles with each, and half of it is random.
    public var retryBackoff: Duration = .milliseconds(50)
    /// The longest wait between two retries.
    public var retryBackoffMax: Duration = .seconds(1)
    /// Age at which what is known of the cluster is asked for again, though nothing failed.
    public var metadataAge: Duration = .seconds(300)
    /// Whether producing to, or reading from, a topic that is not there asks the broker to make it.
    public var allowsTopicCreation: Bool = true
    /// The largest answer taken from a broker.
    public var responseBytesMax: ByteCount = ClientLimits.responseBytesMax
    /// TCP_NODELAY: small requests leave at once.
    public var sendsWithoutDelay: Bool = true

    /// Nil: in clear.
    public var tls: TLS?
    /// Nil: without saying who this is.
    public var login: Login?

    public init(servers: [String], clientID: String = "apus") {
        self.servers = servers
        self.clientID = clientID
    }
}
