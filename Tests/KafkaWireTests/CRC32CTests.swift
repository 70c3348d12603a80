import CApus
import Testing

@Suite("CRC-32C")
struct CRC32CTests {
    /// RFC 3720, appendix B.4, and the check value every catalogue of CRCs gives.
    static let vectors: [(bytes: [UInt8], crc: UInt32)] = [
        (Array("123456789".utf8), 0xE306_9283),
        ([], 0),
        ([UInt8](repeating: 0, count: 32), 0x8A91_36AA),
        ([UInt8](repeating: 0xFF, count: 32), 0x62A8_AB43),
        (Array(0..<32), 0x46DD_794E),
        (Array((0..<32).reversed()), 0x113F_DB5C),
        (
            [
                0x01, 0xC0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x14, 0, 0, 0, 0, 0, 0x04, 0,
                0, 0, 0, 0x14, 0, 0, 0, 0x18, 0x28, 0, 0, 0, 0, 0, 0, 0, 0x02, 0, 0, 0, 0, 0, 0, 0,
            ], 0xD996_3A56
        ),
    ]

    @Test("the published vectors, by the processor's instructions and without", arguments: Self.vectors)
    func published(bytes: [UInt8], crc: UInt32) {
        #expect(capus_crc32c(0, bytes, bytes.count) == crc)
        #expect(capus_crc32c_portable(0, bytes, bytes.count) == crc)
    }

    @Test("both ways agree at every length, start and cut", arguments: 0..<4 as Range<UInt64>)
    func waysAgree(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let bytes = (0..<20_000).map { _ in UInt8.random(in: 0...255, using: &generator) }
        bytes.withUnsafeBytes { bytes in
            // Lengths around the sizes at which the hardware path changes its stride.
            let lengths = Array(0...70) + [767, 768, 769, 1535, 1536, 6143, 6144, 6145, 6920, 12_288, 19_000]
            for length in lengths {
                let start = Int.random(in: 0...(bytes.count - length), using: &generator)
                let cut = Int.random(in: 0...length, using: &generator)
                let base = bytes.baseAddress?.advanced(by: start)
                let whole = capus_crc32c(0, base, length)
                #expect(whole == capus_crc32c_portable(0, base, length))
                let first = capus_crc32c(0, base, cut)
                #expect(capus_crc32c(first, base?.advanced(by: cut), length - cut) == whole)
            }
        }
    }

    #if arch(x86_64) || arch(arm64)
    @Test("the processor's instructions are used where we measure")
    func hardware() { #expect(capus_crc32c_is_hardware() == 1) }
    #endif
}
