import ApusClient

/// What `apus errors` knows: every word that a command may end with, every error of the protocol, and what to do next.
///
/// A test reads the sources for words that are missing here.
package enum ErrorGuide {
    /// A word that stands as `code` in JSON.
    package struct Entry: Hashable, Sendable {
        package var code: String
        package var exit: Exit
        package var meaning: String
        package var next: String
    }

    /// An error that a broker answers with.
    package struct KafkaEntry: Hashable, Sendable {
        package var number: Int16
        /// As `UNKNOWN_TOPIC_OR_PARTITION`.
        package var name: String
        package var isRetryable: Bool
        /// The word that a command ends with when it gets this.
        package var code: String
        /// What it says when it comes from Apus; nil for those that Apus does not send.
        package var meaning: String?
        package var next: String
    }

    package static let entries: [Entry] =
        (Self.ofTheClient.map(Self.entry)
        + Self.ofTheCommand.map { Entry(code: $0.0, exit: $0.1, meaning: $0.2, next: $0.3) })
        .sorted { $0.code < $1.code }

    package static let kafkaEntries: [KafkaEntry] = KafkaErrorFacts.all.map { facts in
        let failure = CommandFailure(facts.error, servers: "HOST:PORT")
        return KafkaEntry(
            number: facts.number, name: facts.name, isRetryable: facts.isRetriable, code: failure.code,
            meaning: Self.kafkaMeanings[facts.name],
            next: failure.next ?? (facts.isRetriable ? Self.tryAgain : Self.lookAtTheMessage))
    }

    private static let tryAgain = "try again: it passes"
    private static let lookAtTheMessage = "the message says what to change; the same again fails again"

    /// What was asked for, by word, by the protocol's name or by its number; the case of letters does not matter.
    package static func find(_ text: String) throws(CommandFailure) -> (entries: [Entry], kafka: [KafkaEntry]) {
        let name = text.uppercased().replacing("-", with: "_").replacing(" ", with: "_")
        let kafka = Self.kafkaEntries.filter { $0.name == name || "\($0.number)" == name }
        let words = Set(kafka.map(\.code)).union([name.lowercased()])
        let entries = Self.entries.filter { words.contains($0.code) }
        guard !entries.isEmpty || !kafka.isEmpty else {
            throw CommandFailure(
                .failure, code: "unknown_error", "there is no error \"\(text)\"",
                next: "apus errors lists the words, apus errors --kafka the protocol's names and numbers")
        }
        return (entries, kafka)
    }

    /// Exit code and advice are those that a command would end with.
    private static func entry(_ code: ApusError.Code, meaning: String) -> Entry {
        let failure = CommandFailure(ApusError(code, "", topic: "NAME", cause: nil), servers: "HOST:PORT")
        return Entry(
            code: failure.code, exit: failure.exit, meaning: meaning,
            next: failure.next ?? (failure.exit == .retryable ? Self.tryAgain : Self.lookAtTheMessage))
    }

    private static let ofTheClient: [(ApusError.Code, String)] = [
        (.unreachable, "no broker answers at that address"),
        (.timedOut, "no answer in time; it may have happened"),
        (.connectionLost, "the connection ended before the answer; it may have happened"),
        (.closed, "the client was closed meanwhile"),
        (.invalidArgument, "a name or number that can not be right; nothing was done"),
        (.unknownTopic, "there is no such topic or partition"),
        (.topicExists, "the name is taken"),
        (.recordTooLarge, "a record larger than its topic takes"),
        (.invalidRecord, "a record that the broker refuses for what is in it"),
        (.offsetOutOfRange, "an offset before the start or behind the end of the partition"),
        (.corrupt, "data that do not fit their checksum"),
        (.unsupported, "the broker does not serve this, or not in a version known here"),
        (.notAuthorized, "authentication or authorization refused it"),
        (.tls, "TLS with the broker failed: its certificate is not to be believed, or ours was refused"),
        (.loginInClear, "a password or token would have gone over a network without TLS; it was not sent"),
        (.storage, "the broker can not store it"),
        (.notEnoughReplicas, "fewer copies than min.insync.replicas asks for"),
        (.invalidConfiguration, "a setting or value that the broker does not take"),
        (.unknownGroup, "there is no such group of consumers"),
        (.groupNotEmpty, "the group has members, and this needs one without"),
        (.unknownSubscription, "there is no such subscription"),
        (.subscriptionExists, "the name is taken"),
        (.conflict, "somebody else changed it since it was read; nothing was done"),
        (.catalogue, "the catalogue of subscriptions takes no changes or can not be read; records flow all the same"),
        (.refused, "any other error of the broker"),
    ]

    private static let ofTheCommand: [(String, Exit, String, String)] = [
        ("usage", .usage, "the command line is wrong; nothing was tried", "apus COMMAND --help"),
        ("interrupted", .failure, "stopped from outside before the end", "run it again"),
        ("failure", .failure, "anything that has no word of its own", lookAtTheMessage),
        ("not_confirmed", .failure, "the question was not answered with the name", "--yes does not ask"),
        ("no_input", .badData, "the input can not be read", "check the path and its permissions"),
        ("output_failed", .failure, "standard output can not be written", "is the disk behind it full?"),
        (
            "configuration_file", .badData, "the file of --config is not what it should be",
            "apus serve --help lists settings"
        ),
        ("contexts_file", .badData, "the file of contexts is not what it should be", "repair or remove it"),
        ("unknown_context", .usage, "there is no context of that name", "apus context ls"),
        ("unknown_error", .failure, "there is no error of that name", "apus errors"),
        (
            "unreadable", .badData, "a directory that can not be read, or is no broker's",
            "name that of apus serve --data"
        ),
        ("damaged", .badData, "apus log dump found damage", "start the broker: it says what is lost, serves the rest"),
        (
            "bench_errors", .failure, "some requests failed, so the numbers do not count",
            "apus bench again, more slowly"
        ),
        (
            "partly_done", .failure, "a seek moved some partitions and others not; 75 when all of these may work later",
            "the same again with --topic for those that were refused"
        ),
        (
            "not_placed", .failure, "the subscription is there, but its group begins where auto.offset.reset says",
            "apus subscription seek NAME --to-start|--to-end|--to-time TIME --execute"
        ),
        ("user_exists", .failure, "there is a user of that name", "apus user set-password NAME"),
        ("unknown_user", .failure, "no user of that name has a password", "apus user ls shows them"),
        (
            "secret_file", .badData, "a file with a password or a token can not be used",
            "the message says why; chmod 600 FILE keeps others from reading it"
        ),
        (
            "public_address", .denied, "others could connect without authentication, or listen",
            "--kafka 127.0.0.1:9092, or --auth with --tls-cert and --tls-key, or --insecure"
        ),
        ("unauthenticated", .denied, "an endpoint server does not know who asks", "--token-file FILE, or --user NAME"),
        ("forbidden", .denied, "the login has no right to what was asked for", "an admin gives it: apus acl add"),
        ("protocol", .failure, "what came over a WebSocket is not what an endpoint server sends", lookAtTheMessage),
        (
            "address_in_use", .retryable, "another process listens there",
            "stop it, or apus serve --kafka 127.0.0.1:PORT"
        ),
        (
            "address_refused", .failure, "not an address of this machine, or not allowed",
            "apus serve --kafka 127.0.0.1:9092"
        ),
        (
            "upstream", .failure, "the brokers behind an endpoint server can not be reached, or refuse it",
            lookAtTheMessage
        ),
        ("data_in_use", .retryable, "another broker has the data directory", "stop it, or apus serve --data OTHER"),
        ("data_refused", .badData, "the data directory is not this broker's, or damaged", lookAtTheMessage),
        (
            "disk", .retryable, "the disk failed, is full, or may not be written",
            "check space, permissions and kernel log"
        ),
        ("configuration", .usage, "a setting is out of its range", "apus serve --help"),
        ("broker", .failure, "the broker refused to start", lookAtTheMessage),
        ("unclean_stop", .failure, "the broker could not stop cleanly", "start it: it checks and repairs"),
    ]

    /// By the protocol's names.
    package static let kafkaMeanings: [String: String] = [
        "UNKNOWN_SERVER_ERROR": "something failed that has no code; the broker's log has it",
        "OFFSET_OUT_OF_RANGE": "before the start or behind the end of the partition",
        "CORRUPT_MESSAGE":
            "a batch whose checksum or format is wrong; or damage on the disk, named in the broker's log",
        "UNKNOWN_TOPIC_OR_PARTITION": "no such topic or partition",
        "LEADER_NOT_AVAILABLE": "the topic is being made",
        "NOT_LEADER_OR_FOLLOWER": "the partition is closed: the broker stops, or the topic is deleted",
        "REQUEST_TIMED_OUT": "not done in time; it may be done all the same",
        "MESSAGE_TOO_LARGE": "a batch over max.message.bytes",
        "OFFSET_METADATA_TOO_LARGE": "more than 4,096 bytes of text beside a position",
        "COORDINATOR_LOAD_IN_PROGRESS":
            "the group's coordinator reads what it knew before the broker's start; if that lasts, the broker's log "
            + "says what keeps it and what to do",
        "COORDINATOR_NOT_AVAILABLE": "the group has no coordinator at the moment",
        "NOT_COORDINATOR": "another broker coordinates the group, or nobody has asked for its coordinator yet",
        "ILLEGAL_GENERATION": "the group has shared out anew; the member joins again",
        "INCONSISTENT_GROUP_PROTOCOL": "the group is of the other kind, or has no assignor in common with the member",
        "INVALID_GROUP_ID": "a name that no group can have",
        "UNKNOWN_MEMBER_ID": "the member is not, or no longer, in the group; its session ended, or it left",
        "INVALID_SESSION_TIMEOUT": "outside of group.min.session.timeout.ms and group.max.session.timeout.ms",
        "REBALANCE_IN_PROGRESS": "the group shares out anew; the member joins again",
        "NON_EMPTY_GROUP": "the group has members",
        "GROUP_ID_NOT_FOUND": "no such group, or one of the other kind",
        "MEMBER_ID_REQUIRED": "a member's first question: it asks again with the id that it was given",
        "GROUP_MAX_SIZE_REACHED": "the group has as many members as it may",
        "FENCED_INSTANCE_ID": "another member has come under the same instance id",
        "GROUP_SUBSCRIBED_TO_TOPIC": "members are subscribed to the topic whose positions should go",
        "FENCED_MEMBER_EPOCH": "the member is behind its group; it gives everything up and joins again",
        "UNRELEASED_INSTANCE_ID": "the member that had the instance id is still in the group",
        "UNSUPPORTED_ASSIGNOR": "assignors are uniform and range",
        "STALE_MEMBER_EPOCH": "the member has another epoch by now, or the partition another owner",
        "INVALID_REGULAR_EXPRESSION": "a topic pattern that is none, or too costly",
        "INVALID_TOPIC_EXCEPTION": "a name that no topic can have, or a topic of the system's own",
        "NOT_ENOUGH_REPLICAS": "fewer in-sync replicas than min.insync.replicas",
        "INVALID_REQUIRED_ACKS": "acks other than 0, 1 and all",
        "CLUSTER_AUTHORIZATION_FAILED": "this may not be done here",
        "INVALID_TIMESTAMP": "a record's time is too far from the broker's",
        "UNSUPPORTED_VERSION": "not served, or not in this version",
        "TOPIC_ALREADY_EXISTS": "the name is taken",
        "INVALID_PARTITIONS": "fewer than 1, more than 10,000, or fewer than there are",
        "INVALID_REPLICATION_FACTOR": "more copies than brokers",
        "INVALID_REPLICA_ASSIGNMENT": "replicas can not be placed by hand",
        "INVALID_CONFIG": "a setting or value that is not taken",
        "INVALID_REQUEST": "the request contradicts itself",
        "UNSUPPORTED_FOR_MESSAGE_FORMAT": "batches of a format older than version 2",
        "POLICY_VIOLATION": "a cap of this broker, which the message names",
        "OUT_OF_ORDER_SEQUENCE_NUMBER": "a batch of an idempotent producer is missing before this one",
        "INVALID_PRODUCER_EPOCH": "a newer producer has taken this id",
        "INVALID_TXN_STATE": "transactions are not served yet",
        "KAFKA_STORAGE_ERROR": "the disk failed or is full; the batch was not written",
        "FETCH_SESSION_ID_NOT_FOUND": "the fetch session was evicted; clients open another",
        "INVALID_FETCH_SESSION_EPOCH": "the fetch session got out of step; clients open another",
        "FENCED_LEADER_EPOCH": "the client knows an older leader",
        "UNKNOWN_LEADER_EPOCH": "the client knows a newer leader",
        "UNSUPPORTED_COMPRESSION_TYPE": "a codec that the request's version does not have",
        "INVALID_RECORD": "a record that breaks the rules of its batch",
        "UNKNOWN_TOPIC_ID": "no topic has this id",
        "BROKER_NOT_AVAILABLE": "the catalogue of subscriptions takes no changes, or can not be read",
        "RESOURCE_NOT_FOUND": "there is no such subscription",
        "DUPLICATE_RESOURCE": "there is a subscription of this name",
        "INVALID_UPDATE_VERSION": "somebody else changed the subscription since it was read",
        "THROTTLING_QUOTA_EXCEEDED": "the catalogue is locked just now",
        "UNSUPPORTED_ENDPOINT_TYPE": "controllers can not be asked for here",
    ]
}
