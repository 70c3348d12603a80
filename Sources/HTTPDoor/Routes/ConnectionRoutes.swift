import ApusAccess
import ApusBroker
import ApusCore
import Hummingbird
import HummingbirdCore
import HTTPTypes
import NIOCore
import Synchronization
import WebFormats

/// Who is connected to this node: by WebSocket, event stream, HTTP and the Kafka protocol. To see them needs DESCRIBE
/// on the cluster, to end one ALTER.
enum ConnectionRoutes {
    static var all: [WebRoute] {
        [
            WebRoute(
                .get, "/v1/connections", "List the clients that are connected to this node, door by door",
                query: [("limit", "of this page"), ("cursor", "`next` of the page before")]
            ) { try await self.list($0, $1) },
            WebRoute(
                .delete, "/v1/connections/{connection}",
                "Disconnect a client; one of the edge is told 4004, not to come back"
            ) { try await self.disconnect($0, $1) },
        ]
    }

    private static func list(_ request: Request, _ context: WebContext) async throws -> Response {
        let query = try Query(request.uri.query, names: ["limit", "cursor"])
        let limit = try query.pageItems()
        let after = try query.pageStart().map { text throws(Problem) in
            guard let id = ConnectionID(text) else {
                throw Problem(.invalidCursor, "this is no cursor of this list")
            }
            return id
        }
        guard context.client.allows(.describe, on: .cluster) else {
            throw Problem(BrokerError.clusterAuthorizationFailed)
        }
        var found: [OpenConnection] = []
        for source in context.door.sources.withLock({ $0 }) {
            found += await context.wait { source.list(after, limit + 1, $0) }
        }
        let page = found.page(after: after, limit + 1)
        return Response.object { body in
            body.writeJSONArray("items", page.prefix(limit)) { body, connection in
                body.writeJSONBraces { self.write(connection, into: &$0) }
            }
            if page.count > limit { body.writeJSONPage(next: page[limit - 1].id.description) }
        }
    }

    private static func write(_ connection: OpenConnection, into body: inout ByteBuffer) {
        body.writeJSONMember("conn", connection.id.description)
        body.writeJSONMember("transport", connection.transport.rawValue)
        if let principal = connection.principal { body.writeJSONMember("user", principal.description) }
        if !connection.client.isEmpty { body.writeJSONMember("client", connection.client) }
        body.writeJSONMember("address", connection.address)
        body.writeJSONMember("channels", connection.channels)
        body.writeJSONMember("since", connection.since.rawValue)
        body.writeJSONMember("bytes_owed", connection.bytesOwed.rawValue)
    }

    private static func disconnect(_ request: Request, _ context: WebContext) async throws -> Response {
        _ = try Query(request.uri.query, names: [])
        let text = try context.segment("connection")
        guard context.client.allows(.alter, on: .cluster) else {
            throw Problem(BrokerError.clusterAuthorizationFailed)
        }
        if let id = ConnectionID(text),
            let source = context.door.sources.withLock({ $0.first { $0.door == id.door } }),
            await context.wait({ source.disconnect(id, $0) })
        {
            return Response(status: .noContent)
        }
        throw Problem(.connectionNotFound, "there is no connection '\(text.prefix(100))' on this node")
    }
}
