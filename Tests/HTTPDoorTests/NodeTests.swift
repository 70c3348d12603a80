import ApusAccess
import ApusBroker
import ApusCore
import NIOCore
import Synchronization
import Testing
import WebFormats

@testable import HTTPDoor

@Suite("Draining a node over HTTP", .timeLimit(.minutes(10)))
struct NodeTests {
    private final class Count: Sendable {
        let value = Atomic<Int>(0)
    }

    @Test("a node that is told to drain says so, is not ready any more, and tells its other door once")
    func drain() async throws {
        let told = Count()
        try await WebWorld.run { door in
            door.drainBegan = { told.value.add(1, ordering: .relaxed) }
        } _: { world in
            #expect(try await world.ask("GET", "/readyz?unready=404").status == 200)
            #expect(try await world.ask("POST", "/v1/nodes/other:drain").status == 404)
            #expect(try await world.ask("GET", "/v1/nodes/self:drain").status == 405)
            #expect(try await world.ask("POST", "/v1/nodes/self:drain?now=1").status == 400)
            #expect(told.value.load(ordering: .relaxed) == 0)
            for _ in 0..<2 {
                let answer = try await world.ask("POST", "/v1/nodes/self:drain")
                #expect(answer.status == 202 && answer.body == #"{"status":"draining"}"#)
            }
            #expect(told.value.load(ordering: .relaxed) == 1)
            let unready = try await world.ask("GET", "/readyz")
            #expect(unready.status == 503 && unready.code == "shutting_down")
            #expect(try await world.ask("GET", "/readyz?unready=404").status == 404)
            // It serves on: who sends it away has others do so first.
            #expect(try await world.ask("GET", "/v1/topics").status == 200)
        }
    }

    private func drain(_ world: WebWorld, as user: String) async throws -> Int {
        let text = Base64.standard.encoded(ByteBuffer(string: "\(user):pw"))
        return try await world.ask(
            "POST", "/v1/nodes/self:drain", headers: ["Authorization": "Basic \(text)"]
        ).status
    }

    @Test("it takes ALTER on the cluster")
    func rights() async throws {
        let told = Count()
        let root = try #require(Principal(user: "root"))
        let login = WebLogin { _ in
            [.plain]
        } verify: { credentials, _, _, then in
            guard case .password(let message) = credentials, let user = Principal(user: message.user.text) else {
                return then(.failure(LoginFailure(.wrongPassword)))
            }
            then(.success(WebSession(principal: user, mechanism: .plain, expires: nil)))
        }
        try await WebWorld.run(
            { door in
                door.drainBegan = { told.value.add(1, ordering: .relaxed) }
                door.login = login
            },
            settings: {
                $0.isAuthorizing = true
                $0.superUsers = [root]
            }
        ) { world in
            let nobody = try await world.ask("POST", "/v1/nodes/self:drain").status
            let alice = try await self.drain(world, as: "alice")
            #expect(nobody == 401 && alice == 403 && told.value.load(ordering: .relaxed) == 0)
            let status = try await self.drain(world, as: "root")
            #expect(status == 202)
            #expect(told.value.load(ordering: .relaxed) == 1)
        }
    }
}
