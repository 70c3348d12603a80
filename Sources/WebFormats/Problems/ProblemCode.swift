/// What can go wrong for an edge client, by a word that never changes. One table: the words, what HTTP and Kafka call
/// the same, and whether the same may be asked again.
package enum ProblemCode: String, CaseIterable, Hashable, Sendable {
    case invalidJSON = "invalid_json"
    case invalidRequest = "invalid_request"
    case unknownOperation = "unknown_operation"
    case invalidChannel = "invalid_channel"
    case invalidCursor = "invalid_cursor"
    case cursorExpired = "cursor_expired"
    case notConnected = "not_connected"
    case alreadyConnected = "already_connected"
    case unauthenticated
    case forbidden
    case topicNotFound = "topic_not_found"
    case topicExists = "topic_exists"
    case notSubscribed = "not_subscribed"
    case alreadySubscribed = "already_subscribed"
    case invalidRecord = "invalid_record"
    case recordTooLarge = "record_too_large"
    case messageTooLarge = "message_too_large"
    case tooMany = "too_many"
    case throttled
    case tooSlow = "too_slow"
    case storageFull = "storage_full"
    case storageFailed = "storage_failed"
    case noLeader = "no_leader"
    case timedOut = "timed_out"
    case shuttingDown = "shutting_down"
    case `internal`

    /// The status of HTTP (RFC 9110 section 15), which a client over WebSocket is told as well.
    package var status: Int { self.row.status }
    /// For people, the same for every problem of this code (RFC 9457 section 3.1.3).
    package var title: StaticString { self.row.title }
    /// What the Kafka protocol calls it; nil where it has no word.
    package var kafkaError: Int16? { self.row.kafka }
    /// Whether the same request may succeed a moment later. After ``timedOut`` the first one may have been done.
    package var isRetryable: Bool { self.row.isRetryable }

    private var row: (status: Int, kafka: Int16?, isRetryable: Bool, title: StaticString) {
        switch self {
        case .invalidJSON: (400, 42, false, "Not JSON")
        case .invalidRequest: (400, 42, false, "Invalid request")
        case .unknownOperation: (400, 42, false, "Unknown operation")
        case .invalidChannel: (400, 17, false, "Invalid channel")
        case .invalidCursor: (400, 1, false, "Invalid cursor")
        case .cursorExpired: (410, 1, false, "Cursor expired")
        case .notConnected: (401, nil, false, "Not connected")
        case .alreadyConnected: (409, nil, false, "Already connected")
        case .unauthenticated: (401, 58, false, "Not authenticated")
        case .forbidden: (403, 29, false, "Not allowed")
        case .topicNotFound: (404, 3, false, "Topic not found")
        case .topicExists: (409, 36, false, "Topic exists")
        case .notSubscribed: (409, nil, false, "Not subscribed")
        case .alreadySubscribed: (409, nil, false, "Already subscribed")
        case .invalidRecord: (422, 87, false, "Invalid record")
        case .recordTooLarge: (413, 10, false, "Record too large")
        case .messageTooLarge: (413, 42, false, "Message too large")
        case .tooMany: (429, 89, true, "Too many")
        case .throttled: (429, 89, true, "Quota exceeded")
        case .tooSlow: (429, nil, true, "Reader too slow")
        case .storageFull: (507, 56, true, "Disk full")
        case .storageFailed: (503, 56, false, "Storage failed")
        case .noLeader: (503, 5, true, "No leader")
        case .timedOut: (504, 7, true, "Timed out")
        case .shuttingDown: (503, nil, true, "Shutting down")
        case .internal: (500, -1, false, "Internal error")
        }
    }
}
