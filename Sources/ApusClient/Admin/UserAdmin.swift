import ApusAccess
import ApusCore
import KafkaWire
import NIOCore
import NIOPosix

/// What can be done with users and their passwords (SCRAM, KIP-554). Got from ``ApusClient/users``.
///
/// Every call throws `.unreachable`, `.timedOut`, `.closed`, `.notAuthorized` besides what it names.
public struct UserAdmin: Sendable {
    let core: ClientCore

    /// A user with a password.
    public struct Description: Hashable, Sendable {
        public var name: String
        /// The rounds of hashing of each mechanism: `SCRAM-SHA-256`, `SCRAM-SHA-512`.
        public var iterations: [String: Int]
    }

    /// Every user, by name.
    public func list() async throws -> [Description] {
        let answer = try await self.described([])
        if let code = answer.errorCode.failure {
            throw answer.error(code, "the users", message: answer.errorMessage)
        }
        return answer.results.map { Self.description($0) }.sorted { $0.name < $1.name }
    }

    /// A user; nil when there is none of that name.
    public func describe(_ name: String) async throws -> Description? {
        let answer = try await self.described([name])
        if let code = answer.errorCode.failure {
            throw answer.error(code, "user \(name)", message: answer.errorMessage)
        }
        guard let result = answer.results.first(where: { $0.user == name }) else {
            throw answer.unanswered("user \(name)")
        }
        if result.errorCode == .resourceNotFound { return nil }
        if let code = result.errorCode.failure {
            throw answer.error(code, "user \(name)", message: result.errorMessage)
        }
        return Self.description(result)
    }

    /// Gives a user a password, the first or a new one, for both mechanisms. It is hashed here: no broker sees it.
    /// - Parameters:
    ///   - password: printable ASCII, 1 to 1,024 characters.
    ///   - iterations: rounds of hashing, 4,096 to 1,000,000.
    public func setPassword(_ password: String, of name: String, iterations: Int? = nil) async throws {
        let rounds = Int32(clamping: iterations ?? Int(Limits.scramIterationsDefault))
        if PasswordRefusal.refusal(of: password.utf8) != nil {
            throw ApusError(.invalidArgument, "a password is printable ASCII, 1 to 1,024 characters")
        }
        if ScramCredential.refusal(saltBytes: Limits.scramSaltBytes.rawValue, iterations: rounds) != nil {
            throw ApusError(
                .invalidArgument,
                "from \(Limits.scramIterationsMin) to \(Limits.scramIterationsMax) iterations are taken")
        }
        var request = AlterUserScramCredentialsRequest()
        for hash in ScramHash.allCases {
            let salt = self.salt()
            let secret = Secret(password.utf8)
            let loop = self.core.loop
            let salted = try await NIOThreadPool.singleton.runIfActive(eventLoop: loop) {
                hash.stretched(secret, salt: salt, iterations: rounds)
            }.get()
            guard let salted else { throw ApusError(.invalidArgument, "the password can not be hashed") }
            var line = AlterUserScramCredentialsRequest.Upsertion()
            line.name = name
            line.mechanism = hash.rawValue
            line.iterations = rounds
            line.salt = ByteBuffer(bytes: salt)
            line.saltedPassword = ByteBuffer(bytes: salted.bytes)
            request.upsertions.append(line)
        }
        try await self.alter(request, name)
    }

    /// Takes a user's passwords away. Connections that are logged in stay so, until their session ends.
    public func remove(_ user: Description) async throws {
        var request = AlterUserScramCredentialsRequest()
        for hash in ScramHash.allCases where user.iterations[Self.mechanism(hash)] != nil {
            var line = AlterUserScramCredentialsRequest.Deletion()
            line.name = user.name
            line.mechanism = hash.rawValue
            request.deletions.append(line)
        }
        try await self.alter(request, user.name)
    }

    private func alter(_ request: AlterUserScramCredentialsRequest, _ name: String) async throws {
        // The same again has the same end, so a lost answer is no reason not to try again.
        try await self.core.retrying(repeatingIndefinite: true) { () throws(ApusError) in
            let answer = try await self.core.callController(request)
            guard let result = answer.results.first(where: { $0.user == name }) else {
                throw answer.unanswered("user \(name)")
            }
            if let code = result.errorCode.failure {
                throw answer.error(code, "user \(name)", message: result.errorMessage)
            }
        }
    }

    private func described(
        _ names: [String]
    ) async throws -> BrokerAnswer<DescribeUserScramCredentialsResponse> {
        var request = DescribeUserScramCredentialsRequest()
        request.users = names.map { name in
            var user = DescribeUserScramCredentialsRequest.User()
            user.name = name
            return user
        }
        return try await self.core.retrying(repeatingIndefinite: true) { [request] () throws(ApusError) in
            try await self.core.callController(request)
        }
    }

    private func salt() -> [UInt8] {
        (0..<(Limits.scramSaltBytes.rawValue / 8)).flatMap { _ in
            let bits = self.core.environment.randomness.next()
            return (0..<8).map { UInt8(truncatingIfNeeded: bits >> UInt64(8 * $0)) }
        }
    }

    private static func mechanism(_ hash: ScramHash) -> String {
        hash == .sha256 ? SaslMechanism.scramSHA256.rawValue : SaslMechanism.scramSHA512.rawValue
    }

    private static func description(_ result: DescribeUserScramCredentialsResponse.Result) -> Description {
        var description = Description(name: result.user, iterations: [:])
        for info in result.credentialInfos {
            guard let hash = ScramHash(rawValue: info.mechanism) else { continue }
            description.iterations[self.mechanism(hash)] = Int(info.iterations)
        }
        return description
    }
}
