import ApusAccess
import ApusBroker
import ApusCore
import ApusUpstream
import EdgeDoor
import HTTPDoor
import NIOCore
import NIOHTTP1
import Synchronization
import WebFormats

/// What an endpoint server answers to requests that are no client's: whether it lives, whether it is ready, its
/// numbers, who is in its channels, and for what only brokers have, who has it. Any thread.
final class EndpointPages: Sendable {
    struct Page: Sendable {
        var status: Int
        var headers: HTTPHeaders
        var body: ByteBuffer

        init(_ problem: Problem) {
            self.status = problem.code.status
            self.headers = ["content-type": "application/problem+json"]
            if problem.code == .unauthenticated {
                self.headers.add(name: "www-authenticate", value: "Bearer, Basic realm=\"apus\"")
            }
            self.body = ByteBuffer()
            self.body.writeJSON(problem)
        }

        init(status word: String) {
            self.status = 200
            self.headers = ["content-type": "application/json"]
            self.body = ByteBuffer(string: "{\"status\":\"\(word)\"}")
        }

        init(json body: ByteBuffer, status: Int = 200) {
            self.status = status
            self.headers = ["content-type": "application/json"]
            self.body = body
        }

        init(text: ByteBuffer) {
            self.status = 200
            self.headers = ["content-type": "text/plain; version=0.0.4; charset=utf-8"]
            self.body = text
        }
    }

    private let door: EndpointDoor
    private let upstream: ClusterUpstream
    /// Nil: nobody has to log in.
    private let login: WebLogin?
    private let origins: OriginRules
    private let version: String
    /// Told once when a client has this node drained.
    private let drainBegan: @Sendable () -> Void
    private let isDraining = Atomic<Bool>(false)
    private let isWatched = Atomic<Bool>(false)
    private let requests = Atomic<Int>(0)

    init(
        _ door: EndpointDoor, _ upstream: ClusterUpstream, login: WebLogin?, origins: OriginRules, version: String,
        drainBegan: @escaping @Sendable () -> Void
    ) {
        self.door = door
        self.upstream = upstream
        self.login = login
        self.origins = origins
        self.version = version
        self.drainBegan = drainBegan
    }

    /// From now on it is not ready: whoever looks (``wasAskedWhetherReady``) sends nobody any more. False: it was not
    /// ready already.
    @discardableResult
    func beginDraining() -> Bool { !self.isDraining.exchange(true, ordering: .relaxed) }

    /// Somebody looks whether this node is ready, as a balancer does.
    var wasAskedWhetherReady: Bool { self.isWatched.load(ordering: .relaxed) }

    func page(
        for head: HTTPRequestHead, from address: String, isSecure: Bool, on loop: any EventLoop
    ) -> EventLoopFuture<Page> {
        self.requests.add(1, ordering: .relaxed)
        let asked = Asked(head, from: address, isSecure: isSecure)
        do throws(Problem) {
            switch asked.path {
            case "/livez":
                try asked.check(.GET)
                return loop.makeSucceededFuture(Page(status: "ok"))
            case "/readyz":
                try asked.check(.GET)
                self.isWatched.store(true, ordering: .relaxed)
                return loop.makeSucceededFuture(self.readiness(query: asked.query))
            default:
                guard self.origins.allow(asked.request) else {
                    throw Problem(.forbidden, "pages of other origins may not ask here")
                }
                return try self.page(asked, on: loop)
            }
        } catch {
            return loop.makeSucceededFuture(Page(error))
        }
    }

