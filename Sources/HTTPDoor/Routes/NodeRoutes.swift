import ApusAccess
import ApusBroker
import ApusCore
import HTTPTypes
import Hummingbird
import HummingbirdCore
import Logging
package import NIOCore
package import WebFormats

/// This node, for those who run it.
enum NodeRoutes {
    static var all: [WebRoute] {
        [
            WebRoute(
                .post, "/v1/nodes/{node}:drain",
                "Send this node's clients away: not ready from now on, and moved soon. The node is 'self'"
            ) { request, context in
                _ = try Query(request.uri.query, names: [])
                try NodeDrain.check(node: try context.segment("node"))
                guard context.client.allows(.alter, on: .cluster) else {
                    throw Problem(BrokerError.clusterAuthorizationFailed)
                }
                context.door.logger.notice(
                    "this node is told to send its clients away", metadata: ["by": "\(context.client.principal)"])
                context.door.drain()
                return Response(json: NodeDrain.answer, status: .accepted)
            }
        ]
    }
}

/// What a broker and an endpoint server of its own say alike of `POST /v1/nodes/self:drain`.
package enum NodeDrain {
    package static let path = "/v1/nodes/self:drain"

    static func check(node: String) throws(Problem) {
        guard node == "self" else {
            throw Problem(.notFound, "a node drains itself", hint: "ask the node, and name it 'self'")
        }
    }

    package static var answer: ByteBuffer {
        var body = ByteBuffer()
        body.writeJSONBraces { $0.writeJSONMember("status", "draining") }
        return body
    }
}

/// What `/readyz` answers when a node is not ready: 503, or, asked with `?unready=404`, 404. HAProxy tells by it a node
/// that wants no more clients (`http-check disable-on-404`) from one that is dead.
package enum Unready {
    private static let query = "unready=404"

    package static func problem(_ problem: Problem, query: String?) -> Problem {
        query == self.query ? Problem(.notFound, problem.detail) : problem
    }
}

/// The paths of a broker, for servers that have only some of them.
package enum BrokerPaths {
    private static let routes = WebRoute.all.filter { !$0.isOpen }

    /// The methods that a broker has for this path, with commas; nil: it has none.
    package static func methods(of path: Substring) -> String? {
        let found = self.routes.filter { $0.matches(String(path)) }.map(\.method.rawValue)
        return found.isEmpty ? nil : Set(found).sorted().joined(separator: ", ")
    }
}
