import ApusCore
import NIOCore
import Testing

@testable import ApusAccess

@Suite("Channels that a token names")
struct ChannelGrantsTests {
    private func grants(_ text: String) throws -> ChannelGrants { try ChannelGrants(json: Array(text.utf8)) }

    private func key(_ text: String) -> ChannelKeys { .key(ByteBuffer(string: text)) }
    private func prefix(_ text: String) -> ChannelKeys { .prefix(ByteBuffer(string: text)) }

    @Test("a pattern covers what it says, and nothing else")
    func patterns() throws {
        let table: [(pattern: String, topic: ExactText, keys: ChannelKeys, isCovered: Bool)] = [
            ("news", "news", .everything, true), ("news", "news", self.key("a"), true),
            ("news", "news", self.prefix(""), true), ("news", "newsletter", .everything, false),
            ("news", "new", .everything, false), ("news*", "newsletter", .everything, true),
            ("news*", "news", self.key("k"), true), ("news*", "old", .everything, false),
            ("*", "anything", .everything, true), ("chat/a", "chat", self.key("a"), true),
            ("chat/a", "chat", self.key("ab"), false), ("chat/a", "chat", self.prefix("a"), false),
            ("chat/a", "chat", .everything, false), ("chat/a", "chats", self.key("a"), false),
            ("chat/room-*", "chat", self.key("room-"), true), ("chat/room-*", "chat", self.key("room-7"), true),
            ("chat/room-*", "chat", self.key("room"), false), ("chat/room-*", "chat", self.prefix("room-7"), true),
            ("chat/room-*", "chat", self.prefix("room"), false), ("chat/room-*", "chat", .everything, false),
            ("chat/*", "chat", self.key(""), true), ("chat/*", "chat", self.prefix(""), true),
            ("chat/*", "chat", .everything, false), ("chat/a%2Ab", "chat", self.key("a*b"), true),
            ("chat/a/b", "chat", self.key("a/b"), true), ("chat/%C3*", "chat", self.key("\u{e9}"), true),
        ]
        for row in table {
            let grants = try self.grants(#"{"read":["\#(row.pattern)"]}"#)
            #expect(
                grants.allow(.read, row.keys, ofTopic: row.topic) == row.isCovered,
                "\(row.pattern) \(row.topic) \(row.keys)")
            #expect(!grants.allow(.write, row.keys, ofTopic: row.topic))
        }
    }

