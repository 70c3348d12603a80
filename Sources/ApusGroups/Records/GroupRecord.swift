package import ApusCore
package import NIOCore

/// One record of `__consumer_offsets`: what a group decided, on its way to the log.
///
/// The topic is compacted, so a key's last record is all that stays, and a record without a value (a tombstone) takes
/// its key away. Key and value are Kafka's own formats, each behind a version as Int16; the key's version says what the
/// record is about. A group is what its records say and nothing else: it applies them when they are written, and again,
/// in the same way, when a coordinator reads them back.
package struct GroupRecord: Hashable, Sendable {
    package var key: ByteBuffer
    /// nil: the key is gone.
    package var value: ByteBuffer?
    /// The time of day that its batch gives; `.none` while it is not in one.
    package var writtenAt: Timestamp

    package init(key: ByteBuffer, value: ByteBuffer?, writtenAt: Timestamp = .none) {
        self.key = key
        self.value = value
        self.writtenAt = writtenAt
    }

    package var byteCount: Int { self.key.readableBytes + (self.value?.readableBytes ?? 0) }
}
