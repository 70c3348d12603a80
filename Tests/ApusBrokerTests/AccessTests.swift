@testable import ApusAccess
import ApusCore
import ApusFakes
import NIOCore
import Testing

@testable import ApusBroker

@Suite("Rights as they are now")
struct AccessTests {
    private static let alice = Principal(user: "alice") ?? .anonymous

    private static func rule(
        _ operation: AccessOperation, _ topic: ExactText, _ permission: AccessPermission = .allow
    ) throws -> Acl {
        try Acl(ResourcePattern(.topic, .literal, topic), self.alice, .any, operation, permission)
    }

    private static func put(_ acl: Acl) -> StoreChange {
        .put(key: AclRecord.key(of: acl), value: AclRecord.encoded(acl))
    }

    private static func bench(_ store: FakeCoordinatorStore = FakeCoordinatorStore()) throws -> TestBroker {
        try TestBroker(store: store) {
            $0.isAuthorizing = true
            $0.isAuditing = false
        }
    }

    private static func commit(_ changes: [StoreChange], _ bench: TestBroker) -> Once<Result<Int, BrokerError>> {
        let answer = Once<Result<Int, BrokerError>>()
        bench.broker.access.commit(on: bench.loop) {
            AccessDraft(changes, answer: $0.aclCount)
        } then: {
            answer.put($0)
        }
        bench.settle()
        return answer
    }

    @Test("without authorization everybody may do everything")
    func open() throws {
        let bench = try TestBroker()
        let client = bench.broker.access.client(.anonymous, address: "10.0.0.1")
        #expect(client.allows(.write, onTopic: "t"))
        #expect(client.allows(.alter, on: .cluster))
    }

    @Test("a right that was committed is held by the next request, one that was removed is not")
    func renewal() throws {
        let bench = try Self.bench()
        var client = bench.broker.access.client(Self.alice, address: "10.0.0.1")
        #expect(!client.allows(.write, onTopic: "t"))
        let rule = try Self.rule(.write, "t")
        #expect(try Self.commit([Self.put(rule)], bench).value?.get() == 0)
        #expect(!client.allows(.write, onTopic: "t"), "a view is of one moment")
        bench.broker.access.renew(&client)
        #expect(client.allows(.write, onTopic: "t"))
        #expect(!client.allows(.write, onTopic: "u"))
        #expect(try Self.commit([.delete(key: AclRecord.key(of: rule))], bench).value?.get() == 1)
        bench.broker.access.renew(&client)
        #expect(!client.allows(.write, onTopic: "t"))
    }

    @Test("what another broker changes is published here")
    func watched() throws {
        let store = FakeCoordinatorStore()
        let (first, second) = (try Self.bench(store), try Self.bench(store))
        let rule = try Self.rule(.read, "t")
        _ = Self.commit([Self.put(rule)], first)
        second.settle()
        #expect(second.broker.access.acls.acls == [rule])
        #expect(second.broker.access.version == first.broker.access.version)
    }

    @Test("a decision that another broker overtook is made again, on what is there now")
    func conflict() throws {
        let store = FakeCoordinatorStore()
        let (first, second) = (try Self.bench(store), try Self.bench(store))
        let rules = try (0..<2).map { try Self.rule(.read, ExactText("t\($0)")) }
        _ = Self.commit([Self.put(rules[0])], first)
        // The second has not run its loop since: it has not heard of the first's change.
        let answer = Self.commit([Self.put(rules[1])], second)
        #expect(try answer.value?.get() == 1)
        #expect(second.broker.access.acls.acls == rules)
        first.settle()
        #expect(first.broker.access.acls.acls == rules)
    }

    @Test("requests of one moment are one commit, each seeing what those before it did")
    func together() throws {
        let bench = try Self.bench()
        let before = bench.broker.access.version
        let answers = try (0..<50).map { number in
            let answer = Once<Result<Int, BrokerError>>()
            let rule = try Self.rule(.read, ExactText("t\(number)"))
            bench.broker.access.commit(on: bench.loop) {
                AccessDraft([Self.put(rule)], answer: $0.aclCount)
            } then: {
                answer.put($0)
            }
            return answer
        }
        bench.settle()
        #expect(try answers.map { try $0.value?.get() } == Array(0..<50))
        #expect(bench.broker.access.version.rawValue == before.rawValue + 1)
    }

    @Test("while the store is away changes are refused whole and rights stay as they were")
    func away() throws {
        let store = FakeCoordinatorStore()
        let bench = try Self.bench(store)
        let rule = try Self.rule(.write, "t")
        _ = Self.commit([Self.put(rule)], bench)
        store.failure = .unavailable("gone")
        let refused = Self.commit([.delete(key: AclRecord.key(of: rule))], bench)
        #expect(refused.value == .failure(.storeUnavailable("gone")))
        #expect(bench.broker.access.client(Self.alice, address: "").allows(.write, onTopic: "t"))
        store.failure = nil
        #expect(try Self.commit([.delete(key: AclRecord.key(of: rule))], bench).value?.get() == 1)
        #expect(!bench.broker.access.client(Self.alice, address: "").allows(.write, onTopic: "t"))
    }

    @Test("rules, users and the secret for unknown users outlive the broker")
    func restart() throws {
        let store = FakeCoordinatorStore()
        let first = try Self.bench(store)
        let rule = try Self.rule(.write, "t")
        _ = Self.commit([Self.put(rule)], first)
        let asked = first.broker.access.users.check(Secret([1]), of: "nobody").credential.salt
        let second = try Self.bench(store)
        #expect(second.broker.access.acls.acls == [rule])
        #expect(second.broker.access.users.check(Secret([1]), of: "nobody").credential.salt == asked)
    }

    @Test("while a rule can not be read nobody but the super users may do anything")
    func damaged() throws {
        let store = FakeCoordinatorStore()
        let root = try #require(Principal(user: "root"))
        let rule = try Self.rule(.write, "t")
        store.commit(
            StoreTransaction(changes: [Self.put(rule), .put(key: "acls/odd", value: [9, 9])])
        ) { _ in }
        let bench = try TestBroker(store: store) {
            $0.isAuthorizing = true
            $0.superUsers = [root]
        }
        #expect(!bench.broker.access.client(Self.alice, address: "").allows(.write, onTopic: "t"))
        #expect(bench.broker.access.client(root, address: "").allows(.write, onTopic: "t"))
        _ = Self.commit([.delete(key: "acls/odd")], bench)
        #expect(bench.broker.access.client(Self.alice, address: "").allows(.write, onTopic: "t"))
    }

    @Test("a broker that can not read its rules does not start")
    func unreadableStore() throws {
        let store = FakeCoordinatorStore()
        store.commit(StoreTransaction(changes: [.put(key: ScramRecord.mockSecretKey, value: [1])])) { _ in }
        #expect(throws: BrokerError.storeUnavailable("scram-mock is damaged")) { try Self.bench(store) }
    }
}
