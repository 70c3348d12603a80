import ApusAccess
import ApusBroker
import ApusCore
import ApusFakes
import NIOCore
import Testing
import WebFormats

@testable import EdgeDoor

@Suite("Tokens that name channels, API keys and tickets, at the edge")
struct EdgeLoginTests {
    private static let claims = [
        "rooms": #"{"read":["chat/room-*"],"write":["chat/room-7"],"subscribe":["news"]}"#,
        "all": #"{"read":["*"],"write":["*"]}"#,
    ]

    private let known = BenchBox<Broker>()

    private var login: WebLogin {
        let known = self.known
        return WebLogin(offered: { _ in [.plain, .oauthBearer] }) { credentials, _, _, then in
            guard let access = known.value?.access, let alice = Principal(user: "alice") else { return }
            switch credentials {
            case .token(let secret):
                guard let claim = Self.claims[String(decoding: secret.bytes, as: UTF8.self)],
                    let grants = try? ChannelGrants(json: claim.utf8)
                else { return then(.failure(LoginFailure(.token(.signature)))) }
                then(.success(WebSession(principal: alice, mechanism: .oauthBearer, expires: nil, channels: grants)))
            default:
                let rules = LoginRules(
                    mechanisms: MechanismRules(enabled: []), users: access.users, keys: access.keys)
                then(credentials.verified(rules, now: SimulatedClock().wallTime))
            }
        }
    }

    private func bench(tickets: (any TicketOffice)? = nil) throws -> EdgeBench {
        let bench = try EdgeBench(login: self.login, tickets: tickets) { $0.isAuthorizing = true }
        self.known.put(bench.broker)
        for topic in ["news", "chat", "secret"] { try bench.create(topic) }
        return bench
    }

    private func connected(_ bench: EdgeBench, _ token: String) throws -> BenchClient {
        let client = try bench.webSocket()
        #expect(try client.ask(#"{"id":0,"op":"connect","token":"\#(token)"}"#).first?.contains(#""ok""#) == true)
        return client
    }

