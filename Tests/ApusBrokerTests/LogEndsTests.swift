import ApusCore
import ApusFakes
import ApusLog
import NIOCore
import Testing

@testable import ApusBroker

@Suite("Where the logs ended")
struct LogEndsTests {
    private static func id(_ topic: UInt64, _ partition: Int32) -> TopicPartition {
        TopicPartition(topic: TopicID(high: topic, low: 1), partition: PartitionIndex(rawValue: partition))
    }

    private static func ends(_ count: Int) -> [TopicPartition: Offset] {
        var ends: [TopicPartition: Offset] = [:]
        for index in 0..<count {
            // Above the sign bit too: ids are unsigned.
            let topic = UInt64(index) &* 0x9E37_79B9_7F4A_7C15
            ends[self.id(topic, Int32(index % 3))] = Offset(rawValue: Int64(index) + 1)
        }
        return ends
    }

    @Test("every end is found again, also from the bytes", arguments: [0, 1, 2, 3, 100])
    func roundTrip(count: Int) throws {
        let ends = Self.ends(count)
        let list = LogEnds().replacing(ends, life: Epoch(rawValue: 9), isClean: count % 2 == 0) { _, _ in true }
        let read = try #require(LogEnds(from: list.encoded()))
        #expect(
            read == list && read.count == count && read.life == Epoch(rawValue: 9) && read.isClean == (count % 2 == 0))
        for (id, end) in ends { #expect(read[id] == NotedEnd(end, in: read.life)) }
        #expect(read[Self.id(5, 5)] == nil)
    }

    @Test("later ends replace earlier ones, a zero and a partition that is gone take one out, the rest stays")
    func replacing() {
        let old = Self.ends(50)
        let list = LogEnds().replacing(old, life: Epoch(rawValue: 1), isClean: true) { _, _ in true }
        let ids = old.keys.sorted()
        let new = [ids[0]: Offset(rawValue: 1000), ids[7]: .zero, Self.id(3, 1): Offset(rawValue: 5)]
        let next = list.replacing(new, life: Epoch(rawValue: 2), isClean: true) { id, _ in id != ids[9] }
        #expect(next.count == 49 && next.life == Epoch(rawValue: 2))
        for (index, id) in ids.enumerated() {
            let expected = index == 0 ? Offset(rawValue: 1000) : index == 7 || index == 9 ? nil : old[id]
            let life = Epoch(rawValue: index == 0 ? 2 : 1)
            #expect(next[id] == expected.map { NotedEnd($0, in: life) })
        }
        #expect(next[Self.id(3, 1)]?.end == Offset(rawValue: 5))
    }

    @Test("a list with any one bit flipped, cut short anywhere or longer is no list")
    func damaged() {
        let whole = LogEnds().replacing(Self.ends(3), life: Epoch(rawValue: 4), isClean: true) { _, _ in true }
            .encoded()
        for bit in 0..<whole.readableBytes * 8 {
            var bytes = Array(whole.readableBytesView)
            bytes[bit / 8] ^= UInt8(1 << (bit % 8))
            #expect(LogEnds(from: ByteBuffer(bytes: bytes)) == nil)
        }
        for length in 0..<whole.readableBytes {
            #expect(LogEnds(from: whole.getSlice(at: 0, length: length) ?? ByteBuffer()) == nil)
        }
        #expect(LogEnds(from: ByteBuffer(bytes: Array(whole.readableBytesView) + [0])) == nil)
    }

    @Test("an end that no log can have is no end")
    func beyondAll() {
        for end in [Offset.storedMax.next, Offset(rawValue: .max), Offset(rawValue: -1)] {
            let list = LogEnds().replacing([Self.id(1, 0): end], life: .zero, isClean: true) { _, _ in true }
            #expect(LogEnds(from: list.encoded()).map { $0.count } ?? 0 == 0)
        }
    }

    // MARK: Through the lives of a broker

