import ApusCore
import NIOCore

/// What the coordinator store keeps of a SCRAM credential, under `scram/<mechanism>/<user>`, the user's name as
/// hexadecimal UTF-8. No password and nothing that logs in is in it, but whoever has it can try passwords: it is as
/// secret as the data directory.
///
///     version UInt8 = 1 │ hash Int8 │ iterations Int32 │ user │ salt │ stored key │ server key
///
/// The last four are a UInt16 length and bytes. Integers are big-endian. Decoding is total.
package enum ScramRecord {
    package static let prefix = "scram/"
    /// 32 random bytes of the cluster, made once: what unknown users are answered with (``ScramUsers``).
    package static let mockSecretKey = "scram-mock"
    private static let version: UInt8 = 1

    package static func key(of user: ExactText, _ hash: ScramHash) -> String {
        "\(self.prefix)\(hash)/\(hexadecimal(user.utf8))"
    }

    package static func encoded(_ credential: ScramCredential, of user: ExactText) -> [UInt8] {
        var buffer = ByteBuffer(integer: self.version)
        buffer.writeInteger(credential.hash.rawValue)
        buffer.writeInteger(credential.iterations)
        buffer.writeText(user.text)
        for block in [credential.salt, credential.storedKey.bytes, credential.serverKey.bytes] {
            buffer.writeBlock(block)
        }
        return Array(buffer.readableBytesView)
    }

    /// Nil for anything that ``encoded(_:of:)`` does not write.
    package static func decoded(_ bytes: [UInt8]) -> (user: ExactText, credential: ScramCredential)? {
        var buffer = ByteBuffer(bytes: bytes)
        guard buffer.readInteger(as: UInt8.self) == self.version,
            let hash = buffer.readInteger(as: Int8.self).flatMap({ ScramHash(rawValue: $0) }),
            let iterations = buffer.readInteger(as: Int32.self), let user = buffer.readText(),
            Principal(user: user) != nil, let salt = buffer.readBlock(), let storedKey = buffer.readBlock(),
            let serverKey = buffer.readBlock(), buffer.readableBytes == 0
        else { return nil }
        // What could not be made is not believed.
        let credential = try? ScramCredential(
            hash: hash, salt: salt, iterations: iterations, storedKey: Secret(storedKey), serverKey: Secret(serverKey))
        return credential.map { (ExactText(user), $0) }
    }
}

func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
    let digits = Array("0123456789abcdef".utf8)
    var text: [UInt8] = []
    for byte in bytes {
        text.append(digits[Int(byte >> 4)])
        text.append(digits[Int(byte & 15)])
    }
    return String(decoding: text, as: UTF8.self)
}
