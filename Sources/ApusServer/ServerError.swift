/// Why a server did not start, or refused a verb. `message` is one line that says what is wrong and, where there is
/// one, what to do.
public struct ServerError: Error, Sendable, CustomStringConvertible {
    /// A name that stays: for programs to compare.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        public let description: String

        init(_ description: String) {
            self.description = description
        }

        /// Another process has the data directory.
        public static let dataInUse = Code("data_in_use")
        /// The data directory is not ours to use, or damaged.
        public static let dataRefused = Code("data_refused")
        /// The disk failed, is full, or may not be written.
        public static let disk = Code("disk")
        /// The address can be reached from other machines, and ``ServerConfiguration/isInsecure`` was not said.
        public static let publicAddress = Code("public_address")
        /// Another process listens there.
        public static let addressInUse = Code("address_in_use")
        /// The address is not one of this machine's, cannot be resolved, or may not be listened on.
        public static let addressRefused = Code("address_refused")
        /// A value of the configuration is out of its range.
        public static let configuration = Code("configuration")
        /// The brokers behind an endpoint server can not be reached, or refuse it.
        public static let upstream = Code("upstream")
        /// The broker refused to start.
        public static let broker = Code("broker")

        /// There is no such topic or partition.
        public static let unknownTopic = Code("unknown_topic")
        /// The name or the id belongs to a topic.
        public static let topicExists = Code("topic_exists")
        /// Below the start or above the end of the partition.
        public static let offsetOutOfRange = Code("offset_out_of_range")
        /// Larger than the topic's `max.message.bytes`, or than any record may be.
        public static let tooLarge = Code("too_large")
        /// A queue with a limit is full.
        public static let overloaded = Code("overloaded")
        /// Not done in time. It may still come to be.
        public static let timedOut = Code("timed_out")
        /// The server is stopping, or has stopped.
        public static let shuttingDown = Code("shutting_down")
        /// A name, number or option that is not allowed; the message says which and why.
        public static let invalid = Code("invalid")
    }

    public var code: Code
    public var message: String
    public var cause: (any Error)?

    /// The same start or verb may succeed a moment later, with nothing changed but the world.
    public var isRetryable: Bool
    /// What was asked for may have happened, or may yet. Any other error means that it did not and will not.
    public var isIndefinite: Bool

    init(
        _ code: Code, _ message: String, cause: (any Error)? = nil, isRetryable: Bool? = nil, isIndefinite: Bool = false
    ) {
        self.code = code
        self.message = message
        self.cause = cause
        self.isRetryable = isRetryable ?? [.dataInUse, .addressInUse, .disk].contains(code)
        self.isIndefinite = isIndefinite
    }

    public var description: String { self.message }
}
