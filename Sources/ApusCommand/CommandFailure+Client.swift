package import ApusClient
import ApusCore

extension CommandFailure {
    /// What a failed call to the cluster means to somebody at a command line.
    ///
    /// - Parameter servers: what was to be reached, as the user would name it.
    package init(_ error: ApusError, servers: String) {
        let code = error.code.description.replacing(" ", with: "_")
        self.init(Self.exit(for: error), code: code, error.message, next: Self.next(for: error, servers: servers))
        self.kafkaError = error.kafkaCode.map { "\($0)" }
        self.broker = error.source
        // A broker's bare refusal is about "orders", and says no more: the kind of it is the sentence.
        if error.kafkaCode != nil, !error.message.contains(" ") { self.message = "\(error.code): \(error.message)" }
        // The same of a name: it is none, or it is taken. What else the broker has to say of it stands as it is.
        if self.kafkaError == "INVALID_TOPIC_EXCEPTION", error.message == error.topic ?? error.message {
            if TopicName.refusal(of: error.message) != nil {
                self.message = "\"\(error.message)\" can not be the name of a topic"
                self.next = "1 to 249 of the letters a-z, A-Z, 0-9, dot, hyphen and underscore; not . or .."
            } else {
                self.message = "\(error.message) is one of the system's own topics: only the broker writes it"
            }
        }
        if error.code == .unreachable {
            let reason = (error.cause as? ApusError)?.message ?? error.message
            self.message = "no broker answers at \(servers) (\(reason))"
        }
        if error.isIndefinite { self.message += "; whether it happened is not known" }
    }

    private static func exit(for error: ApusError) -> Exit {
        switch error.code {
        case .unreachable: .unreachable
        case .notAuthorized, .tls, .loginInClear: .denied
        case .invalidArgument, .invalidConfiguration: .usage
        case .recordTooLarge, .invalidRecord, .corrupt: .badData
        // It may appear later, but whoever mistyped a name should not be told to wait for that.
        case .unknownTopic: .failure
        case .timedOut, .connectionLost, .notEnoughReplicas: .retryable
        default: error.isRetryable ? .retryable : .failure
        }
    }

    private static func next(for error: ApusError, servers: String) -> String? {
        let topic = error.topic ?? "NAME"
        return switch error.code {
        case .unreachable: "start one with apus serve, or name another with --server HOST:PORT"
        // A partition that is not there: nobody but the client was asked.
        case .unknownTopic where error.kafkaCode == nil && error.topic != nil:
            "apus topic describe \(topic) shows its partitions; apus topic grow \(topic) COUNT adds some"
        case .unknownTopic: "apus topic ls shows what there is; apus topic create \(topic) makes one"
        case .topicExists: "apus topic describe \(topic) shows it; --if-missing accepts it"
        case .offsetOutOfRange: "apus topic describe \(topic) shows the first and last offset of each partition"
        case .unknownGroup: "apus group ls shows what there is"
        case .groupNotEmpty: "stop its members first; apus group describe \(error.group ?? "NAME") shows them"
        case .unknownSubscription: "apus subscription ls shows what there is"
        case .subscriptionExists: "apus subscription describe NAME shows it; apus subscription set NAME changes it"
        case .conflict: "look at it again, then try again"
        case .catalogue: "look at the broker's log: what is wrong with catalogue.sqlite is said there"
        case .recordTooLarge: "apus topic set \(topic) max.message.bytes=SIZE raises the limit"
        case .storage: "look at the broker's log: its disk is full or failed"
        // Not for what a rule forbids: there the login was good.
        case .notAuthorized where error.kafkaCode.map { "\($0)".contains("SASL") } ?? true:
            "say who you are: --user NAME --password-file FILE, or --token-file FILE"
        case .loginInClear: "--tls, with --tls-ca FILE for who signs the broker's certificate; or a password with SCRAM"
        case .tls: "--tls-ca FILE names who signs the broker's certificate, --tls-cert and --tls-key your own"
        case .timedOut, .connectionLost: "is the broker at \(servers) alive? then try again"
        default: nil
        }
    }
}
