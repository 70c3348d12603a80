import ApusCore
import NIOCore

/// What the coordinator store keeps of an API key, under `api-key/<id>`. Nothing in it logs in.
///
///     version UInt8 = 1 │ created Int64 │ expires Int64, -1 for never │ id │ name │ owner │ digest
///
/// The last four are a UInt16 length and bytes. Integers are big-endian. Decoding is total.
package enum AccessKeyRecord {
    package static let prefix = "api-key/"
    private static let version: UInt8 = 1

    package static func key(of id: String) -> String { self.prefix + id }

    package static func encoded(_ key: AccessKey) -> [UInt8] {
        var buffer = ByteBuffer(integer: self.version)
        buffer.writeInteger(key.created.rawValue)
        buffer.writeInteger(key.expires?.rawValue ?? -1)
        for text in [key.id, key.name, key.owner.description] { buffer.writeText(text) }
        buffer.writeBlock(key.digest)
        return Array(buffer.readableBytesView)
    }

    /// Nil for anything that ``encoded(_:)`` does not write.
    package static func decoded(_ bytes: [UInt8]) -> AccessKey? {
        var buffer = ByteBuffer(bytes: bytes)
        guard buffer.readInteger(as: UInt8.self) == self.version, let created = buffer.readInteger(as: Int64.self),
            let expires = buffer.readInteger(as: Int64.self), let id = buffer.readText(), let name = buffer.readText(),
            let owner = buffer.readText().flatMap({ Principal(parsing: $0) }), owner != .everybody,
            let digest = buffer.readBlock(), digest.count == 32, buffer.readableBytes == 0
        else { return nil }
        return AccessKey(
            id: id, name: name, owner: owner, created: Timestamp(rawValue: created),
            expires: expires < 0 ? nil : Timestamp(rawValue: expires), digest: digest)
    }
}
