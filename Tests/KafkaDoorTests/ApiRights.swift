import ApusAccess
import ApusCore
import KafkaWire
import NIOCore

@testable import KafkaDoor

/// A right: an operation on every resource of a type.
struct Right: Hashable, Sendable, CustomStringConvertible {
    let operation: AccessOperation
    let type: ResourceType

    init(_ operation: AccessOperation, _ type: ResourceType) {
        self.operation = operation
        self.type = type
    }

    /// Whether having this is having that one. Kafka's rule, written down a second time.
    func includes(_ other: Right) -> Bool {
        guard self.type == other.type else { return false }
        if self.operation == other.operation || self.operation == .all { return true }
        switch other.operation {
        case .describe: return [.read, .write, .delete, .alter].contains(self.operation)
        case .describeConfigs: return self.operation == .alterConfigs
        default: return false
        }
    }

    var description: String { "\(self.operation) on \(self.type)" }
}

/// What one API takes, and a request that shows it. The one table of rights that the matrix is checked against; it is
/// the table of `docs/access.md`.
struct ApiRights: Sendable {
    let key: ApiKey
    let what: String
    /// Any of these, all of its parts. An empty one: nothing.
    let needs: [[Right]]
    /// Whether a request about the topic or group of that name was denied. Nil: no answer.
    let isDenied: @Sendable (DoorBench, _ name: String, _ version: Int16) throws -> Bool?

    static let nothing: [[Right]] = [[]]
    /// Codes that say "denied": topic, group, cluster, transactional id.
    private static let denials: Set<KafkaErrorCode> = [
        .topicAuthorizationFailed, .groupAuthorizationFailed, .clusterAuthorizationFailed,
        .transactionalIDAuthorizationFailed,
    ]

    init<Request: KafkaRequest>(
        _ what: String = "", needs: [[Right]], saysNo: @escaping @Sendable (Request.Response) -> Bool = { _ in false },
        _ request: @escaping @Sendable (DoorBench, _ name: String, _ version: Int16) throws -> Request
    ) {
        self.key = Request.apiKey
        self.what = what
        self.needs = needs
        self.isDenied = { bench, name, version in
            guard let answer = try bench.answer(to: request(bench, name, version), version: version) else { return nil }
            return saysNo(answer) || Self.codes(in: answer).contains { Self.denials.contains($0) }
        }
    }

    /// Every error code that an answer holds, wherever it stands.
    private static func codes(in value: Any) -> [KafkaErrorCode] {
        if let code = value as? KafkaErrorCode { return [code] }
        // That a topic's configuration is not shown does not say that it was not made.
        return Mirror(reflecting: value).children.filter { $0.label != "topicConfigErrorCode" }
            .flatMap { Self.codes(in: $0.value) }
    }

    /// Before a login there are no rights.
    static let login: Set<ApiKey> = [.saslHandshake, .saslAuthenticate]

    static let all: [ApiRights] =
        Self.records + Self.topics + Self.configurations + Self.cluster + Self.groups
        + Self.subscriptions
}

extension DoorBench {
    /// The answer, if need be after some time.
    func answer<Request: KafkaRequest>(to request: Request, version: Int16) throws -> Request.Response? {
        try self.send(request, version: version)
        for _ in 0..<60 {
            if let reply = try self.replies().first {
                return try self.decode(reply, Request.Response.self, version: version)
            }
            self.advance(seconds: 1)
        }
        return nil
    }
}
