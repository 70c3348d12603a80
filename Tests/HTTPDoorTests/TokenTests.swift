import ApusAccess
import ApusBroker
import ApusCore
import ApusFakes
import NIOCore
import Synchronization
import Testing
import WebFormats

@testable import HTTPDoor

@Suite("API keys, tickets and channels of tokens over HTTP", .timeLimit(.minutes(10)))
struct TokenTests {
    private static let claims = [
        "reader": #"{"read":["news"]}"#, "keyed": #"{"read":["news/a"],"write":["news/*"],"subscribe":["news"]}"#,
    ]

    private func run(_ body: (WebWorld, [String: String]) async throws -> Void) async throws {
        let known = Known()
        try await WebWorld.run {
            $0.tickets = Office()
            $0.login = known.login
        } settings: {
            $0.isAuthorizing = true
            $0.superUsers = Set([Principal(user: "root")].compactMap(\.self))
        } _: { world in
            known.broker.withLock { $0 = world.broker }
            try await body(world, ["Authorization": "Basic \(Base64.standard.encoded(ByteBuffer(string: "root:pw")))"])
        }
    }

    private final class Office: TicketOffice {
        private let given = Mutex(0)

        func issue(_ session: WebSession, _ then: @escaping @Sendable (String?, Timestamp) -> Void) {
            let number = self.given.withLock { given in
                given += 1
                return given
            }
            // One only remembers two.
            then(number <= 2 ? "ticket \(number) of \(session.principal)" : nil, Timestamp(rawValue: 7))
        }

        func redeem(
            _ ticket: String, from address: String,
            _ then: @escaping @Sendable (Result<WebSession, LoginFailure>) -> Void
        ) {
            then(.failure(LoginFailure(.ticket)))
        }
    }

    /// Takes the password `pw` of anybody, keys as the broker knows them, and the tokens above.
    private final class Known: Sendable {
        let broker = Mutex<Broker?>(nil)

        var login: WebLogin {
            WebLogin { _ in
                [.oauthBearer, .plain]
            } verify: { credentials, _, _, then in
                switch credentials {
                case .password(let message) where message.password.matches(Secret("pw".utf8)):
                    guard let principal = Principal(user: message.user.text) else { return }
                    then(.success(WebSession(principal: principal, mechanism: .plain, expires: nil)))
                case .token(let token):
                    let text = String(decoding: token.bytes, as: UTF8.self)
                    guard let claim = TokenTests.claims[text], let grants = try? ChannelGrants(json: claim.utf8),
                        let root = Principal(user: "root")
                    else { return then(.failure(LoginFailure(.token(.signature)))) }
                    then(
                        .success(
                            WebSession(principal: root, mechanism: .oauthBearer, expires: nil, channels: grants)))
                case .key:
                    guard let access = self.broker.withLock({ $0?.access }) else { return }
                    let rules = LoginRules(
                        mechanisms: MechanismRules(enabled: []), users: access.users, keys: access.keys)
                    then(credentials.verified(rules, now: SimulatedClock().wallTime))
                default: then(.failure(LoginFailure(.wrongPassword, mechanism: credentials.mechanism)))
                }
            }
        }
    }

