import Hummingbird
import HummingbirdCore
import HTTPTypes
import NIOCore
import WebFormats

/// Whether the process lives, and whether it is ready. Both say nothing about what is kept here, and ask nobody.
enum HealthRoutes {
    static var all: [WebRoute] {
        [
            WebRoute(.get, "/livez", "Whether the process lives", isOpen: true) { _, _ in
                Response.object { $0.writeJSONMember("status", "ok") }
            },
            WebRoute(
                .get, "/readyz", "Whether it takes requests; not while it stops",
                query: [("unready", "404: what is answered when it does not, in place of 503")], isOpen: true
            ) { request, context in
                context.door.askedWhetherReady()
                guard !context.door.isDraining else {
                    let problem = Problem(.shuttingDown, "this node is about to stop")
                    return Response(Unready.problem(problem, query: request.uri.query))
                }
                return Response.object { $0.writeJSONMember("status", "ready") }
            },
        ]
    }
}
