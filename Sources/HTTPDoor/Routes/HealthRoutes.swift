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
            WebRoute(.get, "/readyz", "Whether it takes requests; not while it stops", isOpen: true) { _, context in
                context.door.askedWhetherReady()
                guard !context.door.isDraining else {
                    return Response(Problem(.shuttingDown, "this node is about to stop"))
                }
                return Response.object { $0.writeJSONMember("status", "ready") }
            },
        ]
    }
}
