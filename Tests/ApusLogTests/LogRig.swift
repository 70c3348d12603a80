public import ApusCore
import ApusFakes
import KafkaWire
import NIOCore
import Testing

@testable import ApusLog

/// A log on a simulated disk, with the jobs run by hand.
final class LogRig {
    static let identity = LogIdentity(
        TopicPartition(
            topic: TopicID(high: 0x6ba7_b810_9dad_41d1, low: 0x80b4_00c0_4fd4_30c8), partition: .init(rawValue: 3))
    )
    static let wall = Timestamp(rawValue: 1_750_000_000_000)

    let disk: SimulatedDisk
    /// What the log is told is the disk; tests put liars in between.
    var view: any Disk
    let configuration: LogConfiguration
    let identity: LogIdentity
    var log: Log
    var wall = LogRig.wall
    var random: SplitMix64
    var epoch: Int32 = 0

    init(
        _ configuration: LogConfiguration = LogConfiguration(), disk: SimulatedDisk = SimulatedDisk(), seed: UInt64 = 1,
        identity: LogIdentity = LogRig.identity
    ) {
        self.identity = identity
        self.disk = disk
        self.view = disk
        self.configuration = configuration
        self.random = SplitMix64(seed: seed)
        self.log = Log(identity: identity, configuration: configuration, seed: seed, wall: Self.wall)
    }

    static var directory: DiskPath { Self.identity.directory }
    static func file(_ name: String) -> DiskPath { Self.directory.appending(name) }
    static func segment(_ base: Int64) -> DiskPath { Self.file(FileName.segmentName(Offset(rawValue: base))) }
    static func index(_ base: Int64) -> DiskPath { Self.file(FileName.indexName(Offset(rawValue: base))) }

    struct Producer {
        var id: Int64
        var epoch: Int16
        var sequence: Int32
    }

    /// Bytes of a batch whose records are noise: a log does not look at them.
    func batch(
        at offset: Offset? = nil, records: Int = 1, payload: Int = 40, timestamp: Timestamp? = nil,
        producer: Producer? = nil
    ) -> (bytes: ByteBuffer, header: RecordBatchHeader) {
        let time = (timestamp ?? self.wall).rawValue
        var header = RecordBatchHeader(
            baseOffset: (offset ?? self.log.endOffset).rawValue, batchLength: Int32(49 + payload),
            partitionLeaderEpoch: self.epoch, lastOffsetDelta: Int32(records - 1), baseTimestamp: time,
            maxTimestamp: time, producerID: producer?.id ?? -1, producerEpoch: producer?.epoch ?? -1,
            baseSequence: producer?.sequence ?? -1, recordCount: Int32(records)
        )
        var bytes = ByteBufferAllocator().buffer(capacity: RecordBatchHeader.byteCount + payload)
        bytes.writeRepeatingByte(0, count: RecordBatchHeader.byteCount)
        for _ in 0..<payload / 8 { bytes.writeInteger(self.random.next()) }
        bytes.writeRepeatingByte(0x2A, count: payload % 8)
        header.write(to: &bytes, at: 0)
        header.crc = bytes.getSlice(at: 21, length: bytes.readableBytes - 21)?.crc32c() ?? 0
        header.write(to: &bytes, at: 0)
        return (bytes, header)
    }

    @discardableResult
    func append(
        records: Int = 1, payload: Int = 40, timestamp: Timestamp? = nil, producer: Producer? = nil
    ) -> ByteBuffer {
        let batch = self.batch(records: records, payload: payload, timestamp: timestamp, producer: producer)
        self.log.append(batch.bytes, header: batch.header, wall: self.wall)
        return batch.bytes
    }

    /// A job that must be there.
    func job() throws -> LogJob {
        let job = self.log.nextJob()
        return try #require(job)
    }

    /// Runs the next job, if there is one.
    func step() -> LogProgress? {
        guard let job = self.log.nextJob() else { return nil }
        return self.log.finished(job.token, job.run(on: self.view))
    }

    /// Runs jobs until none is left or the log failed.
    @discardableResult
    func drain() -> [LogProgress] {
        var all: [LogProgress] = []
        while let progress = self.step() { all.append(progress) }
        return all
    }

    @discardableResult
    func open(clean: Bool = false) throws(LogError) -> LogReport {
        let opened = try Log.open(
            identity: self.identity, configuration: self.configuration, on: self.view, cleanShutdown: clean,
            wall: self.wall, seed: self.random.next()
        )
        self.log = opened.log
        return opened.report
    }

    /// Drains, closes cleanly.
    func close() -> LogProgress? {
        self.drain()
        guard let job = self.log.close() else { return nil }
        return self.log.finished(job.token, job.run(on: self.view))
    }

    /// Every batch from `from` (the start, if nil) to the end, as a reader gets them.
    func readAll(from: Offset? = nil, upTo limit: ByteCount = .kibibytes(64)) throws -> [ByteBuffer] {
        var batches: [ByteBuffer] = []
        var next = from ?? self.log.startOffset
        while let read = try self.log.read(from: next, below: self.log.endOffset, upTo: limit) {
            let result = try self.run(read)
            guard let last = result.batches.last else { break }
            batches += result.batches
            next = Offset(rawValue: try RecordBatchHeader(from: last).nextOffset)
        }
        return batches
    }

    func run(_ read: LogRead) throws(LogError) -> LogRead.Result {
        do throws(LogError) {
            let result = try read.run(on: self.view)
            self.log.learned(from: read, .success(result))
            return result
        } catch {
            self.log.learned(from: read, .failure(error))
            throw error
        }
    }
}

extension Offset: ExpressibleByIntegerLiteral {
    public init(integerLiteral value: Int64) { self.init(rawValue: value) }
}
