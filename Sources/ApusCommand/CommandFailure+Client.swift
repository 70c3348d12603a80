package import ApusClient

extension CommandFailure {
    /// What a failed call to the cluster means to somebody at a command line.
    ///
    /// - Parameter servers: what was to be reached, as the user would name it.
    package init(_ error: ApusError, servers: String) {
        let code = error.code.description.replacing(" ", with: "_")
        self.init(Self.exit(for: error), code: code, error.message, next: Self.next(for: error.code, servers: servers))
        if error.code == .unreachable { self.message = "no broker answers at \(servers) (\(error.message))" }
        if error.isIndefinite { self.message += "; whether it happened is not known" }
    }

    private static func exit(for error: ApusError) -> Exit {
        switch error.code {
        case .unreachable: .unreachable
        case .notAuthorized: .denied
        case .invalidArgument, .invalidConfiguration: .usage
        case .recordTooLarge, .invalidRecord, .corrupt: .badData
        case .timedOut, .connectionLost, .notEnoughReplicas: .retryable
        default: error.isRetryable ? .retryable : .failure
        }
    }

    private static func next(for code: ApusError.Code, servers: String) -> String? {
        switch code {
        case .unreachable: "start one with apus serve, or name another with --server HOST:PORT"
        case .unknownTopic: "apus topic ls shows what there is; apus topic create NAME makes one"
        case .topicExists: "apus topic describe NAME shows it; --if-missing accepts it"
        case .offsetOutOfRange: "apus topic describe NAME shows the first and last offset of each partition"
        case .recordTooLarge: "apus topic set NAME max.message.bytes=SIZE raises the limit"
        case .storage: "look at the broker's log: its disk is full or failed"
        case .timedOut, .connectionLost: "is the broker at \(servers) alive? then try again"
        default: nil
        }
    }
}
