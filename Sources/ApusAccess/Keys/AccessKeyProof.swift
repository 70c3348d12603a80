import ApusCore
import Crypto

/// What a key's text proves to whoever keeps its digest: enough to look it up, not enough to log in with. It is what
/// an endpoint server of its own shows to a broker.
package struct AccessKeyProof: Hashable, Sendable {
    package let id: String
    /// SHA-256 of the secret as it was written.
    package let digest: [UInt8]

    package init(id: String, digest: [UInt8]) {
        self.id = id
        self.digest = digest
    }

    /// Reads the text of a key.
    package init(_ text: Secret) throws(AccessKeyRefusal) {
        let parts = text.bytes.split(separator: UInt8(ascii: "_"), maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0].elementsEqual("apus".utf8), parts[1].count == 16,
            parts[2].count <= 2 * Limits.apiKeySecretBytes.rawValue,
            let id = String(validating: parts[1], as: UTF8.self)
        else { throw .malformed }
        self.init(id: id, digest: Array(SHA256.hash(data: Array(parts[2]))))
    }
}
