import ApusAccess
import ApusBroker
import ApusCore
import HTTPTypes
import Hummingbird
import HummingbirdCore
import NIOCore
import WebFormats

/// Credentials for programs and pages: API keys, and one-time tickets.
enum TokenRoutes {
    static var all: [WebRoute] {
        [
            WebRoute(
                .post, "/v1/tokens", "Make an API key; the answer is the only place where it is ever shown",
                body: .newToken
            ) { try await self.create($0, $1) },
            WebRoute(
                .get, "/v1/tokens", "List API keys, without what logs in",
                query: [("limit", "of this page"), ("cursor", "`next` of the page before")]
            ) { try await self.list($0, $1) },
            WebRoute(
                .delete, "/v1/tokens/{token}", "Remove an API key; who is connected with it is disconnected"
            ) { request, context in
                _ = try Query(request.uri.query, names: [])
                let id = try context.segment("token")
                let isRemoved: Bool = try await context.ask { answer in
                    context.broker.removeAccessKey(id, client: context.client, on: context.loop, then: answer)
                }
                guard isRemoved else { throw Problem(.tokenNotFound, "there is no API key '\(id.prefix(100))'") }
                return Response(status: .noContent)
            },
            WebRoute(
                .post, "/v1/tickets", "Get a ticket for one connection to /v1/ws or /v1/stream, as who asks"
            ) { try await self.ticket($0, $1) },
        ]
    }

    // MARK: API keys

    private static func create(_ request: Request, _ context: WebContext) async throws -> Response {
        _ = try Query(request.uri.query, names: [])
        return try await context.withFields(of: request, "a token", ["name", "owner", "expires_in"]) { fields in
            guard context.client.allows(.alter, on: .cluster) else {
                throw Problem(BrokerError.clusterAuthorizationFailed)
            }
            let name = try fields.required("name", try fields.text("name", max: Limits.apiKeyNameBytesMax))
            let lifetime = try fields.integer("expires_in", 1...Int64.max / 1_000_000)
            var owner = context.client.principal
            if let text = try fields.text("owner", max: Limits.channelNameBytesMax) {
                guard let named = Principal(parsing: text), text.hasPrefix("User:"), named != .everybody else {
                    throw fields.refusal("owner", "is like User:alice")
                }
                owner = named
            }
            let now = context.door.wallTime
            let made: (key: AccessKey, text: String)
            do throws(AccessKey.Refusal) {
                made = try AccessKey.make(
                    name, owner: owner, created: now,
                    expires: lifetime.map { Timestamp(rawValue: now.rawValue + $0) },
                    idBytes: context.door.randomBytes(8),
                    secret: context.door.randomBytes(Limits.apiKeySecretBytes.rawValue))
            } catch {
                throw fields.refusal("name", "is 1 to \(Limits.apiKeyNameBytesMax.rawValue) bytes that show themselves")
            }
            let _: Void = try await context.ask { answer in
                context.broker.add(made.key, client: context.client, on: context.loop, then: answer)
            }
            var headers = HTTPFields()
            headers[.location] = "/v1/tokens/\(made.key.id)"
            return Response.object(status: .created, headers: headers) { body in
                self.write(made.key, into: &body)
                body.writeJSONMember("token", made.text)
            }
        }
    }

    private static func list(_ request: Request, _ context: WebContext) async throws -> Response {
        let query = try Query(request.uri.query, names: ["limit", "cursor"])
        let (limit, after) = (try query.pageItems(), try query.pageStart())
        let keys: [AccessKey]
        do throws(BrokerError) {
            keys = try context.broker.describeAccessKeys(client: context.client).get()
        } catch {
            throw Problem(error)
        }
        let rest = keys.filter { key in after.map { $0 < key.id } ?? true }
        return Response.object { body in
            body.writeJSONArray("items", rest.prefix(limit)) { body, key in
                body.writeJSONBraces { self.write(key, into: &$0) }
            }
            if rest.count > limit { body.writeJSONPage(next: rest[limit - 1].id) }
        }
    }

    private static func write(_ key: AccessKey, into body: inout ByteBuffer) {
        body.writeJSONMember("id", key.id)
        body.writeJSONMember("name", key.name)
        body.writeJSONMember("owner", key.owner.description)
        body.writeJSONMember("created", key.created.rawValue)
        if let expires = key.expires { body.writeJSONMember("expires", expires.rawValue) }
    }

    // MARK: Tickets

    private static func ticket(_ request: Request, _ context: WebContext) async throws -> Response {
        _ = try Query(request.uri.query, names: [])
        guard let office = context.door.configuration.tickets else {
            throw Problem(.notFound, "this server gives no tickets")
        }
        let session =
            context.session ?? WebSession(principal: context.client.principal, mechanism: .plain, expires: nil)
        let (ticket, until) = await withCheckedContinuation { continuation in
            office.issue(session) { continuation.resume(returning: ($0, $1)) }
        }
        guard let ticket else {
            throw Problem(.tooMany, "too many tickets are not used yet", retryIn: Limits.webTicketLifetime)
        }
        return Response.object(status: .created) { body in
            body.writeJSONMember("ticket", ticket)
            body.writeJSONMember("expires", until.rawValue)
        }
    }
}
