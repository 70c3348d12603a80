import ApusCore
import ApusFakes
import NIOCore
import Testing

@testable import WebFormats

@Suite("Resuming with cursors")
struct ResumptionTests {
    private func offset(_ value: Int64) -> Offset { Offset(rawValue: value) }

    private func partition(_ index: Int) -> PartitionIndex { PartitionIndex(rawValue: Int32(index)) }

    private func kept(_ start: Int64, _ end: Int64) -> KeptRange {
        KeptRange(start: self.offset(start), end: self.offset(end))
    }

    @Test("a client goes on at the offsets of its cursor and the steps since, in whatever order these come")
    func steps() throws {
        let whole = EdgeCursor.whole([self.offset(10), self.offset(20)])
        let early = EdgeCursor.step(self.partition(1), since: self.offset(20), next: self.offset(25))
        let late = EdgeCursor.step(self.partition(1), since: self.offset(15), next: self.offset(31))
        for cursors in [[whole, early, late], [whole, late, early], [late, whole], [early, late, whole, late]] {
            let resumption = try Resumption(cursors, kept: [self.kept(0, 100), self.kept(20, 100)], partition: nil)
            #expect(resumption.starts == [self.partition(0): self.offset(10), self.partition(1): self.offset(31)])
            #expect(resumption.isRecovered)
        }
    }

    @Test("what retention has taken is named, exactly")
    func expired() throws {
        let resumption = try Resumption(
            [.whole([self.offset(10), self.offset(20), self.offset(0)])],
            kept: [self.kept(15, 100), self.kept(20, 20), self.kept(0, 0)], partition: nil
        )
        #expect(
            resumption.starts == [
                self.partition(0): self.offset(15), self.partition(1): self.offset(20),
                self.partition(2): self.offset(0),
            ])
        #expect(resumption.gaps == [.expired(self.partition(0), from: self.offset(10), to: self.offset(15))])
        #expect(!resumption.isRecovered)
    }

    @Test("a partition that ends before the cursor says so")
    func beyondEnd() throws {
        let resumption = try Resumption([.whole([self.offset(50)])], kept: [self.kept(0, 40)], partition: nil)
        #expect(resumption.starts == [self.partition(0): self.offset(40)])
        #expect(resumption.gaps == [.beyondEnd(self.partition(0), position: self.offset(50), end: self.offset(40))])
    }

    @Test("partitions that were added since are read from their beginning")
    func added() throws {
        let kept = [self.kept(0, 100), self.kept(0, 7), self.kept(3, 9)]
        let step = EdgeCursor.step(self.partition(1), since: .zero, next: self.offset(4))
        let resumption = try Resumption([.whole([self.offset(10)]), step], kept: kept, partition: nil)
        #expect(
            resumption.starts == [
                self.partition(0): self.offset(10), self.partition(1): self.offset(4),
                self.partition(2): self.offset(3),
            ])
        #expect(resumption.gaps == [.expired(self.partition(2), from: .zero, to: self.offset(3))])
    }

    @Test("a key's channel goes on in its partition, and in the one it was in before partitions were added")
    func single() throws {
        let kept = [self.kept(0, 100), self.kept(0, 100), self.kept(0, 100)]
        let cursor = EdgeCursor.single(self.partition(1), next: self.offset(30))
        let same = try Resumption([cursor], kept: kept, partition: self.partition(1))
        #expect(same.starts == [self.partition(1): self.offset(30)])
        let moved = try Resumption([cursor], kept: kept, partition: self.partition(2))
        #expect(moved.starts == [self.partition(1): self.offset(30), self.partition(2): .zero])
    }

    @Test("cursors that do not belong together are refused by name")
    func refused() {
        let kept = [self.kept(0, 100)]
        let whole = EdgeCursor.whole([self.offset(10)])
        let step = EdgeCursor.step(self.partition(0), since: self.offset(11), next: self.offset(12))
        #expect(throws: CursorError.noWholeCursor) { try Resumption([], kept: kept, partition: nil) }
        #expect(throws: CursorError.noWholeCursor) { try Resumption([step], kept: kept, partition: nil) }
        #expect(throws: CursorError.noWholeCursor) { try Resumption([whole, whole], kept: kept, partition: nil) }
        #expect(throws: CursorError.stepMissing(self.partition(0))) {
            try Resumption([whole, step], kept: kept, partition: nil)
        }
        let wide = EdgeCursor.whole([self.offset(1), self.offset(1)])
        #expect(throws: CursorError.unknownPartitions) { try Resumption([wide], kept: kept, partition: nil) }
        #expect(CursorError.unknownPartitions.isRetryable)
    }

    /// A channel that pushes, cut off anywhere: with all that a client may keep it goes on exactly; with the last
    /// `cursor` alone it goes on at or before what it saw, never behind it.
    @Test("a client that is cut off anywhere misses nothing", arguments: 0..<40 as Range<UInt64>)
    func cutAnywhere(seed: UInt64) throws {
        var generator = SplitMix64(seed: seed)
        let partitions = 1 + generator.below(40)
        let seal = CursorSeal(
            keys: CursorKeys(current: Array(repeating: 1, count: 32)), topic: TopicID(high: 3, low: 4),
            selection: .everything)
        var cadence = CursorCadence()
        var hub = (0..<partitions).map { _ in Offset(rawValue: Int64(generator.below(1000))) }
        var base = hub
        var kept: (cursor: SealedCursor, steps: [PartitionIndex: SealedCursor]) = (
            SealedCursor(.whole(hub), by: seal), [:]
        )
        for _ in 0..<generator.below(300) {
            let index = generator.below(partitions)
            hub[index] = hub[index].advanced(by: Int64(1 + generator.below(9)))
            if cadence.isWhole(pushing: .bytes(1 + generator.below(200)), partitions: partitions) {
                base = hub
                kept = (SealedCursor(.whole(hub), by: seal), [:])
            } else {
                let step = EdgeCursor.step(self.partition(index), since: base[index], next: hub[index])
                kept.steps[self.partition(index)] = SealedCursor(step, by: seal)
            }
        }
        let ranges = hub.map { self.kept(0, $0.rawValue + 5) }
        let texts = [kept.cursor.text] + kept.steps.values.map(\.text)
        let exact = try Resumption(try texts.map { try seal.cursor(in: $0) }, kept: ranges, partition: nil)
        let naive = try Resumption([try seal.cursor(in: kept.cursor.text)], kept: ranges, partition: nil)
        for index in hub.indices {
            #expect(exact.starts[self.partition(index)] == hub[index])
            #expect(try #require(naive.starts[self.partition(index)]) <= hub[index])
        }
        #expect(kept.cursor.isStep == false && kept.steps.values.allSatisfy(\.isStep))
    }
}
