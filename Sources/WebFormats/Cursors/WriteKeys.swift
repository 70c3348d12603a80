package import ApusAccess
package import ApusBroker
package import ApusCore
import Crypto
import NIOCore

extension CursorKeys {
    /// What makes a write known when its client sends it again with the same idempotency key.
    ///
    /// Signed, because everybody who reads records sees the producer ids of their batches: without the cluster's key
    /// nobody finds another's idempotency key by trying, or makes one that looks like another's.
    /// - Parameter partition: of records that name none.
    package func writeKey(
        _ key: String, of principal: Principal, for records: [WrittenRecord], partition: PartitionIndex?
    ) -> WriteKey {
        var name = KeyedDigest("apus idempotency key", by: self.current)
        name.take(ByteBuffer(string: principal.text.text))
        name.take(ByteBuffer(string: key))
        var content = KeyedDigest("apus idempotent write", by: self.current)
        content.take(partition.map { Int64($0.rawValue) })
        for record in records {
            content.take(record.partition.map { Int64($0.rawValue) })
            content.take(record.timestamp?.rawValue)
            content.take(record.key)
            content.take(record.value)
            content.take(Int64(record.headers.count))
            for header in record.headers {
                content.take(ByteBuffer(string: header.name))
                content.take(header.value)
            }
        }
        return WriteKey(name: name.finish(), content: content.finish())
    }
}

/// HMAC-SHA-256 over parts, each with its length: no two lists of parts are the same bytes.
private struct KeyedDigest {
    private var code: HMAC<SHA256>

    init(_ label: String, by key: SymmetricKey) {
        self.code = HMAC(key: key)
        self.take(ByteBuffer(string: label))
    }

    mutating func take(_ bytes: ByteBuffer?) {
        self.take(bytes.map { Int64($0.readableBytes) })
        bytes?.withUnsafeReadableBytes { self.code.update(data: $0) }
    }

    mutating func take(_ number: Int64?) {
        withUnsafeBytes(of: (number ?? -1).bigEndian) { self.code.update(data: $0) }
    }

    consuming func finish() -> UInt64 {
        self.code.finalize().prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
    }
}
