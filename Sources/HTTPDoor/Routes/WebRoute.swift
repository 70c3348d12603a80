import HTTPTypes
import Hummingbird
import HummingbirdCore

/// One thing that can be asked for over HTTP. The table of all of them makes the router and `/openapi.json`.
struct WebRoute: Sendable {
    let method: HTTPRequest.Method
    /// With its variable parts in braces.
    let path: String
    /// For people, in one line.
    let summary: String
    /// The parameters of its query, each with what it means.
    let query: [(name: String, meaning: String)]
    /// The headers that mean something to it alone, each with what it means.
    let headers: [(name: String, meaning: String)]
    /// Nil: it takes none.
    let body: RequestBody?
    /// Whether it is answered without asking who asks.
    let isOpen: Bool
    let run: @Sendable (Request, WebContext) async throws -> Response

    init(
        _ method: HTTPRequest.Method, _ path: String, _ summary: String, query: [(name: String, meaning: String)] = [],
        headers: [(name: String, meaning: String)] = [], body: RequestBody? = nil, isOpen: Bool = false,
        _ run: @escaping @Sendable (Request, WebContext) async throws -> Response
    ) {
        self.method = method
        self.path = path
        self.summary = summary
        self.query = query
        self.headers = headers
        self.body = body
        self.isOpen = isOpen
        self.run = run
    }

    static var all: [WebRoute] {
        ConsolePage.all + HealthRoutes.all + TopicRoutes.all + RecordRoutes.all + ChannelRoutes.all + GroupRoutes.all
            + SubscriptionRoutes.all + PullRoutes.all + ConnectionRoutes.all + NodeRoutes.all + TokenRoutes.all
            + UserRoutes.all
            + AclRoutes.all
            + SelfRoutes.all + MetricsRoutes.all
            + DocumentRoutes.all
    }

    var names: [String] { self.query.map(\.name) }

    /// Whether a path is one of this route's.
    func matches(_ path: String) -> Bool {
        let parts = path.split(separator: "/")
        let elements = RouterPath(self.path)
        return parts.count == elements.count && zip(elements, parts).allSatisfy { $0 ~= $1 }
    }
}