    private final class Lives {
        let disk = SimulatedDisk()
        let store = FakeCoordinatorStore()
        var isAuditing = false
        var ends = LogEnds(isClean: true)
        var number: Int32 = 0

        func begin() throws -> TestBroker {
            self.number += 1
            return try TestBroker(
                disk: self.disk, store: self.store, incarnation: self.number, wasClean: self.ends.isClean
            ) {
                $0.ends = self.ends
                $0.isAuditing = self.isAuditing
            }
        }

        func live(_ body: (TestBroker) throws -> Void) throws {
            let world = try self.begin()
            try body(world)
            self.ends = try world.closeForEnds()
        }

        /// A life that ends with a power cut: what it knew of ends is not told.
        func crash(seed: UInt64, _ body: (TestBroker) throws -> Void) throws {
            try body(try self.begin())
            self.disk.crash(seed: seed)
            self.ends = self.ends.unclean
        }

        func erase(_ topic: Topic, _ partition: Int32 = 0) throws {
            let directory = LogIdentity(Self.id(topic, partition)).directory
            for name in try self.disk.list(directory) { self.disk.erase(directory.appending(name)) }
        }

        static func id(_ topic: Topic, _ partition: Int32) -> TopicPartition {
            TopicPartition(topic: topic.id, partition: PartitionIndex(rawValue: partition))
        }
    }

    @Test("records that vanish between two lives are missed, and their offsets are not given again")
    func vanished() throws {
        let lives = Lives()
        var topics: [Topic] = []
        try lives.live { world in
            for name in ["a", "b"] {
                topics.append(try world.create(name))
                _ = try world.produce(name, Batch.of(["one", "two"]))
            }
        }
        #expect(topics.map { lives.ends[Lives.id($0, 0)]?.end } == [Offset(rawValue: 2), Offset(rawValue: 2)])
        // A life that does not touch them hands the ends on.
        try lives.live { _ in }
        try lives.live { world in
            let values = try world.values("b")
            #expect(values == ["one", "two"])
        }
        try lives.erase(topics[0])
        for _ in 0..<3 {
            try lives.live { world in
                let error = try world.produce("a", Batch.of(["again"])).error
                guard case .storage(let reason)? = error else {
                    return #expect(Bool(false), "\(String(describing: error))")
                }
                #expect(reason.contains("\(topics[0].id)/0") && reason.contains("known-end"))
                #expect(try world.fetch("a", from: 0).error != nil)
            }
            // One bad log does not keep the others from being vouched for.
            #expect(lives.ends[Lives.id(topics[1], 0)]?.end == Offset(rawValue: 2))
        }
        // After a crash as well.
        try lives.crash(seed: 1) { _ in }
        try lives.live { world in
            let error = try world.produce("a", Batch.of(["again"])).error
            #expect(error != nil)
        }
    }

    @Test("a partition that was closed while nobody used it is missed in the same life")
    func idle() throws {
        let lives = Lives()
        let world = try lives.begin()
        let topic = try world.create("a")
        _ = try world.produce("a", Batch.of(["one"]))
        world.passSeconds(400)
        try lives.erase(topic)
        #expect(try world.produce("a", Batch.of(["again"])).error != nil)
    }

    @Test("a topic that is deleted and made anew with its old id begins at zero")
    func madeAnew() throws {
        let lives = Lives()
        var id: TopicID?
        try lives.live { world in
            id = try world.create("a").id
            _ = try world.produce("a", Batch.of(["one"]))
        }
        try lives.live { world in
            _ = world.delete(["a"])
            try world.create("a", id: id)
            #expect(try world.produce("a", Batch.of(["new"])).baseOffset == .zero)
            #expect(try world.values("a") == ["new"])
        }
        #expect(lives.ends.count == 1)
        try lives.live { _ = $0.delete(["a"]) }
        #expect(lives.ends.count == 0)
    }

