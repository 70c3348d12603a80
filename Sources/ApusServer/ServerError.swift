/// Why a server did not start. `message` is one line that says what is wrong and, where there is one, what to do.
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
        /// The broker refused to start.
        public static let broker = Code("broker")
    }

    public var code: Code
    public var message: String
    public var cause: (any Error)?

    init(_ code: Code, _ message: String, cause: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.cause = cause
    }

    /// The same start may succeed a moment later, with nothing changed but the world.
    public var isRetryable: Bool {
        [.dataInUse, .addressInUse, .disk].contains(self.code)
    }

    public var description: String { self.message }
}
