import ApusCore
import Testing

@Suite("What may stand in the catalogue")
struct CatalogueRulesTests {
    private func sample(_ change: (inout Subscription) -> Void = { _ in }) -> Subscription {
        var subscription = Subscription(
            name: SubscriptionName("billing"), owner: ConsumerName("User:alice"), interest: .names(["orders"]))
        change(&subscription)
        return subscription
    }

    /// What the refusal says; nil: it is taken.
    private func refusal(_ change: (inout Subscription) -> Void) -> String? {
        do throws(InvalidField) {
            try self.sample(change).validate()
            return nil
        } catch {
            return error.description
        }
    }

    @Test("a plain subscription is taken")
    func plain() throws {
        try self.sample().validate()
    }

    @Test("names may be anything that is visible, up to their limit, as Kafka's group ids are")
    func names() {
        for name in ["a", "my group/1", "group:über \u{1F426}", "..", String(repeating: "x", count: 255)] {
            #expect(self.refusal { $0.name = SubscriptionName(name) } == nil, "\(name)")
        }
        #expect(self.refusal { $0.name = SubscriptionName("") } == "name: a subscription's name can not be empty")
        #expect(
            self.refusal { $0.name = SubscriptionName(String(repeating: "ü", count: 128)) }
                == "name: a subscription's name has at most 255 B, this has 256 B")
        for (bad, code) in [
            ("\0", "U+0000"), ("\n", "U+000A"), ("\u{7F}", "U+007F"), ("\u{9B}", "U+009B"), ("\u{2028}", "U+2028"),
            ("\u{202E}", "U+202E"), ("\u{2066}", "U+2066"),
        ] {
            #expect(
                self.refusal { $0.name = SubscriptionName("a\(bad)b") }
                    == "name: a subscription's name can not hold the control character \(code)")
        }
        #expect(self.refusal { $0.owner = ConsumerName("") } == "owner: a consumer's name can not be empty")
    }

    @Test("periods of zero, below zero, too short, too long or not whole are each told what they may be")
    func periods() {
        #expect(
            self.refusal { $0.period = .zero }
                == "period: can not be zero; leave it out to ask for nothing beyond the topic's own retention")
        #expect(
            self.refusal { $0.period = .seconds(-3600) }
                == "period: can not be negative; leave it out to ask for nothing beyond the topic's own retention")
        #expect(
            self.refusal { $0.period = .milliseconds(999) }
                == "period: must be between 1 s and 3650 d, not 999 ms")
        #expect(
            self.refusal { $0.period = .seconds(3651 * 86_400) }
                == "period: must be between 1 s and 3650 d, not 3651 d")
        #expect(self.refusal { $0.period = .seconds(Int64.max) }?.hasPrefix("period: must be between") == true)
        #expect(self.refusal { $0.period = .microseconds(1_000_500) } == "period: is counted in whole milliseconds")
        #expect(self.refusal { $0.period = .seconds(3650 * 86_400) } == nil)
        #expect(
            self.refusal { $0.expiry = .zero } == "expiry: can not be zero; leave it out to keep an unused subscription"
        )
        #expect(self.refusal { $0.expiry = .seconds(1) } == nil)
    }

    @Test("topics are named by Kafka's rules, at least one unless it is a group, at most a thousand")
    func topics() {
        #expect(
            self.refusal { $0.interest = .names([]) } == "topics: name at least one topic, or give a pattern")
        #expect(
            self.refusal {
                $0.interest = .names([])
                $0.origin = .group
            } == nil)
        #expect(
            self.refusal { $0.interest = .names(["orders", "a/b"]) }
                == "topics: a topic's name is made of letters, digits, '.', '_' and '-' only")
        #expect(
            self.refusal { $0.interest = .names((0...1000).map { "t\($0)" }) }
                == "topics: at most 1000, these are 1001: use a pattern")
        #expect(
            self.refusal { $0.start = .time(Timestamp(rawValue: -1)) }
                == "start: a time is in milliseconds since 1970 and not negative, not -1")
    }

    @Test("a dead-letter topic is a queue's, has a topic's name, and is not read by the same subscription")
    func deadLetters() throws {
        #expect(
            self.refusal { $0.deadLetterTopic = "dead" }
                == "dead-letter: only a queue gives up on records; a stream stops at them")
        #expect(
            self.refusal {
                $0.delivery = .queue
                $0.deadLetterTopic = ".."
            } == "dead-letter: a topic can not be named '.' or '..'")
        let pattern = try TopicPattern("or*")
        #expect(
            self.refusal {
                $0.delivery = .queue
                $0.interest = .pattern(pattern)
                $0.deadLetterTopic = "orders.dead"
            } == "dead-letter: 'orders.dead' is read by this very subscription: records would go round")
        #expect(
            self.refusal {
                $0.delivery = .queue
                $0.deadLetterTopic = "dead"
            } == nil)
    }

    @Test("a consumer's details may have lines, its cap stays within the general one")
    func consumers() throws {
        try Consumer(name: ConsumerName("a"), details: "one\n\ttwo", subscriptionsMax: 0).validate()
        #expect(throws: InvalidField("details", "can not hold the control character U+001B")) {
            try Consumer(name: ConsumerName("a"), details: "\u{1B}[2J").validate()
        }
        #expect(throws: InvalidField("details", "at most 4.0 KiB, this has 4097 B")) {
            try Consumer(name: ConsumerName("a"), details: String(repeating: "x", count: 4097)).validate()
        }
        #expect(throws: InvalidField("subscriptions-max", "must be between 0 and 20000, not 20001")) {
            try Consumer(name: ConsumerName("a"), subscriptionsMax: 20_001).validate()
        }
        #expect(throws: InvalidField.self) { try Consumer(name: ConsumerName("a"), subscriptionsMax: -1).validate() }
    }

    @Test("a commit has 1 to 1000 changes, an actor, and a reason that is text")
    func transactions() {
        let change = CatalogueChange.putSubscription(self.sample(), expecting: .none)
        func refusal(_ count: Int, _ actor: String, _ reason: String) -> String? {
            do throws(InvalidField) {
                try CatalogueTransaction(
                    Array(repeating: change, count: count), by: ConsumerName(actor), at: .none, reason: reason
                ).validate()
                return nil
            } catch {
                return error.field
            }
        }
        #expect(refusal(0, "a", "") == "changes")
        #expect(refusal(1000, "a", "") == nil)
        #expect(refusal(1001, "a", "") == "changes")
        #expect(refusal(1, "", "") == "actor")
        #expect(refusal(1, "a", String(repeating: "r", count: 513)) == "reason")
    }
}