    @Test("a life after a crash raises no alarm, and tells the ends only when it has looked at every log")
    func crash() throws {
        let lives = Lives()
        try lives.crash(seed: 2) { world in
            try world.create("a", partitions: 2)
            for partition in [Int32(0), 1] { _ = try world.produce("a", Batch.of(["one"]), partition: partition) }
        }
        try lives.live { world in
            let values = try world.values("a")
            #expect(values == ["one"])
        }
        // One of the two was looked at, and not vouching for the other one keeps nobody from telling its end.
        #expect(!lives.ends.isClean && lives.ends.count == 1)
        try lives.live { $0.passSeconds(5) }
        #expect(lives.ends.isClean && lives.ends.count == 2)
    }

    @Test("what was there at the last orderly stop is missed after any number of crashes, also by a log nobody opened")
    func missedAfterCrashes() throws {
        let lives = Lives()
        var topics: [Topic] = []
        try lives.live { world in
            for name in ["a", "b", "c"] {
                topics.append(try world.create(name))
                _ = try world.produce(name, Batch.of(["one", "two"]))
            }
        }
        for seed in UInt64(1)...3 {
            try lives.crash(seed: seed) { world in
                // Others go on; this one stays as it was.
                let error = try world.produce("b", Batch.of(["more"])).error
                #expect(error == nil)
            }
        }
        for topic in topics { try lives.erase(topic) }
        for round in 0..<4 {
            let body: (TestBroker) throws -> Void = { world in
                for topic in topics {
                    let error = try world.produce(topic.name, Batch.of(["again"])).error
                    #expect(error != nil)
                }
            }
            if round % 2 == 0 { try lives.crash(seed: UInt64(round), body) } else { try lives.live(body) }
        }
    }

