import ApusAccess
import ApusBroker
import ApusCore
import HTTPTypes
import Hummingbird
import HummingbirdCore
import NIOCore
import NIOSSL
import WebFormats

extension WebContext {
    /// Finds out who asks, as the Kafka port would: where nobody has to log in, everybody is the anonymous principal,
    /// or who his certificate says.
    mutating func identify(_ request: Request) async throws {
        let address = self.channel.remoteAddress?.ipAddress ?? ""
        let clientID =
            request.headers[.clientID].map { String($0.prefix(Limits.edgeClientNameBytesMax.rawValue)) } ?? ""
        guard let login = self.door.login else {
            let principal = try await self.certified() ?? .anonymous
            self.client = self.broker.access.client(principal, clientID: clientID, address: address)
            return
        }
        let transport = self.transport(from: address)
        guard let authorization = request.headers[.authorization] else {
            throw Problem(
                .unauthenticated, "this broker's users log in", hint: Self.hint(login.offered(transport)))
        }
        let memory = self.door.logins
        let (now, wall) = (self.broker.now, self.door.wallTime)
        let digest = memory.digest(authorization, at: "\(transport) \(address) \(clientID)")
        if var known = memory.find(digest, at: now, wall: wall), self.holds(known.session) {
            let version = known.client.access.version
            self.broker.access.renew(&known.client)
            if known.client.access.version != version { memory.keep(digest, known, at: now) }
            (self.client, self.session) = (known.client, known.session)
            return
        }
        let session = try await self.verified(authorization, transport, address, login)
        self.client = self.broker.access.client(
            session.principal, clientID: clientID, address: address, channels: session.channels)
        self.session = session
        let until = now.advanced(by: Limits.webLoginRemembered)
        memory.keep(digest, LoginMemory.Known(client: self.client, session: session, until: until), at: now)
    }

    /// Whether the API key of a login that is remembered is still there.
    private func holds(_ session: WebSession) -> Bool {
        session.keyID.map { self.broker.access.keys[id: $0] != nil } ?? true
    }

    private func verified(
        _ authorization: String, _ transport: Transport, _ address: String, _ login: WebLogin
    ) async throws(Problem) -> WebSession {
        let outcome: Result<WebSession, LoginFailure>
        do throws(LoginFailure) {
            let credentials = try WebCredentials(authorization: authorization)
            outcome = await self.wait { login.verify(credentials, transport, address, $0) }
        } catch {
            outcome = .failure(error)
        }
        do throws(LoginFailure) {
            return try outcome.get()
        } catch {
            if error.cause == .overloaded { throw Problem(.overloaded, error.told) }
            throw Problem(.unauthenticated, error.told, hint: Self.hint(login.offered(transport)))
        }
    }

    private func transport(from address: String) -> Transport {
        if self.door.configuration.tls != nil { return .tls }
        return HostAddress(address)?.isLoopback ?? true ? .loopback : .open
    }

    private static func hint(_ offered: [SaslMechanism]) -> String {
        var ways: [String] = []
        if offered.contains(.oauthBearer) { ways.append("'Authorization: Bearer' with a token") }
        if offered.contains(.plain) { ways.append("'Authorization: Basic' with user and password") }
        guard !ways.isEmpty else {
            return "over HTTP users log in with PLAIN or OAUTHBEARER, which this listener does not offer here"
        }
        return ways.joined(separator: ", or ")
    }

    /// Who the client's certificate says; nil without one.
    private func certified() async throws -> Principal? {
        guard self.door.configuration.asksForCertificate else { return nil }
        let principal = self.door.configuration.principal
        return try await self.channel.eventLoop.submit { [channel] in
            // Without the handler there is no TLS, and without a certificate nobody in particular.
            let handler = try? channel.pipeline.syncOperations.handler(type: NIOSSLServerHandler.self)
            return handler?.peerCertificate.flatMap { principal($0) }
        }.get()
    }
}

extension HTTPField.Name {
    /// What a client calls itself, for quotas.
    static let clientID = HTTPField.Name("Apus-Client-Id") ?? .userAgent
}
