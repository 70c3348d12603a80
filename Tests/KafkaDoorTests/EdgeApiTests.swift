import ApusAccess
import ApusBroker
import ApusCore
import KafkaWire
import NIOCore
import NIOEmbedded
import Testing

@testable import KafkaDoor

/// What endpoint servers in processes of their own ask. On the line is alice, as whom one logged in; bob is its client.
@Suite("What endpoint servers ask")
struct EdgeApiTests {
    private static let bob = Principal(user: "bob") ?? .anonymous
    private static let key = [UInt8](repeating: 7, count: 32)

    private static func bench(tickets: EdgeTickets? = nil) throws -> DoorBench {
        let bench = try DoorBench(
            change: {
                $0.isAuthorizing = true
                $0.isAuditing = false
                $0.superUsers = [DoorBench.root]
            }, cursorKey: Self.key, tickets: tickets)
        try bench.become(DoorBench.alice)
        return bench
    }

    // MARK: For whom

    private static func create(_ bench: DoorBench, _ name: String, for principal: String) throws -> KafkaErrorCode? {
        var topic = CreateTopicsRequest.Topic()
        topic.name = name
        topic.numPartitions = 2
        topic.replicationFactor = 1
        var request = CreateTopicsRequest()
        request.topics = [topic]
        request.behalf.principal = principal
        request.behalf.clientID = "page"
        request.behalf.address = "192.0.2.7"
        return try bench.ask(request, version: 7).topics.first?.errorCode
    }

    private static func delete(_ bench: DoorBench, _ name: String, for principal: String) throws -> KafkaErrorCode? {
        var topic = DeleteTopicsRequest.Topic()
        topic.name = name
        var request = DeleteTopicsRequest()
        request.topics = [topic]
        request.behalf.principal = principal
        return try bench.ask(request, version: 6).responses.first?.errorCode
    }

    @Test("a topic that is made for a client is his, and both must be allowed to make it")
    func created() throws {
        let bench = try Self.bench()
        try bench.change([DoorBench.rule(.create, .topic, "bobs", for: Self.bob)])
        #expect(try Self.create(bench, "bobs", for: "User:bob") == .clusterAuthorizationFailed)
        try bench.allow(.clusterAction, .cluster, Resource.cluster.name.text)
        #expect(try Self.create(bench, "bobs", for: "User:bob") == .topicAuthorizationFailed)
        try bench.allow(.create, .topic, "bobs")
        try bench.allow(.create, .topic, "alices")
        #expect(try Self.create(bench, "alices", for: "User:bob") == .topicAuthorizationFailed)
        #expect(try Self.create(bench, "bobs", for: "User:bob") == KafkaErrorCode.none)
        #expect(bench.broker.topics.topic(named: "bobs")?.owner == Self.bob)
        #expect(try Self.create(bench, "alices", for: "") == KafkaErrorCode.none)
        #expect(bench.broker.topics.topic(named: "alices")?.owner == DoorBench.alice)
        for nobody in ["bob", "User:*", "Process:embedded", "Machine:operator", "User:"] {
            #expect(try Self.create(bench, "bobs2", for: nobody) == .clusterAuthorizationFailed, "\(nobody)")
        }
    }

    @Test("what is made for a client counts for his cap, and not for that of who asks")
    func caps() throws {
        let bench = try DoorBench(
            configuration: ["apus.principal.topics.max": "1"],
            change: {
                $0.isAuthorizing = true
                $0.isAuditing = false
            })
        try bench.become(DoorBench.alice)
        try bench.allow(.clusterAction, .cluster, Resource.cluster.name.text)
        try bench.allow(.create, .topic, "t", prefixed: true)
        let carol = try #require(Principal(user: "carol"))
        for client in [Self.bob, carol] {
            try bench.change([DoorBench.rule(.create, .topic, "t", prefixed: true, for: client)])
        }
        #expect(try Self.create(bench, "t1", for: "User:bob") == KafkaErrorCode.none)
        #expect(try Self.create(bench, "t2", for: "User:bob") == .policyViolation)
        #expect(try Self.create(bench, "t2", for: "User:carol") == KafkaErrorCode.none)
    }

    @Test("a topic is deleted for a client when both may")
    func deleted() throws {
        let bench = try Self.bench()
        try bench.asRoot { try bench.create("news") }
        try bench.allow(.clusterAction, .cluster, Resource.cluster.name.text)
        try bench.change([DoorBench.rule(.delete, .topic, "news", for: Self.bob)])
        #expect(try Self.delete(bench, "news", for: "User:bob") == .topicAuthorizationFailed)
        try bench.allow(.delete, .topic, "news")
        #expect(try Self.delete(bench, "news", for: "User:carol") == .topicAuthorizationFailed)
        #expect(try Self.delete(bench, "news", for: "User:bob") == KafkaErrorCode.none)
    }

    // MARK: Logins

