public import ApusCore
public import KafkaWire

/// What every call of this library throws, `CancellationError` aside.
///
/// It says what failed (``code``), in words (``message``), at which broker, with which error of the protocol, and
/// whether the same call may succeed later. A call has already been retried by the rules of the protocol, within its
/// time, when this comes out.
public struct ApusError: Error, Sendable {
    public var code: Code
    public var message: String
    /// The same call may succeed later without a change of anything else.
    public var isRetryable: Bool
    /// What was asked for may have happened all the same: the answer was lost or late. False means that it did not.
    public var isIndefinite: Bool
    /// The protocol's error, when a broker answered with one.
    public var kafkaCode: KafkaErrorCode?
    /// The broker that it is about, as `host:port`.
    public var broker: String?
    /// Its number in the cluster, when that is known.
    public var brokerID: BrokerID?
    /// The topic that it is about.
    public var topic: String?
    /// The group that it is about.
    public var group: String?
    public var cause: (any Error)?

    public init(
        _ code: Code, _ message: String, isRetryable: Bool = false, isIndefinite: Bool = false,
        kafkaCode: KafkaErrorCode? = nil, broker: String? = nil, brokerID: BrokerID? = nil, topic: String? = nil,
        group: String? = nil, cause: (any Error)? = nil
    ) {
        self.code = code
        self.message = message
        self.isRetryable = isRetryable
        self.isIndefinite = isIndefinite
        self.kafkaCode = kafkaCode
        self.broker = broker
        self.brokerID = brokerID
        self.topic = topic
        self.group = group
        self.cause = cause
    }

    /// What kind of failure it is. More may be added; treat unknown ones by ``ApusError/isRetryable``.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        public let description: String

        private init(_ description: String) {
            self.description = description
        }

        /// No server of the configuration, or no broker of the cluster, could be reached.
        public static let unreachable = Code("unreachable")
        /// No answer in time. Whether it happened is not known.
        public static let timedOut = Code("timed out")
        /// The connection went away before the answer. Whether it happened is not known.
        public static let connectionLost = Code("connection lost")
        /// The client, producer or reader was closed.
        public static let closed = Code("closed")
        /// An option, name or number that can not be right; nothing was sent.
        public static let invalidArgument = Code("invalid argument")
        /// There is no such topic or partition.
        public static let unknownTopic = Code("unknown topic")
        public static let topicExists = Code("topic exists")
        /// A record or batch over the topic's `max.message.bytes`, or over what the client may send.
        public static let recordTooLarge = Code("record too large")
        /// The broker refused a record for what is in it.
        public static let invalidRecord = Code("invalid record")
        /// The asked offset lies before the start or behind the end of the partition.
        public static let offsetOutOfRange = Code("offset out of range")
        /// What was received is not what its checksum or its format says.
        public static let corrupt = Code("corrupt")
        /// The broker does not serve this API in a version that this client knows.
        public static let unsupported = Code("unsupported")
        /// The login was refused, or what was asked for is not allowed.
        public static let notAuthorized = Code("not authorized")
        /// TLS with the broker failed: its certificate is not to be believed, or ours was refused.
        public static let tls = Code("tls")
        /// A password or token would have gone over a network without TLS; it was not sent.
        public static let loginInClear = Code("login in clear")
        /// The broker can not store it: its disk failed or is full.
        public static let storage = Code("storage")
        /// Fewer in-sync replicas than the topic asks for.
        public static let notEnoughReplicas = Code("not enough replicas")
        /// There is no such group of consumers.
        public static let unknownGroup = Code("unknown group")
        /// The group has members, and this needs one without.
        public static let groupNotEmpty = Code("group not empty")
        /// There is no such subscription.
        public static let unknownSubscription = Code("unknown subscription")
        public static let subscriptionExists = Code("subscription exists")
        /// Somebody else changed it since it was read; nothing was done.
        public static let conflict = Code("conflict")
        /// The catalogue of subscriptions takes no changes, or can not be read; nothing was done.
        public static let catalogue = Code("catalogue")
        /// A configuration name or value that the broker does not take.
        public static let invalidConfiguration = Code("invalid configuration")
        /// Any other error of the protocol; see ``ApusError/kafkaCode``.
        public static let refused = Code("refused")
    }
}

extension ApusError: CustomStringConvertible {
    /// `broker 1 at 127.0.0.1:9092`; nil when no broker is to blame, or nobody knows which.
    public var source: String? {
        self.broker.map { address in self.brokerID.map { "broker \($0) at \(address)" } ?? address }
    }

    /// `unknown topic: orders (UNKNOWN_TOPIC_OR_PARTITION, code 3, from broker 1 at 127.0.0.1:9092)`
    public var description: String {
        var notes: [String] = []
        if let kafkaCode = self.kafkaCode { notes.append("\(kafkaCode), code \(kafkaCode.rawValue)") }
        if let source = self.source { notes.append("from \(source)") }
        if let cause = self.cause { notes.append("because of \(cause)") }
        let tail = notes.isEmpty ? "" : " (\(notes.joined(separator: ", ")))"
        return "\(self.code): \(self.message)\(tail)"
    }
}
