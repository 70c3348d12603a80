import ApusAccess
import ApusBroker
import ApusCore
import NIOCore
import NIOHTTP1
import WebFormats

/// The one request of a connection, and who sends it.
extension EndpointConnection {
    func knock() {
        guard !self.loop.isDraining else { return self.refuse(Problem(.shuttingDown, "this node is about to stop")) }
        let credentials = self.request.values(of: "authorization")
        guard credentials.count <= 1 else {
            return self.refuse(Problem(.invalidRequest, "'Authorization' stands twice"))
        }
        if let tickets = self.tickets, !tickets.isEmpty {
            guard tickets.count == 1, credentials.isEmpty else {
                return self.refuse(Problem(.invalidRequest, "a request comes with one ticket or one 'Authorization'"))
            }
            return self.redeem(tickets[0])
        }
        guard self.door.configuration.login != nil, let text = credentials.first else {
            // A stream has no other way to say who reads.
            if self.isStream, self.mustLogIn {
                return self.refuse(Problem(.unauthenticated, "the request does not say who reads"))
            }
            return self.open()
        }
        do throws(LoginFailure) {
            let credentials = try WebCredentials(authorization: text)
            self.logIn(credentials) { [self] problem in
                if let problem { self.refuse(problem) } else { self.open() }
            }
        } catch {
            self.refuse(Problem(.unauthenticated, error.told))
        }
    }

    /// What stands in the query as `ticket`; nil when that can not be read.
    private var tickets: [String]? {
        self.request.query?.filter { $0.name == "ticket" }.map(\.value)
    }

    private func redeem(_ ticket: String) {
        guard let office = self.door.configuration.tickets else {
            return self.refuse(Problem(.unauthenticated, LoginFailure(.ticket).told))
        }
        let bound = NIOLoopBound(self, eventLoop: self.loop.eventLoop)
        let eventLoop = self.loop.eventLoop
        office.redeem(ticket, from: self.client.address) { result in
            eventLoop.execute {
                switch result {
                case .success(let session):
                    bound.value.loggedIn(session)
                    bound.value.open()
                case .failure(let failure): bound.value.refuse(Problem(login: failure))
                }
            }
        }
    }

    /// Checks credentials; `then` is called once, on this loop, with why they are none.
    func logIn(_ credentials: WebCredentials, then: @escaping (Problem?) -> Void) {
        guard let login = self.door.configuration.login else { return then(nil) }
        let bound = NIOLoopBound((connection: self, then: then), eventLoop: self.loop.eventLoop)
        let eventLoop = self.loop.eventLoop
        login.verify(credentials, self.transport, self.client.address) { result in
            eventLoop.execute {
                let (connection, then) = bound.value
                switch result {
                case .failure(let failure): then(Problem(login: failure))
                case .success(let session):
                    connection.loggedIn(session)
                    then(nil)
                }
            }
        }
    }

    private func loggedIn(_ session: WebSession) {
        let clientID = self.client.clientID
        self.client = self.door.upstream.client(
            session.principal, address: self.client.address, channels: session.channels)
        self.client.clientID = clientID
        self.expires = session.expires
        self.keyID = session.keyID
        self.mustLogIn = false
    }

    private func open() {
        guard case .knocking = self.phase else { return }
        do throws(Problem) {
            if self.isStream {
                let stream = try EventStreamRequest(self.request, origins: self.door.configuration.origins)
                self.ask(stream)
            } else {
                let handshake = try WebSocketHandshake(
                    self.request, origins: self.door.configuration.origins,
                    mayDeflate: self.door.configuration.mayDeflate)
                (self.session.format, self.isDeflating) = (handshake.format, handshake.isDeflating)
                self.write(handshake.response)
                self.phase = .open
                self.forgetRequest()
            }
        } catch {
            self.refuse(error)
        }
    }

    func forgetRequest() {
        self.knocked = nil
    }

    /// Answers the request with what is wrong, and closes.
    func refuse(_ problem: Problem) {
        guard case .knocking = self.phase, let context = self.context else { return self.cut() }
        var body = ByteBuffer()
        body.writeJSON(problem)
        let status = HTTPResponseStatus(statusCode: problem.code.status)
        var answer = ByteBuffer()
        answer.writeString("HTTP/1.1 \(status.code) \(status.reasonPhrase)\r\n")
        answer.writeString("Content-Type: application/problem+json\r\nContent-Length: \(body.readableBytes)\r\n")
        answer.writeString("Cache-Control: no-store\r\nConnection: close\r\n")
        if problem.code == .unauthenticated {
            for mechanism in self.door.configuration.login?.offered(self.transport) ?? [] {
                if mechanism == .plain { answer.writeString("WWW-Authenticate: Basic realm=\"apus\"\r\n") }
                if mechanism == .oauthBearer { answer.writeString("WWW-Authenticate: Bearer\r\n") }
            }
        }
        self.writeOriginHeaders(into: &answer)
        answer.writeString("\r\n")
        answer.writeImmutableBuffer(body)
        self.phase = .closing(until: self.door.now.advanced(by: Limits.edgeCloseWaitMax), isLast: true)
        // What was asked for meanwhile does not follow the answer.
        self.run(self.session.gone())
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        context.writeAndFlush(Self.wrapOutboundOut(answer)).assumeIsolated().whenComplete { _ in bound.value.cut() }
    }

    /// A page of another origin that may read here is told so (Fetch, section 3.3.5).
    func writeOriginHeaders(into head: inout ByteBuffer) {
        guard let origin = self.request.value(of: "origin"), self.door.configuration.origins.allow(self.request),
            origin.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F })
        else { return }
        head.writeString("Access-Control-Allow-Origin: \(origin)\r\nVary: Origin\r\n")
    }
}

extension Problem {
    /// A login that did not come about: who could not be checked may come again as he is.
    fileprivate init(login failure: LoginFailure) {
        switch failure.cause {
        case .overloaded: self.init(.overloaded, failure.told)
        case .ticket: self.init(.unauthenticated, failure.told, hint: "POST /v1/tickets gives another")
        default: self.init(.unauthenticated, failure.told)
        }
    }
}
