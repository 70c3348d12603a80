import ApusCore
import ApusFakes
import Testing

@testable import ApusAccess

/// Rules as one writes them: "allow alice read topic=orders", with `name*` for a prefix and `@host` for a host.
func acl(_ text: String) throws -> Acl {
    var words = text.split(separator: " ").map(String.init)
    try #require(words.count >= 4)
    let permission: AccessPermission = words[0] == "deny" ? .deny : .allow
    let host = words[words.count - 1].hasPrefix("@") ? String(words.removeLast().dropFirst()) : "*"
    let operation = try #require(AccessOperation.allCases.first { "\($0)" == words[2] })
    let parts = words[3].split(separator: "=", maxSplits: 1).map(String.init)
    let type = try #require(ResourceType.allCases.first { "\($0)" == parts[0] })
    let isPrefix = parts[1].count > 1 && parts[1].hasSuffix("*")
    return try Acl(
        ResourcePattern(
            type, isPrefix ? .prefixed : .literal, ExactText(isPrefix ? String(parts[1].dropLast()) : parts[1])),
        try #require(Principal(parsing: "User:\(words[1])")), try #require(AclHost(host)), operation, permission)
}

extension AclSet {
    static func of(_ rules: [String], superUsers: Set<Principal> = []) throws -> AclSet {
        AclSet(version: StoreRevision(rawValue: 1), acls: try rules.map { try acl($0) }, superUsers: superUsers)
    }

    func may(_ user: String, _ operation: AccessOperation, _ name: String, from host: String = "10.0.0.1") -> Bool {
        guard let principal = Principal(user: user) else { return false }
        let resource = Resource(.topic, ExactText(name))
        return self.authorize(principal, from: HostAddress(host), operation, on: resource).isAllowed
    }
}

@Suite("Rights")
struct AclSetTests {
    @Test("what nobody allowed is denied, with any rules or none")
    func defaultDeny() throws {
        for rules in [[], ["allow bob read topic=orders"], ["allow alice read group=orders"]] {
            let set = try AclSet.of(rules)
            for type in ResourceType.allCases {
                for operation in AccessOperation.allCases where type != .group {
                    let resource = Resource(type, "orders")
                    let alice = try #require(Principal(user: "alice"))
                    #expect(set.authorize(alice, from: nil, operation, on: resource) == .denied(.noRule))
                }
            }
        }
    }

    @Test("reading, writing, deleting and altering include describing, and nothing else is included")
    func implied() throws {
        let implied: [AccessOperation: Set<AccessOperation>] = [
            .read: [.read, .describe], .write: [.write, .describe], .delete: [.delete, .describe],
            .alter: [.alter, .describe], .alterConfigs: [.alterConfigs, .describeConfigs],
        ]
        for operation in AccessOperation.allCases {
            let set = try AclSet.of(["allow alice \(operation) topic=orders"])
            let allowed = Set(AccessOperation.allCases.filter { set.may("alice", $0, "orders") })
            let expected =
                operation == .all ? Set(AccessOperation.allCases) : implied[operation] ?? [operation]
            #expect(allowed == expected, "\(operation)")
        }
    }

    @Test("a denial wins, denies what it names, and leaves what that includes")
    func denials() throws {
        let set = try AclSet.of(["allow alice all topic=orders", "deny alice read topic=orders"])
        #expect(!set.may("alice", .read, "orders"))
        #expect(set.may("alice", .describe, "orders"))
        #expect(set.may("alice", .write, "orders"))
        let all = try AclSet.of(["allow alice read topic=orders", "deny alice all topic=*"])
        for operation in AccessOperation.allCases { #expect(!all.may("alice", operation, "orders")) }
        let alice = try #require(Principal(user: "alice"))
        #expect(
            all.authorize(alice, from: nil, .read, on: Resource(.topic, "orders")) == .denied(.rule))
        let everybody = try AclSet.of(["allow alice read topic=orders", "deny * read topic=ord*"])
        #expect(!everybody.may("alice", .read, "orders"))
    }

    @Test("literal names, prefixes and the wildcard each cover what they say")
    func patterns() throws {
        let set = try AclSet.of([
            "allow alice read topic=orders", "allow alice write topic=ord*", "allow alice create topic=*",
            "allow * delete topic=tmp.*",
        ])
        #expect(set.may("alice", .read, "orders"))
        #expect(!set.may("alice", .read, "orders2"))
        #expect(!set.may("alice", .read, "Orders"))
        #expect(set.may("alice", .write, "orders2"))
        #expect(set.may("alice", .write, "ord"))
        #expect(!set.may("alice", .write, "or"))
        #expect(set.may("alice", .create, "anything"))
        #expect(!set.may("bob", .create, "anything"))
        #expect(set.may("bob", .delete, "tmp.1"))
        #expect(!set.may("bob", .delete, "tmp"))
        let anonymous = set.authorize(.anonymous, from: nil, .delete, on: Resource(.topic, "tmp.1"))
        #expect(anonymous == .allowed)
    }

    @Test("a rule for one host is for that host, however it is written")
    func hosts() throws {
        let set = try AclSet.of([
            "allow alice read topic=orders @10.0.0.1", "deny alice read topic=ord* @10.0.0.2",
            "allow alice read topic=o* @2001:db8::1", "allow alice write topic=o*",
        ])
        #expect(set.may("alice", .read, "orders", from: "10.0.0.1"))
        #expect(set.may("alice", .read, "orders", from: "::ffff:10.0.0.1"))
        #expect(set.may("alice", .read, "orders", from: "2001:DB8:0:0::1"))
        #expect(!set.may("alice", .read, "orders", from: "10.0.0.2"))
        #expect(!set.may("alice", .read, "orders", from: "10.0.0.3"))
        let alice = try #require(Principal(user: "alice"))
        #expect(!set.authorize(alice, from: nil, .read, on: Resource(.topic, "orders")).isAllowed)
        #expect(set.authorize(alice, from: nil, .write, on: Resource(.topic, "orders")).isAllowed)
    }

    @Test("a super user is asked nothing, and an open broker asks nobody")
    func superUsers() throws {
        let root = try #require(Principal(user: "root"))
        let set = try AclSet.of(["deny root all topic=*"], superUsers: [root])
        #expect(set.may("root", .read, "orders"))
        #expect(!set.may("alice", .read, "orders"))
        #expect(set.view(of: root, from: nil).operations(on: .cluster) == ResourceType.cluster.operations)
        #expect(AccessView.open.authorize(.alter, on: .cluster) == .allowed)
        #expect(!set.view(of: .anonymous, from: nil).authorize(.alter, on: .cluster).isAllowed)
    }

    @Test("authorized operations are Kafka's bits, and only what the resource knows")
    func bits() throws {
        let set = try AclSet.of([
            "allow alice read topic=orders", "allow alice all group=g", "deny alice delete group=g",
        ])
        let alice = try #require(Principal(user: "alice"))
        #expect(set.view(of: alice, from: nil).operations(on: Resource(.topic, "orders")).rawValue == 1 << 3 | 1 << 8)
        #expect(
            set.view(of: alice, from: nil).operations(on: Resource(.group, "g")).rawValue == 1 << 3 | 1 << 8 | 1 << 10
                | 1 << 11)
        #expect(set.view(of: alice, from: nil).operations(on: Resource(.topic, "other")).rawValue == 0)
        #expect(AccessView.open.operations(on: .cluster).rawValue == 0b1_1111_1010_0000)
    }

    @Test("a right somewhere is found unless something covers it whole")
    func somewhere() throws {
        let alice = try #require(Principal(user: "alice"))
        let cases: [([String], Bool)] = [
            ([], false), (["allow alice write topic=a"], true), (["allow alice read topic=a"], false),
            (["allow alice write topic=a", "deny alice write topic=a"], false),
            (["allow alice write topic=a", "deny * write topic=*"], false),
            (["allow alice write topic=*", "deny alice write topic=a*"], true),
            (["allow alice write topic=ab*", "deny alice write topic=a*"], false),
            (["allow alice write topic=a*", "deny alice write topic=ab*"], true),
            (["allow alice write topic=a*", "deny alice write topic=a"], true),
            (["allow alice write topic=ab", "deny * all topic=a*"], false),
            (["allow * write topic=b*", "deny alice all topic=a*"], true),
            (["allow alice write topic=a @10.0.0.9"], false), (["allow bob write topic=a"], false),
            (["allow alice write group=a"], false),
        ]
        for (rules, expected) in cases {
            let set = try AclSet.of(rules)
            let found = set.view(of: alice, from: HostAddress("10.0.0.1")).authorizeSomewhere(.write, type: .topic)
            #expect(found == expected, "\(rules)")
        }
    }

    @Test("every type of resource has its own place in the table")
    func places() {
        #expect(ResourceType.allCases.map(\.place) == Array(ResourceType.allCases.indices))
    }

    /// Kafka's definition, rule by rule: what the compiled set must agree with.
    private func slowly(
        _ acls: [Acl], _ principal: Principal, _ host: HostAddress?, _ operation: AccessOperation, _ resource: Resource
    ) -> AccessDecision {
        let all = acls.filter { acl in
            acl.pattern.type == resource.type && acl.pattern.covers(resource.name)
                && (acl.principal == principal || acl.principal == .everybody)
                && (acl.host == .any || host.map { acl.host == .address($0) } ?? false)
        }
        if all.contains(where: { $0.permission == .deny && ($0.operation == .all || $0.operation == operation) }) {
            return .denied(.rule)
        }
        let including: [AccessOperation: [AccessOperation]] = [
            .describe: [.read, .write, .delete, .alter], .describeConfigs: [.alterConfigs],
        ]
        let good = [.all, operation] + (including[operation] ?? [])
        let isAllowed = all.contains { $0.permission == .allow && good.contains($0.operation) }
        return isAllowed ? .allowed : .denied(.noRule)
    }

    @Test("the compiled set decides as the rules read one by one do", arguments: 0..<30 as Range<UInt64>)
    func agreement(seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        func pick<Value>(_ values: [Value]) -> Value { values[random.below(values.count)] }
        func name() -> String { String((0...random.below(4)).map { _ in pick(["a", "b", "\u{e9}"] as [Character]) }) }
        let users = try ["*", "alice", "bob"].map { try #require(Principal(parsing: "User:\($0)")) }
        let hosts = try ["10.0.0.1", "10.0.0.2"].map { try #require(HostAddress($0)) }
        let types: [ResourceType] = [.topic, .group]
        let acls = try (0..<random.below(60)).map { _ in
            let kind: ResourcePattern.Kind = random.isOne(in: 2) ? .prefixed : .literal
            let text = kind == .literal && random.isOne(in: 5) ? "*" : name()
            return try Acl(
                ResourcePattern(pick(types), kind, ExactText(text)), pick(users),
                random.isOne(in: 3) ? .address(pick(hosts)) : .any, pick(AccessOperation.allCases),
                random.isOne(in: 4) ? .deny : .allow)
        }
        let set = AclSet(version: .none, acls: acls, superUsers: [])
        #expect(Set(set.acls) == Set(acls))
        for _ in 0..<400 {
            let resource = Resource(pick(types), ExactText(name()))
            let principal = pick([users[1], users[2], .anonymous])
            let host = random.isOne(in: 4) ? nil : pick(hosts)
            let operation = pick(AccessOperation.allCases.filter { $0 != .all })
            let decision = set.authorize(principal, from: host, operation, on: resource)
            #expect(decision == self.slowly(acls, principal, host, operation, resource))
            #expect(
                set.view(of: principal, from: host).operations(on: resource).contains(operation.bit)
                    == (decision.isAllowed && resource.type.operations.contains(operation.bit)))
        }
    }

    @Test("with ten thousand rules for one principal a decision compares fewer than fifteen names")
    func comparisons() throws {
        let alice = try #require(Principal(user: "alice"))
        let acls = try (0..<10_000).map { number in
            let kind: ResourcePattern.Kind = number.isMultiple(of: 4) ? .literal : .prefixed
            return try Acl(ResourcePattern(.topic, kind, ExactText("tenant-\(number).")), alice, .any, .read)
        }
        let set = AclSet(version: .none, acls: acls, superUsers: [])
        for number in 0..<10_000 {
            var steps = 0
            let resource = Resource(.topic, ExactText("tenant-\(number)." + (number.isMultiple(of: 4) ? "" : "orders")))
            let rights = set.view(of: alice, from: nil).rights(on: resource, steps: &steps)
            #expect(rights.operations == [.read, .describe])
            #expect(steps < 15)
        }
    }
}