@Suite("Patterns of topics")
struct TopicPatternTests {
    @Test("a star is any characters, a question mark is one, the rest is itself")
    func matching() throws {
        for (pattern, yes, no) in [
            ("orders", ["orders"], ["order", "orders1", "Orders", ""]),
            ("orders.*", ["orders.", "orders.eu", "orders.eu.1"], ["orders", "xorders.eu"]),
            ("*", ["a", "orders"], ["__consumer_offsets"]),
            ("__*", ["__consumer_offsets"], ["orders", "_x"]),
            ("_*", ["_x", "_"], ["__x", "x"]),
            ("*.eu", ["orders.eu", ".eu"], ["eu", "orders.eu.x"]),
            ("a*b*c", ["abc", "axxbxxc", "abbcc"], ["ab", "acb", "abcx"]),
            ("a?c", ["abc", "a.c"], ["ac", "abbc"]),
            ("**?", ["a", "abc"], [""]),
        ] {
            let pattern = try TopicPattern(pattern)
            for topic in yes { #expect(pattern.matches(topic: topic), "\(pattern) and \(topic)") }
            for topic in no { #expect(!pattern.matches(topic: topic), "\(pattern) and \(topic)") }
        }
    }

    @Test("what a pattern may not be is told")
    func refusals() {
        #expect(throws: InvalidField("pattern", "can not be empty; '*' stands for all topics")) {
            try TopicPattern("")
        }
        #expect(throws: InvalidField("pattern", "is made of letters, digits, '.', '_', '-', '*' and '?' only")) {
            try TopicPattern("orders|payments")
        }
        #expect(throws: InvalidField("pattern", "has at most 249 B, this has 250 B")) {
            try TopicPattern(String(repeating: "*", count: 250))
        }
    }

    /// The textbook's recursion, slow and plainly right.
    private func naive(_ pattern: Substring, _ name: Substring) -> Bool {
        guard let first = pattern.first else { return name.isEmpty }
        if first == "*" {
            return self.naive(pattern.dropFirst(), name)
                || (!name.isEmpty && self.naive(pattern, name.dropFirst()))
        }
        guard let head = name.first, first == "?" || first == head else { return false }
        return self.naive(pattern.dropFirst(), name.dropFirst())
    }

    @Test("every short pattern and name agree with the plain definition")
    func exhaustive() throws {
        func words(_ letters: [String], _ length: Int) -> [String] {
            (0..<length).reduce([""]) { words, _ in words + words.flatMap { word in letters.map { word + $0 } } }
        }
        let patterns = Set(words(["a", "b", "*", "?"], 4)).filter { !$0.isEmpty }
        let names = Set(words(["a", "b"], 4))
        for text in patterns {
            let pattern = try TopicPattern(text)
            for name in names where pattern.matches(topic: name) != self.naive(text[...], name[...]) {
                Issue.record("\(text) and \(name)")
            }
        }
    }
}

