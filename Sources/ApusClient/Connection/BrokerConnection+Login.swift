import ApusAccess
import ApusCore
import KafkaWire
import NIOCore

/// Logging in (KIP-43, KIP-152), and again before the session ends (KIP-368). Nothing else is sent meanwhile.
extension BrokerConnection {
    /// `then` is called when the broker knows who we are; when it does not, the connection has failed.
    func logIn(_ login: BrokerLogin, _ table: ApiVersionTable, then: @escaping () -> Void) {
        guard !login.showsSecret || login.isOverTLS || self.isPeerHere else {
            return self.fail(
                self.error(
                    .loginInClear,
                    "a password or token is not sent in clear over a network: use TLS, or SCRAM for a password"))
        }
        guard table.version(of: .saslHandshake, upTo: 1) == 1,
            let version = table.version(of: .saslAuthenticate, upTo: 2)
        else { return self.fail(self.error(.unsupported, "it has no logins, or old ones only")) }
        let exchange = login.exchange()
        var request = SaslHandshakeRequest()
        request.mechanism = exchange.mechanism
        self.askForLogin(request, version: 1) { [self] response in
            guard response.errorCode == .none else {
                let offered = response.mechanisms.isEmpty ? "none" : response.mechanisms.joined(separator: ", ")
                return self.refused(
                    response.errorCode, "\(exchange.mechanism) is not offered here: \(offered)")
            }
            self.say(exchange, heard: [], LoginCourse(login: login, table: table, version: version, then: then))
        }
    }

    /// What is said to it does not leave this machine.
    private var isPeerHere: Bool {
        guard let address = self.peerAddress else { return false }
        // One without an IP address is a file of this machine.
        guard let text = address.ipAddress else { return true }
        return HostAddress(text)?.isLoopback == true
    }

    /// Where a login is going.
    struct LoginCourse {
        let login: BrokerLogin
        let table: ApiVersionTable
        /// Of SaslAuthenticate.
        let version: Int16
        let then: () -> Void
        /// From the last answer: how long the session lasts; zero: for ever.
        var lifetime = Duration.zero
    }

    private func say(_ exchange: LoginExchange, heard: [UInt8], _ course: LoginCourse) {
        let bound = NIOLoopBound((connection: self, course: course), eventLoop: self.loop)
        let loop = self.loop
        course.login.elsewhere {
            var exchange = exchange
            let message = Result { () throws(LoginExchange.Failure) in try exchange.next(heard) }
            loop.execute { [exchange] in
                let (connection, course) = bound.value
                switch message {
                case .failure(let failure):
                    connection.fail(connection.error(.notAuthorized, failure.words))
                case .success(nil): connection.loggedIn(course)
                case .success(let bytes?): connection.send(bytes, exchange, course)
                }
            }
        }
    }

    private func send(_ bytes: [UInt8], _ exchange: LoginExchange, _ course: LoginCourse) {
        var request = SaslAuthenticateRequest()
        request.authBytes = ByteBuffer(bytes: bytes)
        self.askForLogin(request, version: course.version) { [self] response in
            guard response.errorCode == .none else {
                return self.refused(response.errorCode, response.errorMessage ?? "the login was refused")
            }
            var course = course
            course.lifetime = .milliseconds(max(0, response.sessionLifetimeMs))
            self.say(exchange, heard: Array(response.authBytes.readableBytesView), course)
        }
    }

    private func refused(_ code: KafkaErrorCode, _ message: String) {
        var error = self.error(.notAuthorized, message)
        error.kafkaCode = code
        self.fail(error)
    }

    private func loggedIn(_ course: LoginCourse) {
        if case .closed = self.state { return }
        if course.lifetime > .zero {
            // Early enough for a slow hash and a slow network; brokers refuse one within the first second.
            let wait = max(course.lifetime / 5 * 4, min(.milliseconds(1100), course.lifetime))
            self.loop.assumeIsolated().scheduleTask(in: .nanoseconds(wait.wholeNanoseconds)) { self.renew(course) }
        }
        course.then()
    }

    private func renew(_ course: LoginCourse) {
        guard case .ready = self.state else { return }
        self.holdRequests()
        self.logIn(course.login, course.table) { self.letRequestsGo() }
    }
}
