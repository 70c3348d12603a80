import ApusCore
import Crypto
import CryptoExtras

/// The hash function of a SCRAM mechanism, and what RFC 5802 builds from it. The numbers are those of KIP-554 and of
/// the stored form.
package enum ScramHash: Int8, CaseIterable, Comparable, Sendable {
    case sha256 = 1
    case sha512 = 2

    package var byteCount: Int { self == .sha256 ? SHA256.byteCount : SHA512.byteCount }

    package static func < (left: ScramHash, right: ScramHash) -> Bool {
        left.rawValue < right.rawValue
    }

    /// `H(bytes)`.
    func digest(_ bytes: some Collection<UInt8>) -> [UInt8] {
        switch self {
        case .sha256: Array(SHA256.hash(data: Array(bytes)))
        case .sha512: Array(SHA512.hash(data: Array(bytes)))
        }
    }

    /// `HMAC(key, bytes)`.
    func mac(_ key: Secret, _ bytes: some Collection<UInt8>) -> [UInt8] {
        switch self {
        case .sha256: Array(HMAC<SHA256>.authenticationCode(for: Array(bytes), using: key.key))
        case .sha512: Array(HMAC<SHA512>.authenticationCode(for: Array(bytes), using: key.key))
        }
    }

    /// `Hi(password, salt, i)`, which is PBKDF2. Slow on purpose, some microseconds for each iteration: never on an
    /// event loop. Nil when the library refuses, so that whoever asks has no key and lets nobody in.
    package func stretched(_ password: Secret, salt: [UInt8], iterations: Int32) -> Secret? {
        guard password.count > 0, iterations > 0 else { return nil }
        let function: KDF.Insecure.PBKDF2.HashFunction = self == .sha256 ? .sha256 : .sha512
        // The only error is the library's own failure, which has nothing to say: there is no key.
        let key = try? KDF.Insecure.PBKDF2.deriveKey(
            from: password.bytes, salt: salt, using: function, outputByteCount: self.byteCount,
            unsafeUncheckedRounds: Int(iterations)
        )
        return key.map { Secret(key: $0) }
    }
}
