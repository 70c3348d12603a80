import ApusCore
import NIOCore
import Testing

@testable import ApusClient

@Suite("Which partition a key goes to")
struct PartitioningTests {
    /// The vectors of Kafka's own test of its Java client, as signed 32-bit numbers.
    @Test(
        "murmur2 gives what the Java client gives",
        arguments: [
            ("21", -973_932_308), ("foobar", -790_332_482), ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971), ("abc", 479_470_107),
        ] as [(String, Int32)])
    func vectors(key: String, expected: Int32) {
        let hash = ByteBuffer(string: key).withUnsafeReadableBytes { Murmur2.hash($0) }
        #expect(Int32(bitPattern: hash) == expected)
    }

    @Test("the partition is the hash without its sign, modulo the number of partitions")
    func partition() {
        #expect(Murmur2.partition(of: ByteBuffer(string: "abc"), count: 1000) == 107)
        let positive = Int(UInt32(bitPattern: -973_932_308) & 0x7FFF_FFFF)
        #expect(Murmur2.partition(of: ByteBuffer(string: "21"), count: 7) == positive % 7)
        #expect(Murmur2.partition(of: ByteBuffer(), count: 1) == 0)
    }
}