    /// What is not for everybody.
    private func page(_ asked: Asked, on loop: any EventLoop) throws(Problem) -> EventLoopFuture<Page> {
        switch asked.path {
        case "/metrics":
            try asked.check(.GET)
            return self.asClient(asked, on: loop) { client throws(Problem) in
                // As at a broker.
                guard client.allows(.describe, on: .cluster) else {
                    throw Problem(.forbidden, "these numbers take the right to describe the cluster")
                }
                return self.metrics(on: loop)
            }
        case "/asyncapi.json":
            try asked.check(.GET)
            return loop.makeSucceededFuture(Page(json: EdgeDescription.asyncAPI(version: self.version)))
        case NodeDrain.path[...]:
            try asked.check(.POST)
            return self.asClient(asked, on: loop) { client throws(Problem) in
                guard client.allows(.alter, on: .cluster) else { throw Problem(BrokerError.clusterAuthorizationFailed) }
                if self.beginDraining() { self.drainBegan() }
                return loop.makeSucceededFuture(Page(json: NodeDrain.answer, status: 202))
            }
        default:
            guard let (wish, isReceipts) = try ChannelWish.parse(path: asked.path, query: asked.query) else {
                throw self.refusal(of: asked.path)
            }
            try asked.check(.GET)
            return self.asClient(asked, on: loop) { client in
                isReceipts
                    ? self.receipts(wish, client, on: loop) : self.presence(wish, client, on: loop)
            }
        }
    }

    private func refusal(of path: Substring) -> Problem {
        let have = "it has /v1/ws, /v1/stream, /v1/channels/{channel}/presence and /receipts, /metrics"
        guard let methods = BrokerPaths.methods(of: path) else {
            return Problem(.notFound, "there is nothing at this path of an endpoint server", hint: have)
        }
        return Problem(
            .misdirected, "this is an endpoint server, which has no topics, groups and users of its own",
            hint: "ask a broker's HTTP port (\(methods)); here, \(have)")
    }

    private func readiness(query: String?) -> Page {
        if self.isDraining.load(ordering: .relaxed) {
            return Page(Unready.problem(Problem(.shuttingDown, "this node is about to stop"), query: query))
        }
        // Whoever comes here now can be served nothing; those who are here stay, and miss nothing.
        guard self.upstream.isHeard else {
            return Page(Unready.problem(Problem(.overloaded, "no broker can be reached"), query: query))
        }
        return Page(status: "ready")
    }

    // MARK: Who asks

    /// A request, as far as its answer depends on it.
    private struct Asked: Sendable {
        let path: Substring
        let query: String?
        let request: WebRequest
        let address: String
        let transport: Transport

        init(_ head: HTTPRequestHead, from address: String, isSecure: Bool) {
            self.path = head.uri.prefix { $0 != "?" }
            self.query =
                self.path.endIndex < head.uri.endIndex ? String(head.uri[self.path.endIndex...].dropFirst()) : nil
            self.request = WebRequest(
                method: head.method.rawValue, target: head.uri,
                headers: head.headers.map { (name: $0.name, value: $0.value) })
            self.address = address
            self.transport = isSecure ? .tls : HostAddress(address)?.isLoopback == true ? .loopback : .open
        }

        func check(_ method: HTTPMethod) throws(Problem) {
            let isAllowed =
                self.request.method == method.rawValue || method == .GET && self.request.method == "HEAD"
            guard isAllowed else { throw Problem(.methodNotAllowed, "here one may \(method.rawValue)") }
        }
    }

    /// Finds out who asks, as for a connection of the edge, and then what he is answered.
    private func asClient(
        _ asked: Asked, on loop: any EventLoop,
        _ answer: @escaping @Sendable (ClientContext) throws(Problem) -> EventLoopFuture<Page>
    ) -> EventLoopFuture<Page> {
        self.session(of: asked, on: loop).flatMap { result in
            do throws(Problem) {
                let session = try result.get()
                return try answer(
                    self.upstream.client(
                        session?.principal ?? .anonymous, address: asked.address, channels: session?.channels))
            } catch {
                return loop.makeSucceededFuture(Page(error))
            }
        }
    }

    /// Nil: nobody has to log in.
    private func session(
        of asked: Asked, on loop: any EventLoop
    ) -> EventLoopFuture<Result<WebSession?, Problem>> {
        guard let login = self.login else { return loop.makeSucceededFuture(.success(nil)) }
        let texts = asked.request.values(of: "authorization")
        guard texts.count == 1, let text = texts.first else {
            return loop.makeSucceededFuture(
                .failure(Problem(.unauthenticated, "the request does not say who asks, or says it twice")))
        }
        let credentials: WebCredentials
        do throws(LoginFailure) {
            credentials = try WebCredentials(authorization: text)
        } catch {
            return loop.makeSucceededFuture(.failure(Problem(.unauthenticated, error.told)))
        }
        let promise = loop.makePromise(of: Result<WebSession?, Problem>.self)
        login.verify(credentials, asked.transport, asked.address) { result in
            switch result {
            case .success(let session): promise.succeed(.success(session))
            case .failure(let failure):
                let code: ProblemCode = failure.cause == .overloaded ? .overloaded : .unauthenticated
                promise.succeed(.failure(Problem(code, failure.told)))
            }
        }
        return promise.futureResult
    }

