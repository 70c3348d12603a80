import ApusCore
import NIOCore
import Testing

@testable import ApusBroker

@Suite("The tail cache")
struct TailCacheTests {
    private func fill(
        _ cache: inout TailCache, _ ring: TailRing, _ offsets: Range<Int64>, bytes: Int = 100
    ) {
        for offset in offsets {
            cache.append(
                ByteBuffer(repeating: UInt8(truncatingIfNeeded: offset), count: bytes), base: Offset(rawValue: offset),
                end: Offset(rawValue: offset + 1), to: ring
            )
        }
    }

    private func read(_ ring: TailRing, _ from: Int64, below: Int64, upTo: Int = 10_000) -> [UInt8]? {
        ring.read(from: Offset(rawValue: from), below: Offset(rawValue: below), upTo: .bytes(upTo))?
            .compactMap { $0.getInteger(at: 0, as: UInt8.self) }
    }

    @Test("reads whole batches from where it is asked, below the bound, within the bytes")
    func reads() {
        var cache = TailCache(limit: .kibibytes(64))
        let ring = TailRing()
        self.fill(&cache, ring, 5..<10)
        #expect(self.read(ring, 5, below: 10) == [5, 6, 7, 8, 9])
        #expect(self.read(ring, 7, below: 9) == [7, 8])
        #expect(self.read(ring, 6, below: 10, upTo: 250) == [6, 7])
        #expect(self.read(ring, 6, below: 10, upTo: 1) == [6])
        #expect(self.read(ring, 10, below: 10) == [])
        #expect(self.read(ring, 4, below: 10) == nil)
    }

    @Test("over its budget the oldest batch of all partitions leaves first, and never from the middle")
    func evicts() {
        var cache = TailCache(limit: .bytes(2600))
        let (one, two) = (TailRing(), TailRing())
        self.fill(&cache, one, 0..<5)
        self.fill(&cache, two, 0..<5)
        #expect(self.read(one, 0, below: 5) == [0, 1, 2, 3, 4])
        self.fill(&cache, two, 5..<8)
        #expect(self.read(one, 2, below: 5) == nil)
        #expect(self.read(one, 3, below: 5) == [3, 4])
        #expect(self.read(two, 0, below: 8) == [0, 1, 2, 3, 4, 5, 6, 7])
        #expect(cache.byteCount <= .bytes(2600))
    }

    @Test("a batch larger than the budget leaves no gap behind it")
    func large() {
        var cache = TailCache(limit: .bytes(1000))
        let ring = TailRing()
        self.fill(&cache, ring, 0..<2)
        self.fill(&cache, ring, 2..<3, bytes: 2000)
        self.fill(&cache, ring, 3..<5)
        #expect(self.read(ring, 0, below: 5) == nil)
        #expect(self.read(ring, 2, below: 5) == nil)
        #expect(self.read(ring, 3, below: 5) == [3, 4])
    }

    @Test("what the log took back is not read again")
    func withdraws() {
        var cache = TailCache(limit: .kibibytes(64))
        let ring = TailRing()
        self.fill(&cache, ring, 0..<5)
        cache.withdraw(from: Offset(rawValue: 3), of: ring)
        self.fill(&cache, ring, 3..<4, bytes: 50)
        #expect(self.read(ring, 0, below: 5) == [0, 1, 2, 3])
        cache.removeAll(of: ring)
        #expect(self.read(ring, 0, below: 5) == nil)
        #expect(cache.byteCount == .zero)
    }

    @Test("a small slice of a large frame is copied, a large one is kept")
    func detaches() throws {
        let frame = ByteBuffer(repeating: 7, count: 100_000)
        let small = try #require(frame.getSlice(at: 10, length: 100))
        let large = try #require(frame.getSlice(at: 10, length: 50_000))
        #expect(small.detached().storageCapacity < 1000)
        #expect(small.detached() == small)
        #expect(large.detached().storageCapacity >= 100_000)
    }
}
