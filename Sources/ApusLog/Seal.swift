import ApusCore
import CApus
import NIOCore

/// The 8 bytes in front of every batch in a segment.
///
///     ┌─────┬─────────────────────────────┬──────────────────────────────────────────────────┐
///     │ tag │ bytes back to the job's     │ CRC-32C over the file's salt, the four bytes to  │
///     │ 8   │ first seal, in 256s, up; 24 │ the left, and the batch's first 21 bytes         │
///     └─────┴─────────────────────────────┴──────────────────────────────────────────────────┘
///
/// **Why it says where its job began.** A durable log starts to write a job only after the sync of the one before
/// succeeded. So a seal that holds proves that everything in front of *its job's start* was on the disk, and was
/// acknowledged. When recovery finds a bad record and, behind it, a seal whose job began behind it too, then the
/// record is not the torn end of the last write but damage, and must not be cut. (Alagappan and others, "Protocol-Aware
/// Recovery", FAST 2018, name the mistake.) Rounding is upward, which claims less.
package struct Seal: Hashable {
    package static let byteCount = 8
    /// The batch's bytes that the checksum covers: all that Kafka's CRC does not, and that CRC.
    static let coveredByteCount = 21
    private static let durableTag: UInt32 = 0xA5
    private static let pageCacheTag: UInt32 = 0x5A
    private static let distanceUnit = 256

    let mark: UInt32
    let checksum: UInt32

    /// - Parameter distance: bytes from the first seal of the job to this one.
    package static func mark(distance: Int, isDurable: Bool) -> UInt32 {
        let units = (distance + self.distanceUnit - 1) / self.distanceUnit
        precondition(units >= 0 && units < 1 << 24, "a job that does not fit into a segment")
        return (isDurable ? self.durableTag : self.pageCacheTag) << 24 | UInt32(units)
    }

    /// The part of every checksum of a file that does not change.
    package static func seed(salt: UInt64) -> UInt32 {
        withUnsafeBytes(of: salt.bigEndian) { capus_crc32c(0, $0.baseAddress, $0.count) }
    }

    /// - Parameter batch: starts with the batch; at least 21 bytes.
    /// Unsafe: two calls into C over memory borrowed for the call; a checked copy of 21 bytes for each batch would
    /// allocate.
    package static func checksum(seed: UInt32, mark: UInt32, batch: UnsafeRawBufferPointer) -> UInt32 {
        precondition(batch.count >= self.coveredByteCount)
        let marked = withUnsafeBytes(of: mark.bigEndian) { capus_crc32c(seed, $0.baseAddress, $0.count) }
        return capus_crc32c(marked, batch.baseAddress, self.coveredByteCount)
    }

    static func isMark(_ mark: UInt32) -> Bool {
        mark >> 24 == self.durableTag || mark >> 24 == self.pageCacheTag
    }

    /// Where the job began at the latest, when this seal stands at `position`; nil if the job was not to be synced.
    static func durableJobStart(mark: UInt32, at position: Int) -> Int? {
        guard mark >> 24 == self.durableTag else { return nil }
        return position - Int(mark & 0xFF_FFFF) * self.distanceUnit
    }

    /// Where the job began at the latest, synced or not.
    static func jobStart(mark: UInt32, at position: Int) -> Int {
        max(SegmentHeader.byteCount, position - Int(mark & 0xFF_FFFF) * self.distanceUnit)
    }
}
