import ApusCore
import ApusFakes
import Testing

@testable import ApusAccess

@Suite("ACLs as requests, filters and stored records")
struct AclTests {
    private let good = AclOnTheWire(
        resourceType: 2, patternType: 3, name: "orders", principal: "User:alice", host: "*", operation: 3, permission: 3
    )

    private func changed(_ change: (inout AclOnTheWire) -> Void) -> AclOnTheWire {
        var wire = self.good
        change(&wire)
        return wire
    }

    @Test("what is no rule is refused by name")
    func refusals() throws {
        #expect(try Acl(self.good) == acl("allow alice read topic=orders"))
        let bad: [(AclOnTheWire, AclRefusal)] = [
            (self.changed { $0.resourceType = 0 }, .code("resource type", 0)),
            (self.changed { $0.resourceType = 1 }, .code("resource type", 1)),
            (self.changed { $0.resourceType = 6 }, .code("resource type", 6)),
            (self.changed { $0.resourceType = -1 }, .code("resource type", -1)),
            (self.changed { $0.patternType = 1 }, .code("pattern type", 1)),
            (self.changed { $0.patternType = 2 }, .code("pattern type", 2)),
            (self.changed { $0.operation = 1 }, .code("operation", 1)),
            (self.changed { $0.operation = 16 }, .code("operation", 16)),
            (self.changed { $0.permission = 1 }, .code("permission", 1)),
            (self.changed { $0.name = "" }, .emptyName),
            (self.changed { $0.name = "a\nb" }, .oddName),
            (self.changed { $0.name = String(repeating: "a", count: 1025) }, .nameTooLong(.bytes(1025))),
            (self.changed { $0.principal = "alice" }, .principal("alice")),
            (self.changed { $0.principal = "User:" }, .principal("User:")),
            (self.changed { $0.host = "" }, .host("")),
            (self.changed { $0.host = "example.com" }, .host("example.com")),
            (self.changed { $0.host = "10.0.0.0/8" }, .host("10.0.0.0/8")),
            (self.changed { $0.resourceType = 4 }, .clusterName),
            (
                self.changed {
                    $0.resourceType = 4; $0.patternType = 4; $0.name = "kafka-cluster"
                }, .clusterName
            ),
        ]
        for (wire, refusal) in bad { #expect(throws: refusal, "\(wire)") { _ = try Acl(wire) } }
        let cluster = try Acl(
            self.changed {
                $0.resourceType = 4; $0.name = "kafka-cluster"
            })
        #expect(cluster.pattern.type == .cluster)
        #expect(try Acl(self.changed { $0.resourceType = 100 }).pattern.type == .subscription)
    }

    @Test("filters show what KIP-290 says they show")
    func filters() throws {
        let all = try [
            "allow alice read topic=orders", "allow alice read topic=ord*", "deny bob write topic=*",
            "allow alice read group=orders", "allow alice read topic=other @10.0.0.1",
        ].map { try acl($0) }
        func shown(
            type: Int8 = 1, pattern: Int8 = 1, name: String? = nil, principal: String? = nil, host: String? = nil,
            operation: Int8 = 1, permission: Int8 = 1
        ) throws -> [Int] {
            let filter = try AclFilter(
                resourceType: type, patternType: pattern, name: name, principal: principal, host: host,
                operation: operation, permission: permission)
            return all.indices.filter { filter.shows(all[$0]) }
        }
        #expect(try shown() == [0, 1, 2, 3, 4])
        #expect(try shown(type: 2) == [0, 1, 2, 4])
        #expect(try shown(type: 6) == [])
        #expect(try shown(type: 2, pattern: 2, name: "orders") == [0, 1, 2])
        #expect(try shown(type: 2, pattern: 2, name: "ordered") == [1, 2])
        #expect(try shown(pattern: 1, name: "ord") == [1])
        #expect(try shown(pattern: 3, name: "orders") == [0, 3])
        #expect(try shown(pattern: 3, name: "*") == [2])
        #expect(try shown(pattern: 4) == [1])
        #expect(try shown(principal: "User:bob") == [2])
        #expect(try shown(principal: "User:*") == [])
        #expect(try shown(host: "*") == [0, 1, 2, 3])
        #expect(try shown(host: "::ffff:a00:1") == [4])
        #expect(try shown(host: "nowhere") == [])
        #expect(try shown(operation: 4) == [2])
        #expect(try shown(operation: 2) == [])
        #expect(try shown(permission: 2) == [2])
        for bad: () throws -> [Int] in [
            { try shown(type: 0) }, { try shown(type: 9) }, { try shown(pattern: 0) }, { try shown(pattern: 5) },
            { try shown(operation: 0) }, { try shown(permission: 4) },
        ] {
            #expect(throws: AclRefusal.self) { _ = try bad() }
        }
    }

    @Test("a stored rule comes back, under one key however often it is made")
    func records() throws {
        let rules = [
            "allow alice read topic=orders", "deny * all subscription=b* @2001:db8::1",
            "allow \u{e9}ve describe group=\u{fc}", "allow a:b alter cluster=kafka-cluster @127.0.0.1",
        ]
        var keys: Set<String> = []
        for text in rules {
            let rule = try acl(text)
            #expect(AclRecord.decoded(AclRecord.encoded(rule)) == rule)
            let key = AclRecord.key(of: rule)
            #expect(key == AclRecord.key(of: try acl(text)))
            #expect(key.hasPrefix("acls/") && key.count == 37)
            keys.insert(key)
        }
        #expect(keys.count == rules.count)
    }

    @Test("damaged records are refused, or are the record that says so", arguments: 0..<20 as Range<UInt64>)
    func damage(seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        let whole = AclRecord.encoded(try acl("deny alice read topic=orders* @10.0.0.1"))
        for length in whole.indices { #expect(AclRecord.decoded(Array(whole[..<length])) == nil) }
        #expect(AclRecord.decoded(whole + [0]) == nil)
        for _ in 0..<300 {
            var bytes = whole
            for _ in 0...random.below(3) { bytes[random.below(bytes.count)] = UInt8(random.below(256)) }
            if let rule = AclRecord.decoded(bytes) { #expect(AclRecord.encoded(rule) == bytes) }
        }
    }

    @Test("every way to write an address is one host, and what is no address is none")
    func addresses() {
        let same = [
            ["10.0.0.1", "::ffff:10.0.0.1", "::FFFF:a00:1", "0:0:0:0:0:ffff:a00:1"],
            ["::1", "0:0:0:0:0:0:0:1", "0000::0001", "::0:1"],
            ["2001:db8::1:0:0:1", "2001:DB8:0:0:1::1", "2001:db8:0:0:1:0:0:1"], ["::", "0::0", "0:0:0:0:0:0:0:0"],
            ["1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"], ["fe80::1.2.3.4", "fe80::102:304"],
        ]
        let shown = ["10.0.0.1", "::1", "2001:db8::1:0:0:1", "::", "1:2:3:4:5:6:7:0", "fe80::102:304"]
        for (texts, text) in zip(same, shown) {
            #expect(Set(texts.map { HostAddress($0) }).count == 1, "\(texts)")
            #expect(HostAddress(texts[0])?.description == text)
        }
        let bad = [
            "", "*", "localhost", "10.0.0", "10.0.0.256", "10.0.0.01", "010.0.0.1", "10.0.0.1.", "1.2.3.4.5", " ::1",
            ":",
            ":::", "1::2::3", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:8::", "12345::", "g::", "+1::",
            "fe80::1%eth0",
            "1.2.3.4::", "::1.2.3", "::1.2.3.4:5", "10.0.0.1/8", "-1.0.0.0",
        ]
        for text in bad { #expect(HostAddress(text) == nil, "\(text)") }
        for text in ["127.0.0.1", "127.255.0.1", "::1", "::ffff:127.0.0.1"] {
            #expect(HostAddress(text)?.isLoopback == true)
        }
        for text in ["128.0.0.1", "::2", "::7f00:1", "::"] { #expect(HostAddress(text)?.isLoopback == false) }
    }
}
