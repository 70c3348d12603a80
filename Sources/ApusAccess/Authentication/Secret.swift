package import Crypto

/// Bytes that nobody may see and that are compared in constant time: a password, a key made from one, a proof.
///
/// No `==` (it would stop at the first difference, and its time tells where that is), no text, no mirror: what is
/// logged or dumped says how long the secret is. The memory is cleared when the last copy goes.
package struct Secret: Sendable {
    package let key: SymmetricKey

    package init(_ bytes: some Collection<UInt8>) {
        self.key = SymmetricKey(data: Array(bytes))
    }

    package init(key: SymmetricKey) {
        self.key = key
    }

    package var count: Int { self.key.bitCount / 8 }

    /// The bytes themselves, to be stored or sent where that is the purpose.
    package var bytes: [UInt8] { self.key.withUnsafeBytes { Array($0) } }

    /// Whether both are the same bytes, in a time that does not depend on where they differ.
    package func matches(_ other: Secret) -> Bool {
        // The library's comparison of keys is the constant-time one.
        self.key == other.key
    }
}

extension Secret: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    package var description: String { "secret of \(self.count) bytes" }
    package var debugDescription: String { self.description }
    package var customMirror: Mirror { Mirror(self, children: []) }
}