    // MARK: Channels

    private func presence(
        _ wish: ChannelWish, _ client: ClientContext, on loop: any EventLoop
    ) -> EventLoopFuture<Page> {
        let promise = loop.makePromise(of: Page.self)
        self.upstream.presence(
            of: wish.channel.description, behind: wish.place, upTo: wish.limit, client: client, on: loop
        ) { result in
            switch result {
            case .success(let page): promise.succeed(Page(json: ChannelBodies.presence(page, of: wish.channel)))
            case .failure(let error): promise.succeed(Page(Problem(error)))
            }
        }
        return promise.futureResult
    }

    private func receipts(
        _ wish: ChannelWish, _ client: ClientContext, on loop: any EventLoop
    ) -> EventLoopFuture<Page> {
        let promise = loop.makePromise(of: Page.self)
        self.upstream.receipts(
            of: wish.channel.description, behind: wish.place, upTo: wish.limit, client: client, on: loop
        ) { result in
            switch result {
            case .success(let found): promise.succeed(Page(json: ChannelBodies.receipts(found, of: wish.channel)))
            case .failure(let error): promise.succeed(Page(Problem(error)))
            }
        }
        return promise.futureResult
    }

    // MARK: Numbers

    private func metrics(on loop: any EventLoop) -> EventLoopFuture<Page> {
        let upstream = self.upstream.figures().hop(to: loop)
        let clients = self.door.connectionCount().hop(to: loop)
        let readers = self.door.readerCount().hop(to: loop)
        return upstream.and(clients).and(readers).map { found in
            let ((upstream, clients), readers) = found
            return Page(text: self.text(upstream, clients: clients, readers: readers))
        }
    }

    private func text(_ upstream: ClusterUpstream.Figures, clients: Int, readers: Int) -> ByteBuffer {
        var text = ByteBuffer()
        func write(_ name: String, _ kind: String, _ meaning: String, _ value: Int, _ labels: String = "") {
            text.writeString("# HELP \(name) \(meaning)\n# TYPE \(name) \(kind)\n\(name)\(labels) \(value)\n")
        }
        write("apus_build_info", "gauge", "1, with the version.", 1, "{version=\"\(self.version)\"}")
        write("apus_edge_connections", "gauge", "Clients that are connected.", clients)
        write("apus_edge_readers", "gauge", "Partitions that are read, each once.", readers)
        write(
            "apus_edge_draining", "gauge", "1: clients are sent away.", self.isDraining.load(ordering: .relaxed) ? 1 : 0
        )
        write("apus_upstream_brokers", "gauge", "Brokers that something was asked of.", upstream.brokers)
        write("apus_upstream_connections", "gauge", "Connections to brokers: one each.", upstream.connections)
        write(
            "apus_upstream_readers_waiting", "gauge", "Partitions whose next records are waited for.",
            upstream.readersWaiting)
        write("apus_upstream_topics", "gauge", "Names of topics that something is known of.", upstream.topics)
        write("apus_upstream_rules", "gauge", "Rules that the brokers told.", upstream.rules)
        write("apus_upstream_requests_total", "counter", "Requests to brokers.", upstream.requests)
        write("apus_upstream_failures_total", "counter", "Of these, without an answer.", upstream.failures)
        write(
            "apus_upstream_rules_age_milliseconds", "gauge", "Since the brokers confirmed the rules; -1: never.",
            upstream.rulesAge.map { Int($0.wholeMilliseconds) } ?? -1)
        write(
            "apus_http_requests_total", "counter", "Requests that were no client's.",
            self.requests.load(ordering: .relaxed))
        return text
    }
}
