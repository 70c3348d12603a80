import ApusAccess
import ApusBroker
import ApusCore
import KafkaWire
import NIOEmbedded
import Testing

@testable import KafkaDoor

/// A bench whose broker asks for rights, and a client that is somebody.
extension DoorBench {
    static let alice = Principal(user: "alice") ?? .anonymous
    static let root = Principal(user: "root") ?? .anonymous

    static func authorizing(aside: EmbeddedEventLoop? = nil) throws -> DoorBench {
        try DoorBench(aside: aside) {
            $0.isAuthorizing = true
            $0.isAuditing = false
            $0.superUsers = [Self.root]
        }
    }

    /// The connection is this principal's from now on, as after a login.
    func become(_ principal: Principal, at address: String = "10.9.9.9") throws {
        try self.connection.client = self.broker.access.client(principal, address: address)
    }

    /// As somebody who may do everything, on the same connection.
    func asRoot<Value>(_ body: () throws -> Value) throws -> Value {
        let connection = try self.connection
        let client = connection.client
        connection.client = self.broker.access.client(Self.root, address: "10.9.9.9")
        defer { connection.client = client }
        return try body()
    }

    /// Makes these rules, or takes them away, as another client would.
    func change(_ rules: [Acl], remove: Bool = false) throws {
        let changes = rules.map { rule -> StoreChange in
            let key = AclRecord.key(of: rule)
            return remove ? .delete(key: key) : .put(key: key, value: AclRecord.encoded(rule))
        }
        let answer = Held<Result<Bool, BrokerError>>()
        self.broker.access.commit(on: self.loop) { _ in
            AccessDraft(changes, answer: true)
        } then: {
            answer.put($0)
        }
        self.loop.run()
        try #require(try answer.value?.get() == true)
    }

    func allow(_ operation: AccessOperation, _ type: ResourceType, _ name: String, prefixed: Bool = false) throws {
        try self.change([Self.rule(operation, type, name, prefixed: prefixed)])
    }

    static func rule(
        _ operation: AccessOperation, _ type: ResourceType, _ name: String, prefixed: Bool = false,
        _ permission: AccessPermission = .allow, from host: AclHost = .any, for principal: Principal = DoorBench.alice
    ) throws -> Acl {
        try Acl(
            ResourcePattern(type, prefixed ? .prefixed : .literal, ExactText(name)), principal, host, operation,
            permission)
    }
}
