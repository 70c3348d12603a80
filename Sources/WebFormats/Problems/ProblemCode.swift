/// What can go wrong for a client of the web, by a word that never changes. One table: the words, what HTTP and Kafka
/// call the same, and whether the same may be asked again.
package enum ProblemCode: String, CaseIterable, Hashable, Sendable {
    case invalidJSON = "invalid_json"
    case invalidRequest = "invalid_request"
    case unknownOperation = "unknown_operation"
    case malformedRequest = "malformed_request"
    case notFound = "not_found"
    case misdirected
    case methodNotAllowed = "method_not_allowed"
    case unsupportedMediaType = "unsupported_media_type"
    case headersTooLarge = "headers_too_large"
    case requestTimedOut = "request_timed_out"
    case invalidChannel = "invalid_channel"
    case invalidCursor = "invalid_cursor"
    case cursorExpired = "cursor_expired"
    case notConnected = "not_connected"
    case alreadyConnected = "already_connected"
    case unauthenticated
    case forbidden
    case topicNotFound = "topic_not_found"
    case topicExists = "topic_exists"
    case invalidTopic = "invalid_topic"
    case internalTopic = "internal_topic"
    case invalidPartitions = "invalid_partitions"
    case invalidReplication = "invalid_replication"
    case invalidConfiguration = "invalid_config"
    case policyViolation = "policy_violation"
    case offsetOutOfRange = "offset_out_of_range"
    case groupNotFound = "group_not_found"
    case groupNotEmpty = "group_not_empty"
    case subscriptionNotFound = "subscription_not_found"
    case subscriptionExists = "subscription_exists"
    case userNotFound = "user_not_found"
    case tokenNotFound = "token_not_found"
    case connectionNotFound = "connection_not_found"
    case preconditionFailed = "precondition_failed"
    case conflict
    case notSubscribed = "not_subscribed"
    case alreadySubscribed = "already_subscribed"
    case invalidRecord = "invalid_record"
    case idempotencyKeyReused = "idempotency_key_reused"
    case recordTooLarge = "record_too_large"
    case messageTooLarge = "message_too_large"
    case tooMany = "too_many"
    case throttled
    case tooSlow = "too_slow"
    case storageFull = "storage_full"
    case storageFailed = "storage_failed"
    case noLeader = "no_leader"
    case notEnoughReplicas = "not_enough_replicas"
    case corruptRecords = "corrupt_records"
    case overloaded
    case loading
    case storeUnavailable = "store_unavailable"
    case catalogueUnavailable = "catalogue_unavailable"
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
        case .malformedRequest: (400, 42, false, "Malformed request")
        case .notFound: (404, nil, false, "Not found")
        case .misdirected: (421, nil, false, "At another server")
        case .methodNotAllowed: (405, nil, false, "Method not allowed")
        case .unsupportedMediaType: (415, nil, false, "Unsupported media type")
        case .headersTooLarge: (431, nil, false, "Headers too large")
        case .requestTimedOut: (408, nil, false, "Request took too long")
        case .invalidChannel: (400, 17, false, "Invalid channel")
        case .invalidCursor: (400, 1, false, "Invalid cursor")
        case .cursorExpired: (410, 1, false, "Cursor expired")
        case .notConnected: (401, nil, false, "Not connected")
        case .alreadyConnected: (409, nil, false, "Already connected")
        case .unauthenticated: (401, 58, false, "Not authenticated")
        case .forbidden: (403, 29, false, "Not allowed")
        case .topicNotFound: (404, 3, false, "Topic not found")
        case .topicExists: (409, 36, false, "Topic exists")
        case .invalidTopic: (400, 17, false, "Invalid topic name")
        case .internalTopic: (403, 17, false, "Internal topic")
        case .invalidPartitions: (400, 37, false, "Invalid number of partitions")
        case .invalidReplication: (400, 38, false, "Invalid replication factor")
        case .invalidConfiguration: (400, 40, false, "Invalid configuration")
        case .policyViolation: (422, 44, false, "Against a policy")
        case .offsetOutOfRange: (400, 1, false, "Offset out of range")
        case .groupNotFound: (404, 69, false, "Group not found")
        case .groupNotEmpty: (409, 68, false, "Group not empty")
        case .subscriptionNotFound: (404, 91, false, "Subscription not found")
        case .subscriptionExists: (409, 93, false, "Subscription exists")
        case .userNotFound: (404, 91, false, "User not found")
        case .tokenNotFound: (404, 62, false, "Token not found")
        case .connectionNotFound: (404, nil, false, "Connection not found")
        case .preconditionFailed: (412, 95, false, "Not what it was")
        case .conflict: (409, 95, false, "Changed meanwhile")
        case .notSubscribed: (409, nil, false, "Not subscribed")
        case .alreadySubscribed: (409, nil, false, "Already subscribed")
        case .invalidRecord: (422, 87, false, "Invalid record")
        case .idempotencyKeyReused: (422, 45, false, "Idempotency key reused")
        case .recordTooLarge: (413, 10, false, "Record too large")
        case .messageTooLarge: (413, 42, false, "Message too large")
        case .tooMany: (429, 89, true, "Too many")
        case .throttled: (429, 89, true, "Quota exceeded")
        case .tooSlow: (429, nil, true, "Reader too slow")
        case .storageFull: (507, 56, true, "Disk full")
        case .storageFailed: (503, 56, false, "Storage failed")
        case .noLeader: (503, 5, true, "No leader")
        case .notEnoughReplicas: (503, 19, true, "Not enough replicas")
        case .corruptRecords: (500, 2, false, "Damaged records")
        case .overloaded: (503, 19, true, "Overloaded")
        case .loading: (503, 14, true, "Still loading")
        case .storeUnavailable: (503, 41, true, "Coordinator store unavailable")
        case .catalogueUnavailable: (503, 8, true, "Catalogue unavailable")
        case .timedOut: (504, 7, true, "Timed out")
        case .shuttingDown: (503, nil, true, "Shutting down")
        case .internal: (500, -1, false, "Internal error")
        }
    }
}
