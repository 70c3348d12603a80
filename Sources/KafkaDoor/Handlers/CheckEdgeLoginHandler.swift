import ApusAccess
import ApusBroker
import ApusCore
import KafkaWire
import NIOCore

/// CheckEdgeLogin (32011, our own): whose API key or ticket it is that somebody shows to an endpoint server in a
/// process of its own. The endpoint server tells a digest; what logs in does not leave it. A ticket is used up by this,
/// so it is good once, at whichever endpoint server it is shown.
///
/// It takes CLUSTER_ACTION on the cluster, as DescribeEdge does. Each check is a login, and written down as one, with
/// the address that the client has at the endpoint server.
enum CheckEdgeLoginHandler: ApiHandler {
    static let versions: ClosedRange<Int16> = 0...0

    static func handle(_ request: inout CheckEdgeLoginRequest, _ exchange: Exchange<CheckEdgeLoginResponse>) {
        guard exchange.client.allows(.clusterAction, on: .cluster) else {
            var response = CheckEdgeLoginResponse()
            response.errorCode = .clusterAuthorizationFailed
            return exchange.answer(response)
        }
        let address = String(request.address.prefix(Self.addressLengthMax))
        let digest = Array(buffer: request.digest)
        if let id = request.keyID {
            let found = self.login(AccessKeyProof(id: id, digest: digest), exchange)
            return self.answer(found, "API key", from: address, exchange)
        }
        guard let tickets = exchange.door.tickets else {
            return self.answer(.failure(LoginFailure(.ticket)), "ticket", from: address, exchange)
        }
        tickets.take(digest) { login in
            exchange.loop.execute {
                let found = login.map { Result<EdgeLogin, LoginFailure>.success($0) } ?? .failure(LoginFailure(.ticket))
                self.answer(found, "ticket", from: address, exchange)
            }
        }
    }

    /// The longest text of an address, a scope's name and all.
    private static let addressLengthMax = 64

    private static func login(
        _ proof: AccessKeyProof, _ exchange: Exchange<CheckEdgeLoginResponse>
    ) -> Result<EdgeLogin, LoginFailure> {
        do throws(AccessKeyRefusal) {
            let key = try exchange.broker.access.keys.verify(proof, now: exchange.broker.wallTime)
            return .success(
                EdgeLogin(
                    principal: key.owner, mechanism: .oauthBearer, expires: key.expires, channels: nil, keyID: key.id))
        } catch {
            return .failure(LoginFailure(.key(error), mechanism: .oauthBearer))
        }
    }

    private static func answer(
        _ found: Result<EdgeLogin, LoginFailure>, _ what: String, from address: String,
        _ exchange: Exchange<CheckEdgeLoginResponse>
    ) {
        var response = CheckEdgeLoginResponse()
        response.keysVersion = exchange.broker.access.keyVersion.rawValue
        switch found {
        case .success(let login):
            let client = ClientContext(principal: login.principal, address: address)
            let name = login.keyID.map { "API key \($0)" } ?? login.mechanism.rawValue
            exchange.broker.audit.note(.login, "edge \(what == "ticket" ? "ticket of \(name)" : name)", by: client)
            response.fill(login)
        case .failure(let failure):
            let client = ClientContext(principal: .anonymous, address: address)
            exchange.broker.audit.note(.login, "edge \(what)", by: client, .failed("\(failure.cause)"))
            response.errorCode = .saslAuthenticationFailed
            response.errorMessage = failure.told
        }
        exchange.answer(response)
    }
}

extension CheckEdgeLoginResponse {
    fileprivate mutating func fill(_ login: EdgeLogin) {
        self.principal = login.principal.description
        self.mechanism = login.mechanism.rawValue
        self.expiresMs = login.expires?.rawValue ?? -1
        self.keyID = login.keyID
        guard let patterns = login.channels?.patterns else { return }
        self.isBounded = true
        (self.read, self.write, self.subscribe) = patterns
    }
}