    private static func add(
        _ bench: DoorBench, owner: Principal, expires: Timestamp? = nil
    ) throws -> (key: AccessKey, proof: AccessKeyProof) {
        let made = try AccessKey.make(
            "ci", owner: owner, created: Timestamp(rawValue: 0), expires: expires,
            idBytes: [1, 2, 3, 4, 5, 6, 7, UInt8(truncatingIfNeeded: bench.broker.access.keys.count)],
            secret: [UInt8](repeating: 9, count: Limits.apiKeySecretBytes.rawValue))
        let done = Held<Bool>()
        bench.broker.add(made.key, client: .embedded, on: bench.loop) { result in
            if case .success = result { done.put(true) }
        }
        bench.loop.run()
        try #require(done.value == true)
        return (made.key, try AccessKeyProof(Secret(made.text.utf8)))
    }

    private static func check(_ bench: DoorBench, _ proof: AccessKeyProof) throws -> CheckEdgeLoginResponse {
        var request = CheckEdgeLoginRequest()
        request.keyID = proof.id
        request.digest = ByteBuffer(bytes: proof.digest)
        request.address = "192.0.2.7"
        return try bench.ask(request, version: 0)
    }

    @Test("whose API key it is, is told by its digest, to who may ask, and while the key is there")
    func keys() throws {
        let bench = try Self.bench()
        let (key, proof) = try Self.add(bench, owner: Self.bob)
        #expect(try Self.check(bench, proof).errorCode == .clusterAuthorizationFailed)
        try bench.allow(.clusterAction, .cluster, Resource.cluster.name.text)
        let answer = try Self.check(bench, proof)
        #expect(answer.errorCode == .none && answer.principal == "User:bob" && answer.keyID == key.id)
        #expect(answer.expiresMs == -1 && !answer.isBounded)
        #expect(answer.keysVersion == bench.broker.access.keyVersion.rawValue)
        let wrong = [
            AccessKeyProof(id: proof.id, digest: [UInt8](repeating: 0, count: 32)),
            AccessKeyProof(id: "0000000000000000", digest: proof.digest), AccessKeyProof(id: "", digest: []),
            AccessKeyProof(id: proof.id, digest: Array(proof.digest.dropLast())),
        ]
        for proof in wrong {
            let refused = try Self.check(bench, proof)
            #expect(refused.errorCode == .saslAuthenticationFailed && refused.principal.isEmpty)
        }
        let late = try Self.add(bench, owner: Self.bob, expires: Timestamp(rawValue: 1))
        #expect(try Self.check(bench, late.proof).errorCode == .saslAuthenticationFailed)
        bench.broker.removeAccessKey(key.id, client: .embedded, on: bench.loop) { _ in }
        bench.loop.run()
        #expect(try Self.check(bench, proof).errorCode == .saslAuthenticationFailed)
    }

    @Test("a ticket is taken once, with all that bounds who got it")
    func tickets() throws {
        let grants = try ChannelGrants(json: Array(#"{"read":["news"],"write":["chat/u7"]}"#.utf8))
        let login = EdgeLogin(
            principal: Self.bob, mechanism: .oauthBearer, expires: Timestamp(rawValue: 77), channels: grants,
            keyID: nil)
        let book = Held<[UInt8]>()
        let bench = try Self.bench(
            tickets: EdgeTickets { digest, then in
                let isFirst = book.value == nil && digest == Self.key
                if isFirst { book.put(digest) }
                then(isFirst ? login : nil)
            })
        try bench.allow(.clusterAction, .cluster, Resource.cluster.name.text)
        var request = CheckEdgeLoginRequest()
        request.digest = ByteBuffer(bytes: Self.key)
        let answer = try bench.ask(request, version: 0)
        #expect(answer.errorCode == .none && answer.principal == "User:bob" && answer.expiresMs == 77)
        #expect(answer.isBounded && answer.read == ["news"] && answer.write == ["chat/u7"] && answer.subscribe.isEmpty)
        #expect(try ChannelGrants(read: answer.read, write: answer.write, subscribe: answer.subscribe) == grants)
        #expect(try bench.ask(request, version: 0).errorCode == .saslAuthenticationFailed)
    }

    // MARK: What is told

    @Test("the ids of keys and the quotas are told when they are others than are known")
    func told() throws {
        let bench = try Self.bench()
        try bench.allow(.clusterAction, .cluster, Resource.cluster.name.text)
        let first = try bench.ask(DescribeEdgeRequest(), version: 0)
        #expect(first.keys == [] && first.quotas == [] && first.keysVersion >= 0)
        #expect(
            Set(first.quotaDefaults.map(\.kind)) == Set(QuotaRules.generous.keys.map(\.rawValue)))
        var request = DescribeEdgeRequest()
        (request.knownKeys, request.knownQuotas) = (first.keysVersion, first.quotasVersion)
        let same = try bench.ask(request, version: 0)
        #expect(same.keys == nil && same.quotas == nil)
        let (key, _) = try Self.add(bench, owner: Self.bob)
        let entity = try QuotaEntity(user: .named("bob"))
        bench.broker.alterQuotas(
            [QuotaAlteration(entity, [.fetchedBytes: 1_000])], client: .embedded, on: bench.loop
        ) { _ in }
        bench.loop.run()
        let news = try bench.ask(request, version: 0)
        #expect(news.keys == [key.id])
        let quota = try #require(news.quotas?.first)
        let read = try #require(QuotaRecord.decoded(Array(buffer: quota.record)))
        #expect(read.entity == entity && read.rates == [.fetchedBytes: 1_000])
    }
}
