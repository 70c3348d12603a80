import ApusCore
import ApusClient
import ApusCommand
import Testing

@Suite("Rules and quotas as they are typed")
struct AccessTextTests {
    @Test("a resource has a kind and a name; a star behind the name makes a prefix, a star alone is every name")
    func resources() throws {
        #expect(try AclText.resource("topic:orders") == AclRule.Resource(.topic, "orders"))
        #expect(try AclText.resource("topic:orders-*") == AclRule.Resource(.topic, "orders-", isPrefix: true))
        #expect(try AclText.resource("group:*") == AclRule.Resource(.group, "*"))
        #expect(try AclText.resource("transactional-id:a:b") == AclRule.Resource(.transactionalID, "a:b"))
        #expect(try AclText.resource("cluster") == .cluster)
        for text in ["", "orders", "topic:", "cluster:x", "table:x"] {
            #expect(throws: CommandFailure.self) { try AclText.resource(text) }
        }
    }

    @Test("operations come with commas between, in any of the usual spellings")
    func operations() throws {
        #expect(try AclText.operations("read,write") == [.read, .write])
        #expect(try AclText.operations("ALTER_CONFIGS") == [.alterConfigs])
        for text in ["", "read,", "eat"] { #expect(throws: CommandFailure.self) { try AclText.operations(text) } }
        for operation in AclRule.Operation.allCases {
            #expect(AclRule.Operation(operation.description) == operation)
        }
    }

    @Test("a principal is a user unless it says otherwise")
    func principals() throws {
        #expect(try AclText.principal("alice") == "User:alice")
        #expect(try AclText.principal("User:a:b") == "User:a:b")
        #expect(try AclText.principal("*") == "User:*")
    }

    @Test("a quota has a kind, by our word or Kafka's, and a rate with a unit where it is bytes")
    func quotas() throws {
        #expect(try QuotaText.rate("in=10MiB") == ("producer_byte_rate", 10_485_760))
        #expect(try QuotaText.rate("consumer_byte_rate=1000") == ("consumer_byte_rate", 1000))
        #expect(try QuotaText.rate("time=50%") == ("request_percentage", 50))
        for text in ["in", "in=", "in=-1", "in=0", "speed=1", "time=nan", "partitions=many"] {
            #expect(throws: CommandFailure.self) { try QuotaText.rate(text) }
        }
        #expect(throws: CommandFailure.self) { try QuotaText.entity(user: nil, clientID: nil, address: nil) }
        #expect(throws: CommandFailure.self) { try QuotaText.entity(user: "a", clientID: nil, address: "10.0.0.1") }
        #expect(try QuotaText.entity(user: "*", clientID: "c", address: nil).user == .others)
    }

    @Test("rules and quotas are listed by keys that stay")
    func listings() {
        let rule = AclRule(
            .deny, "User:alice", from: "10.0.0.7", .read, on: AclRule.Resource(.topic, "o-", isPrefix: true))
        #expect(
            AclText.listing(of: [rule]).rendered(as: .ndjson)
                == #"{"principal":"User:alice","permission":"deny","operation":"read","resource":"topic","#
                + #""name":"o-","pattern":"prefixed","host":"10.0.0.7"}"# + "\n")
        let quota = Quota(QuotaEntity(user: .named("alice"), clientID: .others), ["producer_byte_rate": 1048576])
        #expect(QuotaText.listing(of: [quota]).rendered(as: .table).contains("alice  *          -        1.0 MiB"))
    }
}
