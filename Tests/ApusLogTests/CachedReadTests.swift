import ApusCore
import ApusFakes
import NIOCore
import Testing

@testable import ApusLog

/// Reads of what the page cache has, done without waiting.
@Suite struct CachedReadTests {
    /// Three segments of 14 batches of 1 KiB, and an active one.
    private func make() -> (rig: LogRig, batches: [ByteBuffer]) {
        let rig = LogRig(LogConfiguration(segmentBytes: .kibibytes(16), indexIntervalBytes: .bytes(1000)))
        var batches: [ByteBuffer] = []
        for _ in 0..<54 {
            batches.append(rig.append(payload: 1064))
            rig.drain()
        }
        return (rig, batches)
    }

    private func read(_ rig: LogRig, from: Offset, upTo limit: ByteCount = .kibibytes(64)) throws -> LogRead {
        try #require(try rig.log.read(from: from, below: rig.log.endOffset, upTo: limit))
    }

    @Test("what is read from the cache is what is read from the disk", arguments: [Offset(rawValue: 0), 14, 28, 42])
    func same(base: Offset) throws {
        let (rig, batches) = self.make()
        let read = try self.read(rig, from: base)
        let cached = try #require(read.runCached(on: rig.disk))
        #expect(try cached == read.run(on: rig.disk))
        let first = Int(base.rawValue)
        #expect(cached.batches == Array(batches[first..<min(first + 14, 54)]))
    }

    @Test("a reader that goes on is served from the cache; one that begins anywhere searches first")
    func goesOn() throws {
        let (rig, batches) = self.make()
        let anywhere = try self.read(rig, from: 5, upTo: .bytes(2500))
        #expect(anywhere.runCached(on: rig.disk) == nil)
        #expect(try rig.run(anywhere).batches == Array(batches[5..<7]))
        let next = try self.read(rig, from: 7, upTo: .bytes(2500))
        #expect(next.runCached(on: rig.disk)?.batches == Array(batches[7..<9]))
    }

    @Test("a read that ends with its segment says where to go on, and only then")
    func continuation() throws {
        let (rig, batches) = self.make()
        #expect(try rig.run(self.read(rig, from: 3, upTo: .bytes(2500))).continuation == nil)
        var next: Offset? = 0
        var found: [ByteBuffer] = []
        while let from = next {
            let result = try rig.run(self.read(rig, from: from))
            found += result.batches
            next = result.continuation
        }
        #expect(found == batches)
    }

    @Test("a damaged batch is not served from the cache: the read that may wait names it", arguments: [0, 3])
    func damaged(batch: Int) throws {
        let (rig, batches) = self.make()
        rig.disk.damage(LogRig.segment(14), at: 64 + batch * (batches[14].readableBytes + Seal.byteCount) + 300) {
            $0 ^= 1
        }
        let read = try self.read(rig, from: 14)
        let cached = read.runCached(on: rig.disk)
        if batch == 0 {
            #expect(cached == nil)
            #expect(throws: LogError.self) { try rig.run(read) }
        } else {
            #expect(cached?.batches == Array(batches[14..<17]))
            #expect(cached?.continuation == nil)
            let behind = try self.read(rig, from: 17)
            #expect(behind.runCached(on: rig.disk) == nil)
        }
    }
}
