import ApusAccess
import ApusBroker
import ApusCore
import HTTPTypes
import NIOCore
import Testing
import WebFormats

@testable import HTTPDoor

@Suite("Rules, users, subscriptions and documents over HTTP", .timeLimit(.minutes(10)))
struct AdminTests {
    @Test("rules are made, found by what they say, and removed by it")
    func acls() async throws {
        try await WebWorld.run { world in
            let rule =
                #"{"type":"topic","name":"orders-","pattern":"prefixed","principal":"User:alice","operation":"read"}"#
            let made = try await world.ask("POST", "/v1/acls", "{\"acls\":[\(rule)]}")
            let full =
                #"{"type":"topic","pattern":"prefixed","name":"orders-","principal":"User:alice","host":"*","#
                + #""operation":"read","permission":"allow"}"#
            #expect(made.body == "{\"items\":[\(full)]}", "\(made.text)")
            #expect(try await world.ask("GET", "/v1/acls?principal=User:alice").body == "{\"items\":[\(full)]}")
            let deciding = "/v1/acls?type=topic&name=orders-7&pattern=match"
            #expect(try await world.ask("GET", deciding).body == "{\"items\":[\(full)]}")
            #expect(try await world.ask("GET", "/v1/acls?principal=User:bob").body == #"{"items":[]}"#)
            #expect(try await world.ask("DELETE", "/v1/acls").status == 400)
            #expect(try await world.ask("DELETE", "/v1/acls?principal=User:alice").body == "{\"items\":[\(full)]}")
            #expect(try await world.ask("GET", "/v1/acls").body == #"{"items":[]}"#)
            for wrong in [
                #"{"acls":[]}"#, #"{"acls":[{}]}"#, #"{"acls":[5]}"#,
                #"{"acls":[{"type":"topic","name":"t","principal":"alice","operation":"read"}]}"#,
                #"{"acls":[{"type":"topic","name":"t","principal":"User:a","operation":"fly"}]}"#,
                #"{"acls":[{"type":"cluster","name":"other","principal":"User:a","operation":"alter"}]}"#,
            ] {
                #expect(try await world.ask("POST", "/v1/acls", wrong).status == 400, "\(wrong)")
            }
        }
    }

    @Test("users are made with both mechanisms, listed without secrets, and removed once")
    func users() async throws {
        try await WebWorld.run { world in
            #expect(try await world.ask("PUT", "/v1/users/al%C3%A9", #"{"password":"secret word"}"#).status == 204)
            let list = try await world.ask("GET", "/v1/users")
            #expect(list.body.contains(#""name":"alé""#) && !list.body.contains("secret"))
            #expect(list.body.contains("iterations"))
            let fits = world.broker.access.users.check(Secret("secret word".utf8), of: "alé").run()
            #expect(fits)
            #expect(try await world.ask("PUT", "/v1/users/bob", #"{"password":""}"#).status == 400)
            #expect(try await world.ask("PUT", "/v1/users/bob", #"{"password":"pä"}"#).status == 400)
            #expect(try await world.ask("PUT", "/v1/users/a%0ab", #"{"password":"x"}"#).status == 400)
            #expect(try await world.ask("DELETE", "/v1/users/al%C3%A9").status == 204)
            let again = try await world.ask("DELETE", "/v1/users/al%C3%A9")
            #expect(again.status == 404 && again.code == "user_not_found")
        }
    }

    @Test("a subscription is made once, changed by who has seen it last, and removed")
    func subscriptions() async throws {
        try await WebWorld.run { world in
            _ = try await world.ask("POST", "/v1/topics", #"{"name":"orders"}"#)
            let wish = #"{"name":"billing","topics":["orders"],"period":3600000,"start":"earliest"}"#
            let made = try await world.ask("POST", "/v1/subscriptions", wish)
            #expect(made.status == 201 && made.header("location") == "/v1/subscriptions/billing", "\(made.text)")
            let again = try await world.ask("POST", "/v1/subscriptions", wish)
            #expect(again.status == 409 && again.code == "subscription_exists", "\(again.text)")
            let found = try await world.ask("GET", "/v1/subscriptions/billing").fields()
            #expect(found["period"]?.integer == 3_600_000 && found["start"]?.text == "earliest")
            let version = try #require(found["version"]?.integer)
            let changed = try await world.ask(
                "PATCH", "/v1/subscriptions/billing",
                #"{"version":\#(version),"period":null,"topics":["orders","more"]}"#)
            #expect(changed.status == 200, "\(changed.text)")
            #expect(try changed.fields()["period"] == nil)
            let stale = try await world.ask(
                "PATCH", "/v1/subscriptions/billing", #"{"version":\#(version),"period":9000}"#)
            #expect(stale.status == 409 && stale.code == "conflict", "\(stale.text)")
            let list = try await world.ask("GET", "/v1/subscriptions?topic=more").fields()
            #expect(try list["items"]?.elements(max: 9).map { try $0.object()["name"]?.text } == ["billing"])
            #expect(try await world.ask("DELETE", "/v1/subscriptions/billing").status == 204)
            #expect(try await world.ask("GET", "/v1/subscriptions/billing").code == "subscription_not_found")
            #expect(try await world.ask("DELETE", "/v1/subscriptions/billing").code == "subscription_not_found")
        }
    }

    @Test("the description names every route, and every problem has a page")
    func documents() async throws {
        try await WebWorld.run { world in
            let description = try await world.ask("GET", "/openapi.json").fields()
            let paths = try #require(description["paths"]).object()
            #expect(Set(paths.members.map(\.name)) == Set(WebRoute.all.map(\.path)))
            for route in WebRoute.all {
                #expect(try paths[route.path]?.object()[route.method.rawValue.lowercased()] != nil)
            }
            for code in ProblemCode.allCases {
                #expect(
                    try await world.ask("GET", "/errors/\(code.rawValue)").fields()["status"]?.integer
                        == Int64(code.status))
            }
            #expect(try await world.ask("GET", "/errors/none").status == 404)
        }
    }

    @Test("metrics are lines that Prometheus reads, each told of once")
    func metrics() async throws {
        try await WebWorld.run { world in
            _ = try await world.ask("POST", "/v1/topics", #"{"name":"t","partitions":3}"#)
            let answer = try await world.ask("GET", "/metrics")
            #expect(answer.header("content-type")?.hasPrefix("text/plain; version=0.0.4") == true)
            let lines = answer.body.split(separator: "\n")
            #expect(lines.contains("apus_topics 1") && lines.contains("apus_partitions 3"))
            // Each line's labels, too: one value for each series.
            let series = lines.filter { !$0.hasPrefix("#") }.map { $0.split(separator: " ").dropLast().joined() }
            #expect(Set(series).count == series.count)
            let types = lines.filter { $0.hasPrefix("# TYPE") }
            #expect(Set(types).count == types.count)
            #expect(
                lines.filter { !$0.hasPrefix("#") }.allSatisfy { Double($0.split(separator: " ").last ?? "") != nil })
        }
    }
}
