/// Something that takes bytes from a stranger, and what must hold when it does.
struct FuzzTarget: Sendable {
    let name: String
    /// Whether memory follows the input's length, so that bytes for each byte say something. Decompression has a cap
    /// instead.
    let isProportional: Bool
    /// Heap bytes that may be held at once, for an input of so many bytes.
    let heapBytesMax: @Sendable (_ inputBytes: Int) -> Int
    /// Inputs to begin with, so that the fuzzer need not find the format by itself.
    let seeds: @Sendable () -> [[UInt8]]
    /// Must return for any bytes. A trap, a hang or a broken property is a finding.
    let run: @Sendable ([UInt8]) -> Void

    /// Shorter inputs, in bytes, say more about fixed costs than about proportions.
    static let telling = 256
    /// What any input may cost: buffers of the library below, errors, small arrays.
    static let heapBytesFixed = 16 << 10
    /// The bound of a decoder that keeps what it reads. Measured and printed; beyond it is a finding.
    static let heapBytesPerByteMax = 64

    static let proportional: @Sendable (Int) -> Int = { Self.heapBytesFixed + $0 * Self.heapBytesPerByteMax }

    static let all: [FuzzTarget] = [
        .requests, .responses, .frames, .batches, .segments, .indexes, .states, .compacted,
        .groupRecords, .groupHeartbeats, .groupRequests, .logins, .keys, .certificates, .accessRecords,
        .accessStore, .webSocket, .deflate, .operations, .binary, .cursors, .webRequests,
        .json, .http,
    ]
}
