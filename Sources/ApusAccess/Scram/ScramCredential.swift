package import ApusCore

/// What a broker keeps of a password for SCRAM (RFC 5802): enough to check a proof, not enough to make one.
package struct ScramCredential: Sendable {
    package let hash: ScramHash
    package let salt: [UInt8]
    package let iterations: Int32
    package let storedKey: Secret
    package let serverKey: Secret

    /// Why a credential may not be kept.
    package enum Refusal: Error, Hashable, Sendable {
        case iterations(Int32)
        case salt(ByteCount)
        /// The salted password or a key does not have its hash's length.
        case keyLength(ByteCount)
        case password(PasswordRefusal)
    }

    /// From keys that were stored.
    package init(
        hash: ScramHash, salt: [UInt8], iterations: Int32, storedKey: Secret, serverKey: Secret
    ) throws(Refusal) {
        if let refusal = Self.refusal(saltBytes: salt.count, iterations: iterations) { throw refusal }
        for key in [storedKey, serverKey] where key.count != hash.byteCount { throw .keyLength(.bytes(key.count)) }
        self.hash = hash
        self.salt = salt
        self.iterations = iterations
        self.storedKey = storedKey
        self.serverKey = serverKey
    }

    /// From `Hi(password, salt, i)`, which is what AlterUserScramCredentials brings (KIP-554): three hashes, not slow.
    package init(hash: ScramHash, saltedPassword: Secret, salt: [UInt8], iterations: Int32) throws(Refusal) {
        guard saltedPassword.count == hash.byteCount else { throw .keyLength(.bytes(saltedPassword.count)) }
        let clientKey = hash.mac(saltedPassword, "Client Key".utf8)
        try self.init(
            hash: hash, salt: salt, iterations: iterations,
            storedKey: Secret(hash.digest(clientKey)), serverKey: Secret(hash.mac(saltedPassword, "Server Key".utf8))
        )
    }

    package static func refusal(saltBytes: Int, iterations: Int32) -> Refusal? {
        guard (Limits.scramIterationsMin...Limits.scramIterationsMax).contains(iterations) else {
            return .iterations(iterations)
        }
        guard (Limits.scramSaltBytesMin.rawValue...Limits.scramSaltBytesMax.rawValue).contains(saltBytes) else {
            return .salt(.bytes(saltBytes))
        }
        return nil
    }

    var shape: CredentialShape {
        CredentialShape(hash: self.hash, iterations: self.iterations, saltBytes: self.salt.count)
    }
}

/// Why a password is not taken.
///
/// RFC 5802 prepares passwords with SASLprep, which leaves printable ASCII as it is and needs Unicode's tables for the
/// rest; Kafka and most of its clients prepare nothing. So only text on which all of them agree is a password here:
/// anything else would work with one client and not with the next.
package enum PasswordRefusal: Error, Hashable, Sendable {
    case empty
    case tooLong(ByteCount)
    case notPrintableASCII

    package static func refusal(of password: some Collection<UInt8>) -> PasswordRefusal? {
        if password.isEmpty { return .empty }
        if password.count > Limits.passwordBytesMax.rawValue { return .tooLong(.bytes(password.count)) }
        return password.allSatisfy { (0x20...0x7E).contains($0) } ? nil : .notPrintableASCII
    }
}

/// Slow work that makes a credential of a new password. Run it on a thread that may take tens of milliseconds, never on
/// an event loop, and tell the result to whoever asked.
package struct PasswordHashing: Sendable {
    package let hash: ScramHash
    package let salt: [UInt8]
    package let iterations: Int32
    private let password: Secret

    /// `salt` comes from the Randomness port.
    package init(
        _ password: String, hash: ScramHash, salt: [UInt8], iterations: Int32 = Limits.scramIterationsDefault
    ) throws(ScramCredential.Refusal) {
        if let refusal = PasswordRefusal.refusal(of: password.utf8) { throw .password(refusal) }
        if let refusal = ScramCredential.refusal(saltBytes: salt.count, iterations: iterations) { throw refusal }
        self.hash = hash
        self.salt = salt
        self.iterations = iterations
        self.password = Secret(password.utf8)
    }

    package func run() -> ScramCredential? {
        guard let salted = self.hash.stretched(self.password, salt: self.salt, iterations: self.iterations)
        else { return nil }
        // Every other refusal was asked in `init`.
        return try? ScramCredential(
            hash: self.hash, saltedPassword: salted, salt: self.salt, iterations: self.iterations
        )
    }
}

/// Slow work that tells whether a password is a credential's own: SASL PLAIN. Like ``PasswordHashing``, never on an
/// event loop.
package struct PasswordCheck: Sendable {
    package let user: ExactText
    let credential: ScramCredential
    /// Whether the user exists. The work is the same for one who does not, so that its time does not tell.
    let isKnown: Bool
    private let password: Secret

    init(user: ExactText, password: Secret, credential: ScramCredential, isKnown: Bool) {
        self.user = user
        self.password = password
        self.credential = credential
        self.isKnown = isKnown
    }

    package func run() -> Bool {
        let hash = self.credential.hash
        let salt = self.credential.salt
        guard let salted = hash.stretched(self.password, salt: salt, iterations: self.credential.iterations)
        else { return false }
        let storedKey = Secret(hash.digest(hash.mac(salted, "Client Key".utf8)))
        return storedKey.matches(self.credential.storedKey) && self.isKnown
    }
}