@Suite("Filters and push endpoints")
struct RecordFilterTests {
    @Test("conditions on the key and on headers are read, negated and joined")
    func conditions() throws {
        let filter = try RecordFilter(
            "key ^= \"eu-\" and  header.kind=\"or\\\"der\\\\\" and not header.test and not key")
        #expect(
            filter.conditions == [
                .init(field: .key, test: .begins(with: "eu-")),
                .init(field: .header("kind"), test: .equals("or\"der\\")),
                .init(isNegated: true, field: .header("test"), test: .isPresent),
                .init(isNegated: true, field: .key, test: .isPresent),
            ])
        #expect(try RecordFilter("key=\"\"").conditions == [.init(field: .key, test: .equals(""))])
        #expect(try RecordFilter("header.and").conditions == [.init(field: .header("and"), test: .isPresent)])
    }

    @Test(
        "what is no filter is refused with the place",
        arguments: [
            ("", "filter: expected 'key' or 'header.NAME' at the end"),
            ("value = \"x\"", "filter: expected 'key' or 'header.NAME' at 'value = \"x\"'"),
            ("header. = \"x\"", "filter: expected 'key' or 'header.NAME' at 'header. = \"x\"'"),
            ("key = x", "filter: expected a text in double quotes at 'x'"),
            ("key = \"x", "filter: a text in double quotes does not end"),
            ("key = \"\\n\"", "filter: after '\\' comes '\"' or '\\'"),
            ("key or key", "filter: expected 'and' or the end at 'or key'"),
            ("key and", "filter: expected 'key' or 'header.NAME' at the end"),
            ("(key)", "filter: expected 'key' or 'header.NAME' at '(key)'"),
        ])
    func refusals(text: String, message: String) {
        do throws(InvalidField) {
            let filter = try RecordFilter(text)
            Issue.record("taken: \(filter.conditions)")
        } catch {
            #expect(error.description == message)
        }
    }

    @Test("a filter has at most 16 conditions and 1 KiB")
    func limits() throws {
        let many = Array(repeating: "key", count: 16).joined(separator: " and ")
        #expect(try RecordFilter(many).conditions.count == 16)
        #expect(throws: InvalidField("filter", "at most 16 conditions")) { try RecordFilter(many + " and key") }
        #expect(throws: InvalidField("filter", "at most 1.0 KiB, this has 1025 B")) {
            try RecordFilter("key" + String(repeating: " ", count: 1022))
        }
    }

    @Test("a push endpoint is taken apart")
    func endpoints() throws {
        let plain = try PushEndpoint("http://localhost")
        #expect(plain.host == "localhost" && plain.port == 80 && plain.target == "/" && !plain.isSecure)
        let full = try PushEndpoint("HTTPS://push.example.org:8443/hook/%20x?a=b/c")
        #expect(full.host == "push.example.org" && full.port == 8443 && full.target == "/hook/%20x?a=b/c")
        #expect(full.isSecure)
        let six = try PushEndpoint("https://[2001:db8::1]:99?q")
        #expect(six.host == "2001:db8::1" && six.port == 99 && six.target == "/?q")
    }

    @Test(
        "what is no push endpoint is refused",
        arguments: [
            "", "example.org", "ftp://example.org", "http://", "http:///x", "http://a b", "http://a:0",
            "http://a:65536",
            "http://a:", "http://a:1x", "http://u:p@a/", "http://a/#x", "http://[::1", "http://[]/", "http://[g]/",
            "http://a_b/", "http://\u{FC}.org", "http://a/\u{0}", "https://a/" + String(repeating: "x", count: 2050),
        ])
    func badEndpoints(text: String) {
        #expect(throws: InvalidField.self) { try PushEndpoint(text) }
    }
}