    @Test("an API key is shown once, logs its owner in, and is nobody's the moment it is removed")
    func keys() async throws {
        try await self.run { world, root in
            let made = try await world.ask("POST", "/v1/tokens", #"{"name":"ci","owner":"User:bob"}"#, headers: root)
            #expect(made.status == 201, "\(made.text)")
            let fields = try made.fields()
            let (id, text) = (try #require(fields["id"]?.text), try #require(fields["token"]?.text))
            #expect(text.hasPrefix("apus_\(id)_") && made.header("location") == "/v1/tokens/\(id)")
            let list = try await world.ask("GET", "/v1/tokens", headers: root).body
            #expect(list.contains(#""name":"ci","owner":"User:bob""#) && !list.contains(text.dropFirst(22)))
            let key = ["Authorization": "Bearer \(text)"]
            let who = try await world.ask("GET", "/v1/whoami", headers: key)
            #expect(try who.fields()["principal"]?.text == "User:bob", "\(who.text)")
            #expect(try who.fields()["mechanism"]?.text == "API key \(id)")
            // bob has no rights, and a key gives none.
            #expect(try await world.ask("POST", "/v1/tokens", #"{"name":"x"}"#, headers: key).status == 403)
            #expect(try await world.ask("GET", "/v1/tokens", headers: key).status == 403)
            #expect(try await world.ask("DELETE", "/v1/tokens/\(id)", headers: key).status == 403)
            #expect(try await world.ask("DELETE", "/v1/tokens/\(id)", headers: root).status == 204)
            // Though its login is remembered.
            #expect(try await world.ask("GET", "/v1/whoami", headers: key).status == 401)
            let again = try await world.ask("DELETE", "/v1/tokens/\(id)", headers: root)
            #expect(again.status == 404 && again.code == "token_not_found")
        }
    }

    @Test(
        "what can be no key is refused",
        arguments: [
            "{}", #"{"name":""}"#, #"{"name":"a\u001b[31m"}"#, #"{"name":"a","owner":"bob"}"#,
            #"{"name":"a","owner":"User:*"}"#, #"{"name":"a","owner":"Process:embedded"}"#,
            #"{"name":"a","expires_in":0}"#, #"{"name":"a","expires_in":9223372036854775807}"#, #"{"nme":"a"}"#,
        ]
    )
    func refused(body: String) async throws {
        try await self.run { world, root in
            let answer = try await world.ask("POST", "/v1/tokens", body, headers: root)
            #expect(answer.status == 400, "\(answer.text)")
            #expect(try await world.ask("GET", "/v1/tokens", headers: root).body == #"{"items":[]}"#)
        }
    }

    @Test("a ticket is another each time, and is given only to who logged in")
    func tickets() async throws {
        try await self.run { world, root in
            let one = try await world.ask("POST", "/v1/tickets", headers: root)
            let two = try await world.ask("POST", "/v1/tickets", headers: root)
            #expect(one.status == 201 && two.status == 201, "\(one.text)")
            #expect(try one.fields()["ticket"]?.text == "ticket 1 of User:root")
            #expect(try one.fields()["ticket"]?.text != two.fields()["ticket"]?.text)
            let third = try await world.ask("POST", "/v1/tickets", headers: root)
            #expect(third.status == 429 && third.header("retry-after") == "30")
            #expect(try await world.ask("POST", "/v1/tickets").status == 401)
        }
    }

    @Test("nothing that logs in, and no query, is in any log line, at any level")
    func logs() async throws {
        let (known, lines) = (Known(), LogLines())
        try await WebWorld.run(
            { $0.login = known.login }, settings: { $0.isAuthorizing = true }, lines: lines
        ) { world in
            known.broker.withLock { $0 = world.broker }
            for target in ["/v1/whoami?ticket=SECRET1", "/v1/topics?prefix=SECRET2", "/v1/stream?ticket=SECRET3"] {
                for login in ["Bearer SECRET4", "Bearer apus_0000000000000000_SECRET5", "Basic SECRET6"] {
                    _ = try await world.ask("GET", target, headers: ["Authorization": login])
                }
            }
            _ = try await world.ask(raw: "GET /v1/topics?ticket=SECRET7 HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n")
            world.broker.audit.note(.login, "the log is one", by: ClientContext())
        }
        #expect(!lines.text.contains("SECRET"), "\(lines.text)")
    }

    @Test("a token that names its channels reads and writes whole topics that it names, and does nothing else")
    func claims() async throws {
        try await self.run { world, root in
            for topic in ["news", "other"] {
                let wish = #"{"name":"\#(topic)"}"#
                #expect(try await world.ask("POST", "/v1/topics", wish, headers: root).status == 201)
            }
            let reader = ["Authorization": "Bearer reader"]
            #expect(try await world.ask("GET", "/v1/topics/news/records", headers: reader).status == 200)
            for (method, path, body) in [
                ("GET", "/v1/topics/other/records", ""), ("POST", "/v1/topics/news/records", #"{"value":1}"#),
                ("DELETE", "/v1/topics/news", ""), ("POST", "/v1/topics", #"{"name":"more"}"#),
                ("GET", "/v1/users", ""), ("POST", "/v1/tokens", #"{"name":"x"}"#), ("GET", "/v1/connections", ""),
                ("GET", "/metrics", ""),
            ] {
                let answer = try await world.ask(method, path, body, headers: reader)
                #expect(answer.status == 403, "\(method) \(path) \(answer.text)")
            }
            let topics = try await world.ask("GET", "/v1/topics", headers: reader).body
            #expect(topics.contains("news") && !topics.contains("other"))
            // Some keys of a topic are not the topic.
            let keyed = ["Authorization": "Bearer keyed"]
            #expect(try await world.ask("GET", "/v1/topics/news/records", headers: keyed).status == 403)
            let write = try await world.ask(
                "POST", "/v1/topics/news/records", #"{"key":"a","value":1}"#, headers: keyed)
            #expect(write.status == 403)
        }
    }
}
