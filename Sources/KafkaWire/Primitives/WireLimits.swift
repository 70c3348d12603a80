/// The bounds this module keeps whatever a peer sends. Bounds that depend on the server, such as the largest frame,
/// are parameters.
public enum WireLimits {
    /// Tagged fields in one section. Kafka's own messages have at most four.
    public static let taggedFieldsMax = 64
    /// Bytes of a frame when the caller names no limit: 8 MiB.
    public static let frameBytesMax = 8 << 20
    /// Bytes of a frame that is written: 256 MiB. Clients take a hundred million unless they are told otherwise.
    public static let frameBytesWrittenMax = 256 << 20
    /// Headers of one record that are decoded.
    public static let recordHeadersMax = 65_536
    /// Bytes a `records` field must have for the writer to share rather than copy it: 4 KiB.
    public static let sharedChunkBytesMin = 4 << 10
    /// Bytes one batch may decompress to when the caller names no cap: 64 MiB.
    public static let decompressedBytesMax = 64 << 20
    /// Base-2 logarithm of the largest zstd window: 2^23 = 8 MiB, what RFC 8878 asks every decoder to support.
    public static let zstdWindowLogMax: Int32 = 23
}
