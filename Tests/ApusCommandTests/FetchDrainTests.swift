import ApusCommand
import ApusCore
import NIOCore
import Testing

@Suite struct FetchDrainTests {
    /// A batch that nobody decodes: header fields in their places, then noise.
    private func batch(base: Int64, count: Int32, noise: Int) -> ByteBuffer {
        var batch = ByteBuffer()
        batch.writeInteger(base)
        batch.writeInteger(Int32(49 + noise))
        batch.writeRepeatingByte(0, count: 11)
        batch.writeInteger(count - 1)
        batch.writeRepeatingByte(0, count: 30)
        batch.writeInteger(count)
        batch.writeRepeatingByte(0xEE, count: noise)
        return batch
    }

    private func answer(_ partitions: [(index: Int32, error: Int16, records: ByteBuffer?)]) -> ByteBuffer {
        var body = ByteBuffer()
        body.writeMultipleIntegers(Int32(7), Int32(0), Int16(0), Int32(0), Int32(1))
        body.writeInteger(Int16(5))
        body.writeString("topic")
        body.writeInteger(Int32(partitions.count))
        for (index, error, records) in partitions {
            body.writeMultipleIntegers(index, error, Int64(100), Int64(100), Int64(0), Int32(1), Int64(1), Int64(2))
            body.writeInteger(Int32(-1))
            body.writeInteger(Int32(records?.readableBytes ?? -1))
            if let records { body.writeImmutableBuffer(records) }
        }
        var frame = ByteBuffer(integer: Int32(body.readableBytes))
        frame.writeBuffer(&body)
        return frame
    }

    @Test(
        "however the answers are cut, the same offsets and counts come out", arguments: [1, 7, 61, 100, 1000, 100_000])
    func cuts(length: Int) throws {
        var records = self.batch(base: 10, count: 5, noise: 500)
        records.writeImmutableBuffer(self.batch(base: 15, count: 3, noise: 0))
        // The beginning of one more, cut off by the limit of the fetch.
        records.writeImmutableBuffer(
            self.batch(base: 18, count: 1, noise: 300).getSlice(at: 0, length: 100) ?? ByteBuffer())
        var stream = self.answer([(0, 0, records), (3, 6, nil), (4, 0, self.batch(base: 0, count: 1, noise: 9))])
        stream.writeImmutableBuffer(self.answer([(0, 0, ByteBuffer())]))
        stream.writeImmutableBuffer(self.answer([]))

        var drain = FetchDrain()
        var answers: [FetchDrain.Answer] = []
        while let chunk = stream.readSlice(length: min(length, max(1, stream.readableBytes))) {
            try drain.feed(chunk) { answers.append($0) }
            if stream.readableBytes == 0 { break }
        }
        #expect(answers.map(\.next) == [[0: 18, 4: 1], [:], [:]])
        #expect(answers.map(\.errors) == [[3: 6], [:], [:]])
        #expect(answers.first?.highWatermarks == [0: 100, 3: 100, 4: 100])
        #expect(drain.records == 9)
        #expect(drain.bytes == 61 * 3 + 500 + 9)
    }

    @Test("a lying answer is an error and no trap", arguments: [0, 8, 23, 57])
    func malformed(field: Int) {
        var records = self.batch(base: 1, count: 1, noise: 0)
        records.setInteger(Int32(-2), at: field)
        var drain = FetchDrain()
        #expect(throws: FetchDrain.Malformed.self) { try drain.feed(self.answer([(0, 0, records)])) { _ in } }
    }

    @Test("the schedule of an open loop does not wait for anybody", arguments: [1.0, 3, 1000, 10_000, 123_456.7])
    func schedule(rate: Double) {
        let start = Instant(nanoseconds: 1_000_000_007)
        let schedule = OpenLoopSchedule(start: start, rate: rate)
        #expect(schedule.due(0) == start)
        #expect(schedule.count(at: Instant(nanoseconds: 1)) == 0)
        #expect(schedule.count(at: start) == 1)
        for index in [1, 2, 3, 10, 999, 100_000] as [Int64] {
            let due = schedule.due(index)
            #expect(schedule.count(at: due) == index + 1)
            #expect(schedule.count(at: Instant(nanoseconds: due.nanoseconds - 1)) == index)
        }
        #expect(abs(Double(schedule.due(100_000).since(start).wholeNanoseconds) - 1e14 / rate) < 2)
    }
}
