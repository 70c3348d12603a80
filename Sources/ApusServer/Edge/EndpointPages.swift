import ApusAccess
import ApusBroker
import ApusCore
import ApusUpstream
import EdgeDoor
import NIOCore
import NIOHTTP1
import Synchronization
import WebFormats

/// What an endpoint server answers to requests that are no client's: whether it lives, whether it is ready, its
/// numbers, and for everything else that it is an endpoint server. Any thread.
final class EndpointPages: Sendable {
    struct Page: Sendable {
        var status: Int
        var headers: HTTPHeaders
        var body: ByteBuffer

        init(_ problem: Problem) {
            self.status = problem.code.status
            self.headers = ["content-type": "application/problem+json"]
            self.body = ByteBuffer()
            self.body.writeJSON(problem)
        }

        init(status word: String) {
            self.status = 200
            self.headers = ["content-type": "application/json"]
            self.body = ByteBuffer(string: "{\"status\":\"\(word)\"}")
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
    private let version: String
    private let isDraining = Atomic<Bool>(false)
    private let isWatched = Atomic<Bool>(false)
    private let requests = Atomic<Int>(0)

    init(_ door: EndpointDoor, _ upstream: ClusterUpstream, login: WebLogin?, version: String) {
        self.door = door
        self.upstream = upstream
        self.login = login
        self.version = version
    }

    /// From now on it is not ready: whoever looks (``wasAskedWhetherReady``) sends nobody any more.
    func beginDraining() { self.isDraining.store(true, ordering: .relaxed) }

    /// Somebody looks whether this node is ready, as a balancer does.
    var wasAskedWhetherReady: Bool { self.isWatched.load(ordering: .relaxed) }

    func page(
        for head: HTTPRequestHead, from address: String, isSecure: Bool, on loop: any EventLoop
    ) -> EventLoopFuture<Page> {
        self.requests.add(1, ordering: .relaxed)
        let path = String(head.uri.prefix { $0 != "?" })
        let known = ["/livez", "/readyz", "/metrics"]
        guard known.contains(path) else {
            let problem = Problem(
                .notFound, "this is an endpoint server: it has /v1/ws, /v1/stream, /livez, /readyz and /metrics",
                hint: "everything else is at a broker's HTTP port")
            return loop.makeSucceededFuture(Page(problem))
        }
        guard head.method == .GET || head.method == .HEAD else {
            return loop.makeSucceededFuture(Page(Problem(.methodNotAllowed, "here one may GET")))
        }
        switch path {
        case "/livez": return loop.makeSucceededFuture(Page(status: "ok"))
        case "/readyz":
            self.isWatched.store(true, ordering: .relaxed)
            return loop.makeSucceededFuture(self.readiness)
        default:
            return self.mayReadMetrics(head, from: address, isSecure: isSecure, on: loop).flatMap { problem in
                if let problem { return loop.makeSucceededFuture(Page(problem)) }
                return self.metrics(on: loop)
            }
        }
    }

    private var readiness: Page {
        if self.isDraining.load(ordering: .relaxed) {
            return Page(Problem(.shuttingDown, "this node is about to stop"))
        }
        // Whoever comes here now can be served nothing; those who are here stay, and miss nothing.
        guard self.upstream.isHeard else { return Page(Problem(.overloaded, "no broker can be reached")) }
        return Page(status: "ready")
    }

    // MARK: Numbers

    /// As at a broker: DESCRIBE on the cluster. Nil: yes.
    private func mayReadMetrics(
        _ head: HTTPRequestHead, from address: String, isSecure: Bool, on loop: any EventLoop
    ) -> EventLoopFuture<Problem?> {
        @Sendable func judge(_ principal: Principal) -> Problem? {
            let client = self.upstream.client(principal, address: address, channels: nil)
            return client.allows(.describe, on: .cluster)
                ? nil : Problem(.forbidden, "these numbers take the right to describe the cluster")
        }
        guard let login = self.login else { return loop.makeSucceededFuture(judge(.anonymous)) }
        guard let text = head.headers.first(name: "authorization") else {
            return loop.makeSucceededFuture(Problem(.unauthenticated, "the request does not say who reads"))
        }
        let credentials: WebCredentials
        do throws(LoginFailure) {
            credentials = try WebCredentials(authorization: text)
        } catch {
            return loop.makeSucceededFuture(Problem(.unauthenticated, error.told))
        }
        let transport: Transport =
            isSecure ? .tls : HostAddress(address)?.isLoopback == true ? .loopback : .open
        let promise = loop.makePromise(of: Problem?.self)
        login.verify(credentials, transport, address) { result in
            switch result {
            case .success(let session): promise.succeed(judge(session.principal))
            case .failure(let failure): promise.succeed(Problem(.unauthenticated, failure.told))
            }
        }
        return promise.futureResult
    }

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
