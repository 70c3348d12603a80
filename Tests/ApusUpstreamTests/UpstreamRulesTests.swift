import ApusAccess
import ApusBroker
import ApusCore
import KafkaWire
import NIOCore
import Testing

@testable import ApusUpstream

@Suite("The rules as brokers tell them")
struct UpstreamRulesTests {
    private let start = Instant(nanoseconds: 1_000_000_000_000)

    private func answer(_ rules: [Acl]?, version: Int64 = 5, isAuthorizing: Bool = true) -> DescribeEdgeResponse {
        var answer = DescribeEdgeResponse()
        answer.clusterID = "c"
        answer.cursorKey = ByteBuffer(repeating: 7, count: 32)
        answer.isAuthorizing = isAuthorizing
        answer.superUsers = ["User:root"]
        answer.rulesVersion = version
        answer.rules = rules?.map { acl in
            var rule = DescribeEdgeResponse.Rule()
            rule.record = ByteBuffer(bytes: AclRecord.encoded(acl))
            return rule
        }
        return answer
    }

    private func alice() throws -> Principal { try #require(Principal(user: "alice")) }

    private func mayRead(_ topic: String) throws -> Acl {
        try Acl(ResourcePattern(.topic, .literal, ExactText(topic)), self.alice(), .any, .read, .allow)
    }

    private func client(_ rules: UpstreamRules, _ principal: Principal) -> ClientContext {
        ClientContext(principal: principal, address: "10.0.0.1", access: rules.view(of: principal, from: nil))
    }

    @Test("before the first were heard nobody may do anything, and they do not hold")
    func closed() throws {
        let rules = UpstreamRules()
        #expect(!rules.hold(at: self.start))
        #expect(try !self.client(rules, self.alice()).allows(.read, onTopic: "news"))
    }

    @Test("rules that nobody confirms hold for a moment only, and the same rules confirmed hold on")
    func age() throws {
        var rules = UpstreamRules()
        try rules.heard(self.answer([self.mayRead("news")]), at: self.start)
        #expect(rules.hold(at: self.start.advanced(by: UpstreamLimits.rulesAgeMax)))
        let late = self.start.advanced(by: UpstreamLimits.rulesAgeMax + .milliseconds(1))
        #expect(!rules.hold(at: late))
        let version = rules.version
        try rules.heard(self.answer(nil), at: late)
        #expect(rules.hold(at: late) && rules.version == version && rules.known == 5)
        #expect(try self.client(rules, self.alice()).allows(.read, onTopic: "news"))
    }

    @Test("a right that was taken away is gone from a client that is renewed, and so is a super user's")
    func renewed() throws {
        var rules = UpstreamRules()
        try rules.heard(self.answer([self.mayRead("news")]), at: self.start)
        var client = self.client(rules, try self.alice())
        var root = self.client(rules, try #require(Principal(user: "root")))
        #expect(client.allows(.read, onTopic: "news") && root.allows(.write, onTopic: "news"))
        try rules.heard(self.answer([], version: 6), at: self.start)
        rules.renew(&client)
        rules.renew(&root)
        #expect(!client.allows(.read, onTopic: "news") && root.allows(.write, onTopic: "news"))
        var later = self.answer(nil, version: 6)
        later.superUsers = []
        try rules.heard(later, at: self.start)
        rules.renew(&root)
        #expect(!root.allows(.write, onTopic: "news"))
    }

    @Test("what can not be used leaves the rules as old as they were")
    func refused() throws {
        var rules = UpstreamRules()
        try rules.heard(self.answer([]), at: self.start)
        let late = self.start.advanced(by: .seconds(60))
        var other = self.answer(nil)
        other.clusterID = "d"
        #expect(throws: UpstreamRules.Refusal.otherCluster("d")) { try rules.heard(other, at: late) }
        var garbled = self.answer([])
        garbled.rules = [DescribeEdgeResponse.Rule()]
        #expect(throws: UpstreamRules.Refusal.rule) { try rules.heard(garbled, at: late) }
        var short = self.answer(nil)
        short.cursorKey = ByteBuffer(repeating: 7, count: 31)
        #expect(throws: UpstreamRules.Refusal.cursorKey) { try rules.heard(short, at: late) }
        #expect(!rules.hold(at: late))
    }
}
