import ApusCore
import Crypto
import NIOCore

/// What the coordinator store keeps of an ACL, under `acls/<id>`. The id is made from the rule itself, so that a rule
/// made twice is one, and a rule is removed without looking for it.
///
///     version UInt8 = 1 │ resource type Int8 │ pattern type Int8 │ operation Int8 │ permission Int8 │ name │ principal
/// │ host
///
/// A string is a UInt16 length and UTF-8. Integers are big-endian. Decoding is total: the store may be damaged or be
/// that of a newer version.
package enum AclRecord {
    package static let prefix = "acls/"
    private static let version: UInt8 = 1

    package static func key(of acl: Acl) -> String { self.key(ofValue: self.encoded(acl)) }

    /// The key under which this stands: encoding costs more than hashing, and ten thousand rules come at once.
    package static func key(ofValue value: [UInt8]) -> String {
        self.prefix + hexadecimal(SHA256.hash(data: value).prefix(16))
    }

    package static func encoded(_ acl: Acl) -> [UInt8] {
        let wire = AclOnTheWire(acl)
        let texts = [wire.name, wire.principal, wire.host]
        var bytes: [UInt8] = []
        bytes.reserveCapacity(texts.reduce(5) { $0 + 2 + $1.utf8.count })
        bytes.append(self.version)
        for code in [wire.resourceType, wire.patternType, wire.operation, wire.permission] {
            bytes.append(UInt8(bitPattern: code))
        }
        for text in texts {
            precondition(text.utf8.count <= Int(UInt16.max), "longer than any name that passed its rule")
            bytes.append(UInt8(text.utf8.count >> 8))
            bytes.append(UInt8(truncatingIfNeeded: text.utf8.count))
            bytes += text.utf8
        }
        return bytes
    }

    /// Nil for anything that ``encoded(_:)`` does not write.
    package static func decoded(_ bytes: [UInt8]) -> Acl? {
        var buffer = ByteBuffer(bytes: bytes)
        guard buffer.readInteger(as: UInt8.self) == self.version,
            let type = buffer.readInteger(as: Int8.self), let pattern = buffer.readInteger(as: Int8.self),
            let operation = buffer.readInteger(as: Int8.self), let permission = buffer.readInteger(as: Int8.self),
            let name = buffer.readText(), let principal = buffer.readText(), let host = buffer.readText(),
            buffer.readableBytes == 0
        else { return nil }
        let wire = AclOnTheWire(
            resourceType: type, patternType: pattern, name: name, principal: principal, host: host,
            operation: operation, permission: permission
        )
        // What could not be made is not believed, and another spelling of an address would be a second id for one rule.
        guard let acl = try? Acl(wire), self.encoded(acl) == bytes else { return nil }
        return acl
    }
}

extension ByteBuffer {
    mutating func writeText(_ text: String) {
        precondition(text.utf8.count <= Int(UInt16.max), "longer than any name that passed its rule")
        self.writeInteger(UInt16(text.utf8.count))
        self.writeBytes(text.utf8)
    }

    mutating func readText() -> String? {
        self.readBlock().flatMap { String(validating: $0, as: UTF8.self) }
    }

    mutating func writeBlock(_ bytes: [UInt8]) {
        precondition(bytes.count <= Int(UInt16.max), "longer than any key or salt that passed its rule")
        self.writeInteger(UInt16(bytes.count))
        self.writeBytes(bytes)
    }

    mutating func readBlock() -> [UInt8]? {
        guard let length = self.readInteger(as: UInt16.self) else { return nil }
        return self.readBytes(length: Int(length))
    }
}
