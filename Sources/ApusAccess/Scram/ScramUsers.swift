import ApusCore

/// The credentials of all users, and what is shown of users that do not exist. A value: a connection keeps the one it
/// began with, whoever changes it publishes a new one.
///
/// **Unknown users look like known ones.** A server that answers "no such user", or with a new salt at every try, tells
/// everybody who has an account. So an unknown name gets a credential made from it by HMAC under a secret of the
/// cluster: the same salt each time, iterations and salt length as some real user has, and keys that no password gives.
/// The conversation then takes its course, does the same hashing, and fails at the end. The same shape for the same
/// name until the set of shapes in use changes.
package struct ScramUsers: Sendable {
    private let mockSecret: Secret
    private var users: [ExactText: [ScramHash: ScramCredential]] = [:]
    private var shapeCounts: [CredentialShape: Int] = [:]
    /// The shapes in use, in an order that is the same on every broker.
    private var shapes: [CredentialShape] = []

    /// `mockSecret` is the cluster's, at least 32 bytes, kept in the coordinator store: two brokers that make different
    /// salts for a name say that it is no user.
    package init(mockSecret: Secret) {
        precondition(mockSecret.count >= 32, "a mock secret that can be guessed tells the users from the others")
        self.mockSecret = mockSecret
    }

    package var count: Int { self.users.count }
    package var names: [ExactText] { self.users.keys.sorted() }

    /// The hashes that a user has credentials for, in order; nil when there is no such user.
    package func hashes(of user: ExactText) -> [ScramHash]? {
        self.users[user].map { $0.keys.sorted() }
    }

    package func credential(of user: ExactText, _ hash: ScramHash) -> ScramCredential? {
        self.users[user]?[hash]
    }

    /// Sets or, with nil, removes a credential.
    package mutating func set(_ credential: ScramCredential?, of user: ExactText, _ hash: ScramHash) {
        precondition(credential.map { $0.hash == hash } ?? true)
        if let old = self.users[user]?[hash] { self.count(old.shape, by: -1) }
        self.users[user, default: [:]][hash] = credential
        if let credential { self.count(credential.shape, by: 1) }
        if self.users[user]?.isEmpty == true { self.users[user] = nil }
    }

    private mutating func count(_ shape: CredentialShape, by step: Int) {
        let before = self.shapeCounts[shape] ?? 0
        let after = before + step
        self.shapeCounts[shape] = after == 0 ? nil : after
        if (before == 0) != (after == 0) { self.shapes = self.shapeCounts.keys.sorted() }
    }

    /// What a login with SCRAM works with: the user's own credential, or one that nothing fits.
    func challenge(for user: ExactText, _ hash: ScramHash) -> (credential: ScramCredential, isKnown: Bool) {
        let mock = self.mock(for: user, among: self.shapes.filter { $0.hash == hash }, fallback: hash)
        return self.users[user]?[hash].map { ($0, true) } ?? (mock, false)
    }

    /// What a login with a plain password works with: the user's strongest credential, or one that nothing fits.
    package func check(_ password: Secret, of user: ExactText) -> PasswordCheck {
        let mock = self.mock(for: user, among: self.shapes, fallback: .sha512)
        let real = self.users[user].flatMap { $0[.sha512] ?? $0[.sha256] }
        return PasswordCheck(user: user, password: password, credential: real ?? mock, isKnown: real != nil)
    }

    private func mock(
        for user: ExactText, among shapes: [CredentialShape], fallback hash: ScramHash
    ) -> ScramCredential {
        let choice = self.derived("shape", user).prefix(4).reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        let shape =
            shapes.isEmpty
            ? CredentialShape(
                hash: hash, iterations: Limits.scramIterationsDefault, saltBytes: Limits.scramSaltBytes.rawValue)
            : shapes[Int(choice) % shapes.count]
        let salt = (self.derived("salt\(shape.hash)", user) + self.derived("more\(shape.hash)", user))
            .prefix(shape.saltBytes)
        let keys = [self.derived("stored", user), self.derived("server", user)].map {
            Secret($0.prefix(shape.hash.byteCount))
        }
        do {
            return try ScramCredential(
                hash: shape.hash, salt: Array(salt), iterations: shape.iterations, storedKey: keys[0],
                serverKey: keys[1]
            )
        } catch {
            preconditionFailure("a shape in use was refused: \(error)")
        }
    }

    /// 64 bytes that nobody without the secret can tell from chance.
    private func derived(_ purpose: String, _ user: ExactText) -> [UInt8] {
        ScramHash.sha512.mac(self.mockSecret, Array(purpose.utf8) + [0] + user.utf8)
    }
}

/// What the first answer of a login shows of a credential.
struct CredentialShape: Hashable, Comparable {
    let hash: ScramHash
    let iterations: Int32
    let saltBytes: Int

    static func < (left: CredentialShape, right: CredentialShape) -> Bool {
        (left.hash, left.iterations, left.saltBytes) < (right.hash, right.iterations, right.saltBytes)
    }
}
