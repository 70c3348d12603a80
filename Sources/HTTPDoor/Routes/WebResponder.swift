import ApusBroker
import ApusCore
import HTTPTypes
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import WebFormats

/// Answers requests: finds their route, and makes a problem of whatever goes wrong.
struct WebResponder: Sendable {
    private let door: WebDoor
    private let router: RouterResponder<WebContext>
    /// The routes again, for those who ask with another method.
    private let routes: [WebRoute]

    init(_ door: WebDoor) {
        self.door = door
        self.routes = WebRoute.all
        let router = Router(context: WebContext.self, options: [.autoGenerateHeadEndpoints])
        for (index, route) in self.routes.enumerated() {
            router.on(RouterPath(route.path), method: route.method) { request, context in
                var context = context
                let began = door.broker.now
                defer { door.times.took(door.broker.now.since(began), route: index) }
                if !route.isOpen { try await context.identify(request) }
                return try await route.run(request, context)
            }
        }
        self.router = router.buildResponder()
    }

    @concurrent
    func respond(
        to request: Request, _ writer: consuming ResponseWriter, on channel: any Channel
    ) async throws {
        let response = await self.response(to: request, on: channel)
        self.door.answered(withProblem: response.status.code >= 400)
        try await writer.write(response: response.head, body: response.body)
    }

    private func response(to request: Request, on channel: any Channel) async -> Response {
        do {
            if let refusal = HostName.refusal(
                host: request.head.authority, origin: request.headers[.origin], isPrivate: self.door.isPrivate)
            {
                throw Problem(.forbidden, refusal)
            }
            let source = WebContext.Source(logger: self.door.logger, door: self.door, channel: channel)
            let response = try await withTaskExecutorPreference(self.executor(for: request)) {
                try await self.router.respond(to: request, context: WebContext(source: source))
            }
            // The router's own, without a word; ours have a body.
            return response.status == .notFound && response.headers[.contentType] == nil
                ? self.unknown(request) : response
        } catch let problem as Problem {
            return self.told(problem)
        } catch {
            // The client has gone, mostly; nobody reads this then.
            self.door.logger.debug("a request of HTTP ended", metadata: ["error": "\(error)"])
            return Response(Problem(.internal, "the request could not be answered"))
        }
    }

    /// Where a request is worked on: a small write on the connection's event loop, all that may take long on a thread
    /// of the pool, as others of this loop wait meanwhile.
    private func executor(for request: Request) -> (any TaskExecutor)? {
        let length = request.headers[.contentLength].flatMap { Int($0) } ?? .max
        let isBrief = request.method == .post && length <= Limits.webLoopBodyBytesMax.rawValue
        return isBrief ? nil : self.door.configuration.pool
    }

    private func told(_ problem: Problem) -> Response {
        var response = Response(problem)
        if problem.code == .unauthenticated {
            response.headers[.wwwAuthenticate] = #"Bearer, Basic realm="apus", charset="UTF-8""#
        }
        // Its body may still be coming.
        if problem.code == .messageTooLarge { response.headers[.connection] = "close" }
        return response
    }

    private func unknown(_ request: Request) -> Response {
        let methods = self.routes.filter { $0.matches(request.uri.path) }.map(\.method.rawValue)
        guard !methods.isEmpty else {
            return Response(
                Problem(.notFound, "there is nothing at this path", hint: "GET /openapi.json says what there is"))
        }
        let allowed = methods.joined(separator: ", ")
        var response = Response(Problem(.methodNotAllowed, "here one may \(allowed)"))
        response.headers[.allow] = allowed
        return response
    }
}
