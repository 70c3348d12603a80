package import ApusCore
import Crypto

/// A key for programs: a text that its owner keeps, and of which we keep a digest only.
///
///     apus_<id>_<secret>
///
/// The prefix lets scanners find keys that leaked. The secret is 32 random bytes, so its digest is SHA-256 without salt
/// or rounds: there is nothing to guess.
package struct AccessKey: Hashable, Sendable {
    /// 16 hexadecimal digits.
    package let id: String
    /// What people call it.
    package let name: String
    /// Whose rights it has.
    package let owner: Principal
    package let created: Timestamp
    /// Nil: good until it is removed.
    package let expires: Timestamp?
    /// SHA-256 of the secret as it is written.
    let digest: [UInt8]

    /// Why there can be no such key.
    package enum Refusal: Error, Hashable, Sendable {
        case name
        case expired
    }

    /// Makes one from bytes that nobody can guess, and says the text that only its owner is told, once.
    ///
    /// - Parameters:
    ///   - idBytes: 8 bytes.
    ///   - secret: ``Limits/apiKeySecretBytes``.
    package static func make(
        _ name: String, owner: Principal, created: Timestamp, expires: Timestamp?, idBytes: [UInt8], secret: [UInt8]
    ) throws(Refusal) -> (key: AccessKey, text: String) {
        precondition(idBytes.count == 8 && secret.count == Limits.apiKeySecretBytes.rawValue)
        let isName = (1...Limits.apiKeyNameBytesMax.rawValue).contains(name.utf8.count)
        guard isName, name.unicodeScalars.allSatisfy(isShown) else { throw .name }
        if let expires, expires <= created { throw .expired }
        let id = hexadecimal(idBytes)
        let written = Base64.url.encoded(secret)
        let key = AccessKey(
            id: id, name: name, owner: owner, created: created, expires: expires,
            digest: Array(SHA256.hash(data: written)))
        return (key, "\(AccessKeys.prefix)\(id)_\(String(decoding: written, as: UTF8.self))")
    }

    package func isExpired(at now: Timestamp) -> Bool { self.expires.map { $0 <= now } ?? false }
}

/// Why a key is refused. For the log and the audit trail; the client is told that it is not accepted.
package enum AccessKeyRefusal: Error, Hashable, Sendable {
    case malformed
    /// There is none of that id, or the secret is another.
    case unknown
    case expired
}

/// All API keys of a cluster. A value: whoever changes them publishes a new one.
package struct AccessKeys: Sendable {
    package static let prefix = "apus_"
    private var keys: [String: AccessKey] = [:]

    package init() {}

    package var count: Int { self.keys.count }
    /// In no order.
    package var ids: [String] { Array(self.keys.keys) }
    /// In the order of their ids.
    package var all: [AccessKey] { self.keys.values.sorted { $0.id < $1.id } }

    package subscript(id id: String) -> AccessKey? { self.keys[id] }

    mutating func set(_ key: AccessKey?, id: String) { self.keys[id] = key }

    /// The key that this text is, if it is good now. As long for an id that there is not as for a secret that is wrong.
    package func verify(_ text: Secret, now: Timestamp) throws(AccessKeyRefusal) -> AccessKey {
        try self.verify(AccessKeyProof(text), now: now)
    }

    package func verify(_ proof: AccessKeyProof, now: Timestamp) throws(AccessKeyRefusal) -> AccessKey {
        let key = self.keys[proof.id]
        guard Secret(key?.digest ?? Self.nobody).matches(Secret(proof.digest)), let key else { throw .unknown }
        guard !key.isExpired(at: now) else { throw .expired }
        return key
    }

    /// A digest that is no secret's.
    private static let nobody = [UInt8](repeating: 0, count: SHA256.byteCount)
}