    @Test("the bearer of a token is in the channels that it names, with past and present, and in no other")
    func channels() throws {
        let bench = try self.bench()
        for (key, value) in [("room-7", "old"), ("attic", "hidden")] { try bench.write("chat", [value], key: key) }
        let client = try self.connected(bench, "rooms")
        func answer(_ operation: String) throws -> String { try client.ask(#"{"id":1,\#(operation)}"#).first ?? "" }
        for channel in ["chat", "chat/*", "chat/attic", "chat/roo*", "secret", "secret/room-7", "nothing/room-7"] {
            let denied = try answer(#""op":"subscribe","channel":"\#(channel)""#)
            #expect(denied.contains("forbidden"), "\(channel): \(denied)")
            #expect(try answer(#""op":"read","channel":"\#(channel)","from":"earliest""#).contains("forbidden"))
        }
        for channel in ["chat/room-*", "chat/room-7"] {
            let taken = try answer(#""op":"subscribe","channel":"\#(channel)","from":"earliest""#)
            #expect(taken.contains(#""ok""#), "\(channel): \(taken)")
        }
        #expect(try answer(#""op":"subscribe","channel":"news""#).contains(#""ok""#))
        #expect(try client.records() == ["0:0=old", "0:0=old"])
        try bench.write("chat", ["new"], key: "room-7")
        try bench.write("chat", ["hidden"], key: "attic")
        try bench.write("news", ["paper"])
        #expect(try client.records().sorted() == ["0:0=paper", "0:2=new", "0:2=new"])
        let read = try answer(#""op":"read","channel":"chat/room-*","from":"earliest""#)
        #expect(read.contains("old") && !read.contains("hidden"))
    }

    @Test("the bearer of a token writes the keys that it names, and makes and deletes nothing")
    func writes() throws {
        let bench = try self.bench()
        let client = try self.connected(bench, "rooms")
        func answer(_ operation: String) throws -> String { try client.ask(#"{"id":1,\#(operation)}"#).first ?? "" }
        #expect(try answer(#""op":"write","topic":"chat","key":"room-7","value":1"#).contains(#""offset":0"#))
        for wish in [#""key":"room-8","value":1"#, #""value":1"#, #""key":"","value":1"#] {
            #expect(try answer(#""op":"write","topic":"chat",\#(wish)"#).contains("forbidden"), "\(wish)")
        }
        #expect(try answer(#""op":"write","topic":"news","key":"room-7","value":1"#).contains("forbidden"))
        #expect(try answer(#""op":"delete_topic","topic":"chat""#).contains("forbidden"))
        #expect(try answer(#""op":"create","topic":"more""#).contains("forbidden"))
        let all = try self.connected(bench, "all")
        let internalTopic = try all.ask(#"{"id":1,"op":"write","topic":"__apus_audit","value":1}"#).first ?? ""
        #expect(internalTopic.contains(#""error""#), "\(internalTopic)")
    }

    @Test("a rule that denies, made while connected, ends what a token's claim allowed")
    func denied() throws {
        let bench = try self.bench()
        let client = try self.connected(bench, "rooms")
        _ = try client.ask(#"{"id":1,"op":"subscribe","channel":"chat/room-7"}"#)
        _ = try client.ask(#"{"id":2,"op":"subscribe","channel":"news"}"#)
        let done = BenchBox<Bool>()
        let alice = try #require(Principal(user: "alice"))
        let acl = try Acl(ResourcePattern(.topic, .literal, "chat"), alice, .any, .read, .deny)
        bench.broker.createAcls([acl], client: .embedded, on: bench.loops[0]) { _ in done.put(true) }
        bench.run()
        bench.advance(.seconds(2))
        #expect(try client.records() == ["event ended"])
        try bench.write("news", ["fine"])
        #expect(try client.records() == ["0:0=fine"])
    }

    @Test("who is connected with an API key is closed when it is removed")
    func keys() throws {
        let bench = try self.bench()
        let alice = try #require(Principal(user: "alice"))
        let made = try AccessKey.make(
            "page", owner: alice, created: bench.clock.wallTime, expires: nil, idBytes: Array(repeating: 3, count: 8),
            secret: Array(repeating: 4, count: 32))
        bench.broker.add(made.key, client: .embedded, on: bench.loops[0]) { _ in }
        bench.run()
        let client = try self.connected(bench, made.text)
        let header = try bench.webSocket([("Authorization", "Bearer \(made.text)")])
        bench.advance(.seconds(2))
        #expect(client.isOpen && header.isOpen)
        bench.broker.removeAccessKey(made.key.id, client: .embedded, on: bench.loops[0]) { _ in }
        bench.run()
        bench.advance(.seconds(5))
        for client in [client, header] { #expect(try client.frames().contains("close 4003") && !client.isOpen) }
        let late = try bench.webSocket()
        #expect(try late.ask(#"{"id":0,"op":"connect","token":"\#(made.text)"}"#).first?.contains("401") == true)
    }

    // MARK: Tickets

    private func ticket(_ book: EndpointTickets, _ session: WebSession) throws -> String {
        let given = BenchBox<String>()
        book.issue(session) { ticket, _ in if let ticket { given.put(ticket) } }
        return try #require(given.value)
    }

    @Test("a ticket opens one stream or socket as who got it, with his channels, and never a second one")
    func tickets() throws {
        let book = EndpointTickets(clock: SimulatedClock())
        let bench = try self.bench(tickets: book)
        let alice = try #require(Principal(user: "alice"))
        let claim = #"{"subscribe":["news"]}"#
        let session = WebSession(
            principal: alice, mechanism: .oauthBearer, expires: nil, channels: try ChannelGrants(json: claim.utf8))
        let (one, two) = (try self.ticket(book, session), try self.ticket(book, session))
        let stream = try bench.client("/v1/stream?channel=news&ticket=\(one)")
        #expect(try stream.head().hasPrefix("HTTP/1.1 200 "))
        for target in [
            "/v1/stream?channel=news&ticket=\(one)", "/v1/stream?channel=news&ticket=\(one)x",
            "/v1/stream?channel=news&ticket=",
        ] {
            let again = try bench.client(target)
            let head = try again.head()
            #expect(head.hasPrefix("HTTP/1.1 401 "), "\(head)")
            #expect(try !again.text().contains(one))
        }
        let wrong = try bench.client("/v1/stream?channel=secret&ticket=\(two)")
        #expect(try wrong.head().hasPrefix("HTTP/1.1 403 "))
        // Used up, though nothing was read with it.
        #expect(try bench.client("/v1/stream?channel=news&ticket=\(two)").head().hasPrefix("HTTP/1.1 401 "))
        let both = try bench.client(
            "/v1/stream?channel=news&ticket=\(one)", [("Authorization", "Bearer rooms")])
        #expect(try both.head().hasPrefix("HTTP/1.1 400 "))
    }

    @Test("a ticket is good for its time, and no longer than the token that it was got with")
    func ticketTimes() throws {
        let clock = SimulatedClock()
        let book = EndpointTickets(clock: clock)
        let alice = try #require(Principal(user: "alice"))
        let short = Timestamp(rawValue: clock.wallTime.rawValue + 5_000)
        let (long, bound) = (
            try self.ticket(book, WebSession(principal: alice, mechanism: .plain, expires: nil)),
            try self.ticket(book, WebSession(principal: alice, mechanism: .oauthBearer, expires: short))
        )
        let late = try self.ticket(book, WebSession(principal: alice, mechanism: .plain, expires: nil))
        clock.advance(by: .seconds(6))
        let found = BenchBox<Bool>()
        book.redeem(bound, from: "") { found.put($0.isSuccess) }
        #expect(found.value == false)
        book.redeem(long, from: "") { found.put($0.map { $0.principal == alice } == .success(true)) }
        #expect(found.value == true)
        clock.advance(by: Limits.webTicketLifetime)
        book.redeem(late, from: "") { found.put($0.isSuccess) }
        #expect(found.value == false)
    }

    @Test("tickets that nobody uses are bounded, and make room when they are old")
    func ticketBounds() throws {
        let clock = SimulatedClock()
        let book = EndpointTickets(clock: clock)
        let session = WebSession(principal: .anonymous, mechanism: .plain, expires: nil)
        for _ in 0..<Limits.webTicketsMax { _ = try self.ticket(book, session) }
        let given = BenchBox<Bool>()
        book.issue(session) { ticket, _ in given.put(ticket != nil) }
        #expect(given.value == false)
        clock.advance(by: Limits.webTicketLifetime)
        book.issue(session) { ticket, _ in given.put(ticket != nil) }
        #expect(given.value == true)
    }
}

extension Result {
    fileprivate var isSuccess: Bool { if case .success = self { true } else { false } }
}
