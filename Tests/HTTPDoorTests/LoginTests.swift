import ApusAccess
import ApusBroker
import ApusCore
import HTTPTypes
import NIOCore
import Synchronization
import Testing
import WebFormats

@testable import HTTPDoor

@Suite("Who asks over HTTP", .timeLimit(.minutes(10)))
struct LoginTests {
    /// Takes the password `pw` of anybody, and the token `good` as alice's.
    private final class Desk: Sendable {
        let checks = Mutex(0)
        let offered: [SaslMechanism]

        init(offered: [SaslMechanism] = [.oauthBearer, .plain]) { self.offered = offered }

        var login: WebLogin {
            WebLogin { _ in
                self.offered
            } verify: { credentials, _, _, then in
                self.checks.withLock { $0 += 1 }
                switch credentials {
                case .password(let message) where message.password.matches(Secret("pw".utf8)):
                    guard let principal = Principal(user: message.user.text) else { return }
                    then(.success(WebSession(principal: principal, mechanism: .plain, expires: nil)))
                case .token(let token) where token.matches(Secret("good".utf8)):
                    guard let alice = Principal(user: "alice") else { return }
                    then(.success(WebSession(principal: alice, mechanism: .oauthBearer, expires: nil)))
                default: then(.failure(LoginFailure(.wrongPassword, mechanism: credentials.mechanism)))
                }
            }
        }
    }

    private func basic(_ user: String, _ password: String) -> [String: String] {
        ["Authorization": "Basic \(Base64.standard.encoded(ByteBuffer(string: "\(user):\(password)")))"]
    }

    private func run(_ desk: Desk, _ body: (WebWorld) async throws -> Void) async throws {
        try await WebWorld.run {
            $0.login = desk.login
        } settings: {
            $0.isAuthorizing = true
            $0.superUsers = Set([Principal(user: "root")].compactMap(\.self))
        } _: { world in
            try await body(world)
        }
    }

    @Test("without credentials nothing is told but how to come with some, and that the process lives")
    func nobody() async throws {
        try await self.run(Desk()) { world in
            for (method, path) in WebRoute.all.filter({ !$0.isOpen }).map({ ($0.method.rawValue, $0.path) }) {
                let answer = try await world.ask(method, path.replacing("{", with: "").replacing("}", with: ""))
                #expect(answer.status == 401 && answer.code == "unauthenticated", "\(method) \(path)")
                #expect(answer.header("www-authenticate")?.contains("Bearer") == true)
            }
            #expect(try await world.ask("GET", "/livez").status == 200)
        }
    }

    @Test(
        "credentials that are none are refused, and not repeated",
        arguments: [
            "Basic", "Basic !", "Basic cm9vdA==", "Bearer", "Bearer forged", "Digest x", "Basic cm9vdDp3cm9uZw==",
            "bearer good extra", "Basic Og==",
        ]
    )
    func refused(authorization: String) async throws {
        try await self.run(Desk()) { world in
            let answer = try await world.ask("GET", "/v1/whoami", headers: ["Authorization": authorization])
            #expect(answer.status == 401, "\(answer.text)")
            #expect(!answer.text.contains("forged"))
        }
    }

    @Test("who logged in is the same principal as on the Kafka port, with its rights and no more")
    func rights() async throws {
        try await self.run(Desk()) { world in
            let root = self.basic("root", "pw")
            let alice = ["Authorization": "Bearer good"]
            let who = try await world.ask("GET", "/v1/whoami", headers: alice).fields()
            #expect(who["principal"]?.text == "User:alice" && who["mechanism"]?.text == "OAUTHBEARER")
            let wish = #"{"name":"secret"}"#
            let denied = try await world.ask("POST", "/v1/topics", wish, headers: alice)
            #expect(denied.status == 403 && denied.code == "forbidden")
            #expect(try await world.ask("POST", "/v1/topics", wish, headers: root).status == 201)
            // What is forbidden and what is not there are told alike.
            for (method, path, body) in [
                ("GET", "/v1/topics/X", ""), ("DELETE", "/v1/topics/X", ""), ("GET", "/v1/topics/X/records", ""),
                ("POST", "/v1/topics/X/records", #"{"value":1}"#), ("PATCH", "/v1/topics/X", #"{"partitions":2}"#),
                ("POST", "/v1/topics/X:trim", #"{"before":0}"#),
            ] {
                let there = try await world.ask(method, path.replacing("X", with: "secret"), body, headers: alice)
                let missing = try await world.ask(method, path.replacing("X", with: "nothing"), body, headers: alice)
                #expect(there.status == 403 && there.body == missing.body, "\(method) \(path) \(there.text)")
            }
            #expect(try await world.ask("GET", "/v1/topics", headers: alice).body == #"{"items":[]}"#)
            #expect(try await world.ask("GET", "/v1/topics", headers: root).body.contains("secret"))
        }
    }

    @Test("credentials are checked once for many requests, and again when they are others")
    func remembered() async throws {
        let desk = Desk()
        try await self.run(desk) { world in
            for _ in 0..<5 { _ = try await world.ask("GET", "/v1/whoami", headers: self.basic("bob", "pw")) }
            #expect(desk.checks.withLock { $0 } == 1)
            #expect(try await world.ask("GET", "/v1/whoami", headers: self.basic("bob", "PW")).status == 401)
            #expect(try await world.ask("GET", "/v1/whoami", headers: self.basic("eve", "pw")).status == 200)
            #expect(desk.checks.withLock { $0 } == 3)
        }
    }
}
