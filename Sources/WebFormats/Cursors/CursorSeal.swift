package import ApusCore
import Crypto
package import NIOCore

/// The keys that cursors are signed with. All endpoint servers of a cluster have the same, so that a client resumes
/// anywhere.
package struct CursorKeys: Sendable {
    let current: SymmetricKey
    /// Keys that signed what clients may still hold.
    fileprivate let older: [SymmetricKey]

    /// Each key is 32 bytes or more; at most ``Limits/cursorKeysMax`` in all.
    package init(current: [UInt8], older: [[UInt8]] = []) {
        precondition(([current] + older).allSatisfy { $0.count >= 32 }, "a key of 32 bytes or more")
        precondition(older.count < Limits.cursorKeysMax, "at most \(Limits.cursorKeysMax) keys")
        self.current = SymmetricKey(data: current)
        self.older = older.map { SymmetricKey(data: $0) }
    }
}

/// Writes the cursors of one channel as text, and takes only what it wrote.
///
/// The text is Base64 for URLs of
///
///     version and kind, 4 bits each │ topic 4 bytes │ positions, varints │ signature 16 bytes
///
/// where the topic's bytes are the last of its id, there to tell a deleted topic's cursor from a forged one. The
/// signature is HMAC-SHA-256, cut to 16 bytes (RFC 2104 section 5), over the whole id of the topic, the channel's
/// selection and all that stands in front of it. So a cursor of another channel is no cursor, and a node is not in it.
package struct CursorSeal: Sendable {
    private static let version: UInt8 = 1
    private static let signatureBytes = 16
    private static let headBytes = 5

    private let keys: CursorKeys
    private let topic: TopicID
    /// What stands in front of the text under the signature: no two channels have the same.
    private let context: [UInt8]

    package init(keys: CursorKeys, topic: TopicID, selection: EdgeChannel.Selection) {
        self.keys = keys
        self.topic = topic
        var context = ByteBuffer(string: "apus cursor")
        context.writeInteger(topic.high)
        context.writeInteger(topic.low)
        switch selection {
        case .everything: context.writeInteger(UInt8(0))
        case .key(let key):
            context.writeInteger(UInt8(1))
            context.writeInteger(UInt32(truncatingIfNeeded: key.readableBytes))
            context.writeImmutableBuffer(key)
        case .prefix(let prefix):
            context.writeInteger(UInt8(2))
            context.writeInteger(UInt32(truncatingIfNeeded: prefix.readableBytes))
            context.writeImmutableBuffer(prefix)
        }
        self.context = Array(buffer: context)
    }

    /// The cursor as text: letters, digits, `-` and `_` only.
    package func text(of cursor: EdgeCursor) -> ByteBuffer {
        var bytes = ByteBuffer()
        CursorFields.write(cursor, version: Self.version, tag: self.tag, into: &bytes)
        bytes.writeBytes(self.signature(of: bytes, with: self.keys.current))
        var text = ByteBuffer()
        Base64.url.write(bytes, into: &text)
        return text
    }

    /// Takes any bytes.
    package func cursor(in text: ByteBuffer) throws(CursorError) -> EdgeCursor {
        guard text.readableBytes <= Limits.cursorTextBytesMax.rawValue, var bytes = Base64.url.decoded(text) else {
            throw .malformed
        }
        guard let first = bytes.getInteger(at: bytes.readerIndex, as: UInt8.self) else { throw .truncated }
        guard first >> 4 == Self.version else { throw .version(first >> 4) }
        let signedBytes = bytes.readableBytes - Self.signatureBytes
        guard signedBytes >= Self.headBytes, var signed = bytes.readSlice(length: signedBytes) else { throw .truncated }
        let whole = signed
        let (cursor, tag) = try CursorFields.read(&signed)
        guard tag == self.tag else { throw .otherTopic }
        guard self.isSigned(whole, by: bytes) else { throw .forged }
        return cursor
    }

    private var tag: UInt32 { UInt32(truncatingIfNeeded: self.topic.low) }

    private func signature(of bytes: ByteBuffer, with key: SymmetricKey) -> [UInt8] {
        let code = HMAC<SHA256>.authenticationCode(for: self.context + Array(buffer: bytes), using: key)
        return Array(code.prefix(Self.signatureBytes))
    }

    private func isSigned(_ bytes: ByteBuffer, by signature: ByteBuffer) -> Bool {
        ([self.keys.current] + self.keys.older).contains { key in
            // Keys of the library compare in a time that does not tell where they differ.
            SymmetricKey(data: self.signature(of: bytes, with: key)) == SymmetricKey(data: Array(buffer: signature))
        }
    }
}
