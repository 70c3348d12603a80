import ApusCore

/// What makes a write known when it is sent again: its name, and what is written. Both are digests that nobody else
/// can make, so no client hits upon the name of another's write.
///
/// In the log the name is a producer id of a range that no client is given, and what is written is epoch and sequence
/// of its batch: so the log itself knows the write again, for as long as it remembers producers, and tells another
/// write that comes with the same name.
package struct WriteKey: Hashable, Sendable {
    let producerID: Int64
    let producerEpoch: Int16
    let baseSequence: Int32

    /// - Parameters:
    ///   - name: of whom the write is and what he calls it; 62 bits of it are kept.
    ///   - content: all that is written; 46 bits of it are kept.
    package init(name: UInt64, content: UInt64) {
        let first = Limits.keyedProducerIDFirst
        self.producerID = first | Int64(truncatingIfNeeded: name) & (first - 1)
        self.producerEpoch = Int16(truncatingIfNeeded: content >> 31 & 0x7FFF)
        self.baseSequence = Int32(truncatingIfNeeded: content & 0x7FFF_FFFF)
    }

    /// Where records go that name no partition and have no key: the same each time.
    var spread: UInt32 { UInt32(truncatingIfNeeded: self.producerID) }
}
