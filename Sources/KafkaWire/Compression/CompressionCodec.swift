public import NIOCore

/// How the records of a batch are compressed. The raw value is bits 0 to 2 of the batch attributes.
///
/// The formats are those Kafka's clients write: a gzip member (RFC 1952), snappy in the framing of the xerial library
/// or raw, an LZ4 frame, a zstd frame (RFC 8878).
public enum CompressionCodec: UInt8, Hashable, Sendable, CaseIterable {
    case none = 0
    case gzip = 1
    case snappy = 2
    case lz4 = 3
    case zstd = 4

    /// Kafka's name of the codec, as in `compression.type`.
    public var name: String {
        switch self {
        case .none: "none"
        case .gzip: "gzip"
        case .snappy: "snappy"
        case .lz4: "lz4"
        case .zstd: "zstd"
        }
    }

    public init?(name: String) {
        guard let codec = Self.allCases.first(where: { $0.name == name }) else { return nil }
        self = codec
    }

    /// The plain form of `input`.
    ///
    /// Memory follows the bytes that really come out, never a length that the input claims.
    /// - Parameter outputBytesMax: decompression stops once the output would pass it.
    /// - Throws: `.corruptCompression` also for bytes after the end of the stream, `.decompressedTooLarge`.
    public func decompress(_ input: ByteBuffer, outputBytesMax: Int) throws(WireError) -> ByteBuffer {
        var output = CappedOutput(codec: self, bytesMax: outputBytesMax, inputBytes: input.readableBytes)
        switch self {
        case .none:
            guard input.readableBytes <= outputBytesMax else {
                throw .decompressedTooLarge(self, limit: outputBytesMax)
            }
            return input
        case .gzip: try Gzip.decompress(input, into: &output)
        case .snappy: try Snappy.decompress(input, into: &output)
        case .lz4: try LZ4.decompress(input, into: &output)
        case .zstd: try Zstd.decompress(input, into: &output)
        }
        return output.buffer
    }

    /// Appends the compressed form of `input` to `output`.
    public func compress(_ input: ByteBuffer, into output: inout ByteBuffer) {
        switch self {
        case .none: output.writeImmutableBuffer(input)
        case .gzip: Gzip.compress(input, into: &output)
        case .snappy: Snappy.compress(input, into: &output)
        case .lz4: LZ4.compress(input, into: &output)
        case .zstd: Zstd.compress(input, into: &output)
        }
    }
}
