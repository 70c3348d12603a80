import ApusCore
import ApusFakes
import KafkaWire
import NIOCore
import Testing

@testable import ApusLog

@Suite struct ProducerStatesTests {
    private let rig = LogRig()

    private func header(_ sequence: Int32, records: Int = 1, epoch: Int16 = 0, id: Int64 = 1) -> RecordBatchHeader {
        self.rig.batch(records: records, producer: .init(id: id, epoch: epoch, sequence: sequence)).header
    }

    private func append(_ sequence: Int32, records: Int = 1, epoch: Int16 = 0, id: Int64 = 1) throws {
        #expect(try self.rig.log.verdict(on: self.header(sequence, records: records, epoch: epoch, id: id)) == .append)
        self.rig.append(records: records, producer: .init(id: id, epoch: epoch, sequence: sequence))
    }

    @Test("a batch sent again, one of the last five, is answered with its first offset, also after a restart")
    func duplicates() throws {
        for number in 0..<7 {
            try self.append(Int32(number * 2), records: 2)
            self.rig.drain()
        }
        for _ in 0..<2 {
            for number in 2..<7 {
                let verdict = try self.rig.log.verdict(on: self.header(Int32(number * 2), records: 2))
                let base = Offset(rawValue: Int64(number * 2))
                #expect(verdict == .duplicate(baseOffset: base, lastOffset: base.next, timestamp: .none))
            }
            #expect(throws: ProducerError.outOfOrder(sent: 0, expected: 14)) {
                try self.rig.log.verdict(on: self.header(0, records: 2))
            }
            try self.rig.open()
        }
    }

    @Test("a gap is refused, and so is part of a batch that was sent whole")
    func gaps() throws {
        try self.append(0, records: 3)
        #expect(throws: ProducerError.outOfOrder(sent: 4, expected: 3)) { try self.rig.log.verdict(on: self.header(4)) }
        #expect(throws: ProducerError.outOfOrder(sent: 0, expected: 3)) {
            try self.rig.log.verdict(on: self.header(0, records: 2))
        }
        try self.append(3)
    }

    @Test("sequences go on at 0 after the largest, also inside a batch")
    func wrap() throws {
        try self.append(.max - 1)
        try self.append(.max, records: 3)
        try self.append(2)
        #expect(throws: ProducerError.outOfOrder(sent: 9, expected: 3)) { try self.rig.log.verdict(on: self.header(9)) }
    }

    @Test("an older epoch is refused, a newer one starts at 0")
    func epochs() throws {
        try self.append(0, epoch: 3)
        #expect(throws: ProducerError.invalidEpoch(sent: 2, current: 3)) {
            try self.rig.log.verdict(on: self.header(1, epoch: 2))
        }
        #expect(throws: ProducerError.outOfOrder(sent: 1, expected: 0)) {
            try self.rig.log.verdict(on: self.header(1, epoch: 4))
        }
        try self.append(0, epoch: 4)
        try self.append(1, epoch: 4)
    }

    @Test("a producer nobody knows may begin anywhere; one without an id is never looked up")
    func unknown() throws {
        try self.append(1234)
        #expect(try self.rig.log.verdict(on: self.rig.batch().header) == .append)
    }

    @Test("producers that are silent for a day are forgotten; of too many, those that wrote least recently")
    func forgotten() throws {
        for id in 0..<Int64(Limits.producersPerPartitionMax) {
            self.rig.append(producer: .init(id: id, epoch: 0, sequence: 0))
        }
        #expect(self.rig.log.producers.count == Limits.producersPerPartitionMax)
        self.rig.append(producer: .init(id: 1_000_000, epoch: 0, sequence: 0))
        #expect(self.rig.log.producers.count <= Limits.producersPerPartitionMax)
        #expect(self.rig.log.producers.sorted.first?.id == Int64(Limits.producersPerPartitionMax / 10))
        #expect(self.rig.log.producers.sorted.last?.id == 1_000_000)
        self.rig.log.expireProducers(wall: Timestamp(rawValue: self.rig.wall.rawValue + 24 * 3_600_000))
        #expect(self.rig.log.producers.count > 0)
        self.rig.log.expireProducers(wall: Timestamp(rawValue: self.rig.wall.rawValue + 24 * 3_600_000 + 1))
        #expect(self.rig.log.producers.count == 0)
    }

    @Test("what a state file says comes back equal, and no cut or flipped one does")
    func stateFile() throws {
        for number in 0..<8 { try self.append(Int32(number / 3), id: Int64(number % 3)) }
        self.rig.drain()
        func segment(_ base: Offset, _ end: Offset) -> ClosedSegment {
            ClosedSegment(
                base: base, end: end, salt: 3, byteCount: .bytes(100), largestTimestamp: LogRig.wall,
                largestTimestampOffset: base, lastAppendAt: .none
            )
        }
        let state = LogState(
            topicPartition: LogRig.identity.topicPartition, start: 2, active: segment(8, 8),
            closed: [segment(0, 5), segment(5, 8)], epochs: self.rig.log.epochs,
            producers: self.rig.log.producers.sorted
        )
        let bytes = state.encoded()
        #expect(LogState(from: bytes) == state)
        for length in 0..<bytes.readableBytes {
            let short = bytes.getSlice(at: 0, length: length) ?? bytes
            #expect(LogState(from: short) == nil)
            var flipped = bytes
            let byte = bytes.getInteger(at: length, as: UInt8.self) ?? 0
            flipped.setInteger(byte ^ 0x20, at: length)
            #expect(LogState(from: flipped) == nil)
        }
    }
}