    @Test("who may read may subscribe, and not the other way round")
    func uses() throws {
        let grants = try self.grants(#"{"read":["a"],"subscribe":["b"],"write":["c"]}"#)
        let allowed = ["a", "b", "c"].map { topic in
            [ChannelUse.read, .subscribe, .write].map {
                grants.allow($0, .everything, ofTopic: ExactText(topic))
            }
        }
        #expect(allowed == [[true, true, false], [false, true, false], [false, false, true]])
    }

    @Test(
        "a claim that is not exactly of its form is refused",
        arguments: [
            "null", "true", "[]", #""*""#, #"{"reed":["a"]}"#, #"{"read":"a"}"#, #"{"read":[1]}"#, #"{"read":[["a"]]}"#,
            #"{"read":[""]}"#, #"{"read":["/a"]}"#, #"{"read":["a/"]}"#, #"{"read":["a b"]}"#, #"{"read":["a*/b"]}"#,
            #"{"read":["a/b*c"]}"#, #"{"read":["a/%4"]}"#, #"{"read":["a/%zz"]}"#, #"{"read":["a*b"]}"#,
            #"{"read":["**"]}"#, #"{"read":["a"],"read":["b"]}"#, #"{"read":null}"#, #"{"read":["a\u0000"]}"#,
        ]
    )
    func badClaims(text: String) {
        #expect(throws: TokenRefusal.self) { _ = try self.grants(text) }
    }

    @Test("there are so many patterns, of so many bytes, and no more")
    func bounds() throws {
        let many = Array(repeating: #""a""#, count: Limits.tokenPatternsMax)
        let half = many.prefix(Limits.tokenPatternsMax / 2).joined(separator: ",")
        _ = try self.grants(#"{"read":[\#(half)],"write":[\#(half)]}"#)
        #expect(throws: TokenRefusal.self) {
            _ = try self.grants(#"{"read":[\#(many.joined(separator: ","))],"write":["a"]}"#)
        }
        let long = String(repeating: "k", count: Limits.channelNameBytesMax.rawValue)
        #expect(throws: TokenRefusal.self) { _ = try self.grants(#"{"read":["t/\#(long)"]}"#) }
    }

    @Test("a token with a claim that can not be read lets nobody in, and its issuer is told why")
    func failsClosed() throws {
        let forge = try TokenForge.shared.get()
        let good = try forge.elliptic(claims: TokenForge.claims(more: #","apus":{"read":["news"]}"#))
        let verified = try forge.verifier().verify(Array(good.utf8), now: TokenForge.now)
        #expect(verified.channels?.allow(.read, .everything, ofTopic: "news") == true)
        #expect(try forge.verifier().verify(Array(forge.elliptic().utf8), now: TokenForge.now).channels == nil)
        for claim in ["null", "{\"read\":\"news\"}", "{\"admin\":[]}"] {
            let token = try forge.elliptic(claims: TokenForge.claims(more: ",\"apus\":\(claim)"))
            let refusal = #expect(throws: TokenRefusal.self) {
                _ = try forge.verifier().verify(Array(token.utf8), now: TokenForge.now)
            }
            let told = LoginFailure(.token(try #require(refusal)), mechanism: .oauthBearer).told
            #expect(told.contains("claim 'apus'"), "\(told)")
        }
    }

    @Test("with a claim a token is good for what it names, less what rules deny, and for nothing of the cluster's")
    func rights() throws {
        let root = try #require(Principal(user: "root"))
        let topics = ResourcePattern(.topic, .literal, ResourcePattern.wildcard)
        let acls = [
            try Acl(topics, root, .any, .all, .allow),
            try Acl(ResourcePattern(.topic, .literal, "secret"), root, .any, .read, .deny),
            try Acl(ResourcePattern(.cluster, .literal, Resource.clusterName), root, .any, .all, .allow),
            try Acl(ResourcePattern(.group, .literal, "g"), root, .any, .read, .allow),
        ]
        let set = AclSet(version: .none, acls: acls, superUsers: [root])
        let grants = try self.grants(#"{"read":["news","secret"],"write":["chat/u7"],"subscribe":["feed/*"]}"#)
        let view = set.view(of: root, from: nil).bounded(by: grants)
        #expect(!view.isUnrestricted)
        func may(_ operation: AccessOperation, _ type: ResourceType, _ name: ExactText) -> Bool {
            view.authorize(operation, on: Resource(type, name)).isAllowed
        }
        #expect(may(.read, .topic, "news") && may(.describe, .topic, "news") && !may(.write, .topic, "news"))
        #expect(!may(.read, .topic, "secret") && !may(.read, .topic, "other"))
        for operation in [AccessOperation.create, .delete, .alter, .alterConfigs] {
            #expect(!may(operation, .topic, "news"), "\(operation)")
        }
        // Of some keys: not for a door that knows topics only.
        #expect(!may(.write, .topic, "chat") && may(.describe, .topic, "chat"))
        #expect(view.authorize(.write, self.key("u7"), ofTopic: "chat").isAllowed)
        #expect(!view.authorize(.write, self.key("u8"), ofTopic: "chat").isAllowed)
        #expect(view.authorize(.subscribe, self.key("x"), ofTopic: "feed").isAllowed)
        #expect(!view.authorize(.read, self.key("x"), ofTopic: "feed").isAllowed)
        #expect(!view.authorize(.subscribe, self.key("x"), ofTopic: "secret").isAllowed)
        #expect(may(.read, .group, "g") && !may(.read, .group, "h"))
        #expect(!may(.alter, .cluster, Resource.clusterName) && !may(.describe, .cluster, Resource.clusterName))
        #expect(view.operations(on: Resource(.topic, "news")) == [.read, .describe])
        #expect(view.authorizeSomewhere(.read, type: .topic) && !view.authorizeSomewhere(.write, type: .topic))
        #expect(!view.authorizeSomewhere(.alter, type: .cluster))
    }
}