    @Test("the last batch below the last orderly stop, damaged before a crash or after it, is named and never cut")
    func damagedBelow() throws {
        for isCrashFirst in [false, true] {
            let lives = Lives()
            var topic: Topic?
            try lives.live { world in
                topic = try world.create("a")
                _ = try world.produce("a", Batch.of(["one"]))
                _ = try world.produce("a", Batch.of(["two"]))
            }
            if isCrashFirst { try lives.crash(seed: 4) { _ in } }
            let directory = LogIdentity(Lives.id(try #require(topic), 0)).directory
            let name = try #require(try lives.disk.list(directory).first { $0.hasSuffix(".segment") })
            let file = directory.appending(name)
            let length = try #require(lives.disk.contents(of: file)).readableBytesView.lastIndex { $0 != 0 } ?? 0
            lives.disk.damage(file, at: length) { $0 ^= 1 }
            for round in 0..<4 {
                let body: (TestBroker) throws -> Void = { world in
                    let errors = try [0, 1].map { try world.fetch("a", from: $0).error }
                    #expect(errors[0] == nil && errors[1] != nil)
                }
                if round % 2 == 0 { try lives.crash(seed: UInt64(round), body) } else { try lives.live(body) }
            }
        }
    }

    @Test("a topic made anew with its old id raises no alarm after a crash, whatever its namesake had")
    func madeAnewThenCrash() throws {
        for isClean in [true, false] {
            let lives = Lives()
            var id: TopicID?
            try lives.live { world in
                id = try world.create("a").id
                _ = try world.produce("a", Batch.of(["one", "two", "three"]))
            }
            if !isClean { try lives.crash(seed: 1) { _ in } }
            try lives.crash(seed: 2) { world in
                _ = world.delete(["a"])
                try world.create("a", id: id)
                let first = try world.produce("a", Batch.of(["new"])).baseOffset
                #expect(first == .zero)
            }
            // A start that ends in order and did not look at it must not take the old end for its own.
            try lives.live { _ in }
            try lives.crash(seed: 3) { world in
                let values = try world.values("a")
                let next = try world.produce("a", Batch.of(["newer"])).baseOffset
                #expect(values == ["new"] && next == Offset(rawValue: 1))
            }
            try lives.live { world in
                let values = try world.values("a")
                #expect(values == ["new", "newer"])
                world.passSeconds(5)
            }
            let known = lives.ends[TopicPartition(topic: try #require(id), partition: PartitionIndex(rawValue: 0))]?.end
            #expect(known == Offset(rawValue: 2))
        }
    }

    /// Two records of "a", in two batches, from an orderly life.
    private func twoBatches(_ lives: Lives) throws -> (directory: DiskPath, segment: DiskPath) {
        var topic: Topic?
        try lives.live { world in
            topic = try world.create("a")
            for value in ["one", "two"] { _ = try world.produce("a", Batch.of([value])) }
        }
        let directory = LogIdentity(Lives.id(try #require(topic), 0)).directory
        let name = try #require(try lives.disk.list(directory).first { $0.hasSuffix(".segment") })
        return (directory, directory.appending(name))
    }

    @Test("a copy that is too old, put in the place of the whole directory, is noticed as well")
    func oldCopy() throws {
        let lives = Lives()
        let (directory, segment) = try self.twoBatches(lives)
        let whole = try #require(lives.disk.contents(of: segment))
        let second = try #require(self.secondBatch(in: whole))
        let old = try #require(whole.getSlice(at: 0, length: second))
        for name in try lives.disk.list(directory) { lives.disk.erase(directory.appending(name)) }
        for round in 0..<4 {
            try lives.live { world in
                let error = try world.produce("a", Batch.of(["again"])).error
                #expect(error != nil)
            }
            for name in try lives.disk.list(directory) { lives.disk.erase(directory.appending(name)) }
            if round > 0 { lives.disk.replace(segment, with: old) }
        }
        lives.disk.replace(segment, with: whole)
        try lives.live { world in
            let values = try world.values("a")
            let next = try world.produce("a", Batch.of(["three"])).baseOffset
            #expect(values == ["one", "two"] && next == Offset(rawValue: 2))
        }
    }

    private func secondBatch(in segment: ByteBuffer) -> Int? {
        segment.getInteger(at: 64 + 8 + 8, as: Int32.self).map { 64 + 8 + 12 + Int($0) }
    }

    @Test("a loss that was accepted does not come back, however the lives after it end")
    func acceptedForGood() throws {
        let lives = Lives()
        lives.isAuditing = true
        let (directory, segment) = try self.twoBatches(lives)
        let whole = try #require(lives.disk.contents(of: segment))
        let second = try #require(self.secondBatch(in: whole))
        lives.disk.replace(segment, with: try #require(whole.getSlice(at: 0, length: second)))
        try lives.crash(seed: 1) { world in
            let error = try world.produce("a", Batch.of(["again"])).error
            #expect(error != nil)
        }
        // An orderly life that does not look at it keeps the old end.
        try lives.live { _ in }
        try lives.disk.rename(directory.appending("known-end"), to: directory.appending("accept-loss"))
        try lives.disk.syncDirectory(directory)
        var count = 1
        for round in 0..<6 {
            let body: (TestBroker) throws -> Void = { world in
                let offset = try world.produce("a", Batch.of(["more"])).baseOffset
                #expect(offset == Offset(rawValue: Int64(count)))
                count += 1
            }
            if round % 3 == 2 { try lives.live(body) } else { try lives.crash(seed: UInt64(round), body) }
            if round % 2 == 0 { try lives.live { _ in } }
        }
        try lives.live { world in
            let told = try world.values(InternalTopic.audit)
            #expect(told.count == 1)
            #expect(told.last?.contains(#""principal":"Machine:operator""#) == true)
            #expect(told.last?.contains(#""action":"loss.accept","resource":"a-0 ("#) == true)
            #expect(told.last?.contains(#"): ends at 1 from now on","outcome":"ok""#) == true)
        }
        // And what is lost from then on is noticed again.
        lives.disk.erase(segment)
        try lives.live { world in
            let error = try world.produce("a", Batch.of(["again"])).error
            #expect(error != nil)
        }
    }
}
