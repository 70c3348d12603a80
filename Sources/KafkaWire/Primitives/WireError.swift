/// Why bytes of a peer, or of a disk, are not what the protocol says they must be.
///
/// Every decoder of this module is total: whatever the bytes are, the result is a value or one of these.
/// Positions count bytes from the start of what was being read.
public enum WireError: Error, Hashable, Sendable {
    // Primitive values.
    /// Fewer bytes are left than the value takes.
    case truncated(at: Int, needed: Int, remaining: Int)
    /// A length or count that is negative where null is not allowed, or below −1.
    case negativeLength(at: Int, length: Int)
    /// A count of elements that cannot fit into the bytes that are left.
    case countTooLarge(at: Int, count: Int, remaining: Int)
    /// A variable-length integer that does not end, or does not fit its type.
    case varintTooLong(at: Int)
    /// A string that is not UTF-8.
    case invalidUTF8(at: Int)
    /// Null where this version of the message does not allow it.
    case unexpectedNull(at: Int)
    /// More tagged fields in one section than `WireLimits.taggedFieldsMax`.
    case tooManyTaggedFields(at: Int, count: Int)
    /// Tags of one section must strictly ascend.
    case taggedFieldsOutOfOrder(at: Int, tag: Int)
    /// A tagged field whose value does not end where its length says.
    case taggedFieldLength(at: Int, tag: Int)
    /// Bytes are left after the end of the message.
    case trailingBytes(at: Int, count: Int)

    // Frames and headers.
    /// A frame length that is negative, or too small for a header.
    case frameTooSmall(length: Int)
    /// A frame length over the limit of the connection.
    case frameTooLarge(length: Int, limit: Int)
    /// An API key this module does not know.
    case unknownAPI(key: Int16)
    /// A version of a known API that this module does not know.
    case unsupportedVersion(api: ApiKey, version: Int16)
    /// A value that the asked version of a message cannot carry.
    case notInVersion(field: String, version: Int16)

    // Record batches.
    /// A batch of the message formats before Kafka 0.11, or of a later one.
    case unsupportedMagic(Int8)
    /// A batch header that contradicts itself.
    case batchHeader(BatchFault)
    /// The CRC-32C of the batch is not that of its bytes.
    case batchCRC(stored: UInt32, computed: UInt32)
    /// Record `index` of a batch (0 is the first) is malformed.
    case record(index: Int, RecordFault)

    // Compression.
    /// Attribute bits that name no codec.
    case unknownCodec(UInt8)
    /// The compressed bytes are not what their format says, go on after its end, or need a larger window than we give.
    case corruptCompression(CompressionCodec)
    /// Decompression stopped because its output passed the cap.
    case decompressedTooLarge(CompressionCodec, limit: Int)

    /// What contradicts itself in a batch header.
    public enum BatchFault: Error, Hashable, Sendable {
        /// `batchLength` is below the 49 bytes that the rest of the header takes.
        case lengthTooSmall(Int32)
        /// Base offset below 0, last offset delta below 0, or a last offset past the largest offset.
        case offsets
        /// A record count below 0, or larger than the batch's bytes can hold.
        case recordCount(Int32)
    }

    /// What is wrong with one record.
    public enum RecordFault: Error, Hashable, Sendable {
        /// It ends before, or goes on after, the length in front of it; or a varint in it is malformed.
        case length
        /// A key, value or header length is below −1, or a header key is null.
        case negativeLength
        /// The number of headers is negative or cannot fit.
        case headerCount
        /// Its offset delta lies outside 0 … last offset delta, or does not ascend.
        case offsetDelta
        /// The batch ends before its count of records, or goes on after it.
        case count
    }
}
