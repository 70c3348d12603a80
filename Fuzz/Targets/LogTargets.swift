import ApusCore
import ApusFakes
import ApusLog
import KafkaWire
import NIOCore

/// The files of a partition's directory, as a disk that somebody meddled with gives them back.
extension FuzzTarget {
    /// A segment: opened, read from end to end, appended to. An odd first byte asks for right seals and checksums, so
    /// that what lies behind them is met too.
    static let segments = FuzzTarget(
        name: "segments",
        isProportional: false,
        // The simulated disk keeps what was and what is, page by page.
        heapBytesMax: { (256 << 10) + $0 * 256 },
        seeds: { LogSeeds.segments },
        run: { bytes in
            guard let first = bytes.first else { return }
            var body = ByteBuffer(bytes: bytes.dropFirst())
            if first % 2 == 1 { LogSeeds.sign(&body) }
            var file = LogSeeds.header.encoded()
            file.writeBuffer(&body)
            LogSeeds.open(first % 4 < 2, file)
        }
    )

    /// A sparse index, as it is and with a right checksum.
    static let indexes = FuzzTarget(
        name: "indexes",
        isProportional: true,
        heapBytesMax: FuzzTarget.proportional,
        seeds: { LogSeeds.files.index },
        run: { bytes in
            LogSeeds.asItIsAndSigned(bytes) { buffer in
                guard let file = IndexFile(from: buffer) else { return }
                precondition(IndexFile(from: file.encoded()) == file, "an index does not read what it wrote")
            }
        }
    )

    /// A `state` file, as it is and with a right checksum.
    static let states = FuzzTarget(
        name: "states",
        isProportional: true,
        heapBytesMax: FuzzTarget.proportional,
        seeds: { LogSeeds.files.state + CompactedSeeds.states },
        run: { bytes in
            LogSeeds.asItIsAndSigned(bytes) { buffer in
                guard let state = LogState(from: buffer) else { return }
                precondition(LogState(from: state.encoded()) == state, "a state does not read what it wrote")
            }
        }
    )
}

/// Real files to begin with, and the way back from mutated bytes to files that hold.
enum LogSeeds {
    static let identity = LogIdentity(
        TopicPartition(topic: TopicID(high: 1, low: 2), partition: PartitionIndex(rawValue: 0))
    )
    static let header = SegmentHeader(
        topicPartition: Self.identity.topicPartition, baseOffset: .zero, salt: 0x5EED, createdAt: Self.wall
    )
    static let wall = Timestamp(rawValue: 1_750_000_000_000)
    private static let name = Self.identity.directory.appending("00000000000000000000.segment")

    /// Opens a log with this one segment, reads what can be read, and writes on.
    static func open(_ cleanShutdown: Bool, _ segment: ByteBuffer) {
        let disk = SimulatedDisk()
        try? disk.createDirectory(self.identity.directory)
        disk.replace(self.name, with: segment)
        guard
            let log = try? Log.open(
                identity: self.identity, configuration: LogConfiguration(), on: disk, cleanShutdown: cleanShutdown,
                wall: self.wall, seed: 1
            ).log
        else { return }
        self.use(log, on: disk)
    }

    /// Reads what can be read, and writes on.
    static func use(_ log: Log, on disk: SimulatedDisk) {
        var log = log
        var next = log.startOffset
        while next < log.endOffset, let read = try? log.read(from: next, below: log.endOffset, upTo: .kibibytes(4)) {
            guard let result = try? read.run(on: disk), let last = result.batches.last,
                let header = try? RecordBatchHeader(from: last), header.nextOffset > next.rawValue
            else { break }
            next = Offset(rawValue: header.nextOffset)
        }
        _ = try? log.lookup(timestamp: .none, below: log.endOffset)?.run(on: disk)
        guard log.takesAppends else { return }
        let batch = self.batch(at: log.endOffset)
        guard let header = try? RecordBatchHeader(from: batch) else { return }
        log.append(batch, header: header, wall: self.wall)
        while let job = log.nextJob() { _ = log.finished(job.token, job.run(on: disk)) }
    }

    static func batch(at offset: Offset) -> ByteBuffer {
        var builder = RecordBatchBuilder(baseOffset: offset.rawValue, leaderEpoch: .max, producerID: 3)
        builder.append(key: nil, value: ByteBuffer(string: "value"), timestamp: 1000)
        return builder.finish()
    }

    /// A body of three batches, and the same with a hole, a cut and a repeat.
    static let segments: [[UInt8]] = {
        var body = ByteBuffer()
        for number in 0..<3 {
            var sealed = ByteBuffer(repeating: 0, count: Seal.byteCount)
            var batch = Self.batch(at: Offset(rawValue: Int64(number)))
            batch.setInteger(0 as Int32, at: batch.readerIndex + 12)
            sealed.writeBuffer(&batch)
            body.writeBuffer(&sealed)
        }
        Self.sign(&body)
        let whole = Array(body.readableBytesView)
        var hole = whole
        for index in whole.count / 3..<whole.count / 3 * 2 { hole[index] = 0 }
        let variants = [whole, hole, whole.dropLast(10) + [], whole + whole, whole + [UInt8](repeating: 0, count: 500)]
        return variants.flatMap { variant in (UInt8(0)..<4).map { [$0] + variant } }
    }()

    /// The index and state files that a log makes that rolls and checkpoints.
    static let files: (index: [[UInt8]], state: [[UInt8]]) = {
        let disk = SimulatedDisk()
        let configuration = LogConfiguration(segmentBytes: .bytes(1000), indexIntervalBytes: .bytes(100))
        var log = Log(identity: Self.identity, configuration: configuration, seed: 1, wall: Self.wall)
        for _ in 0..<30 {
            let batch = Self.batch(at: log.endOffset)
            guard let header = try? RecordBatchHeader(from: batch) else { continue }
            log.append(batch, header: header, wall: Self.wall)
        }
        while let job = log.nextJob() { _ = log.finished(job.token, job.run(on: disk)) }
        func contents(_ suffix: String) -> [[UInt8]] {
            disk.files.filter { $0.path.rawValue.hasSuffix(suffix) }
                .compactMap { disk.contents(of: $0.path).map { Array($0.readableBytesView) } }
        }
        return (contents(".index"), contents("state"))
    }()

    /// Gives every batch that still has a header a right CRC and a right seal.
    static func sign(_ body: inout ByteBuffer, salt: UInt64 = Self.header.salt) {
        let seed = Seal.seed(salt: salt)
        var position = 0
        while position + Seal.byteCount + RecordBatchHeader.byteCount <= body.readableBytes {
            guard
                let rest = body.getSlice(
                    at: position + Seal.byteCount, length: body.readableBytes - position - Seal.byteCount
                ), var header = try? RecordBatchHeader(from: rest), header.totalByteCount <= rest.readableBytes,
                let batch = try? RecordBatch(from: rest)
            else { return }
            header.crc = batch.computedCRC
            header.write(to: &body, at: position + Seal.byteCount)
            let mark = Seal.mark(distance: position, isDurable: true)
            let checksum = body.withUnsafeReadableBytes { bytes in
                Seal.checksum(
                    seed: seed, mark: mark,
                    batch: UnsafeRawBufferPointer(rebasing: bytes[(position + Seal.byteCount)...])
                )
            }
            body.setInteger(mark, at: position)
            body.setInteger(checksum, at: position + 4)
            position += Seal.byteCount + header.totalByteCount
        }
    }

    static func asItIsAndSigned(_ bytes: [UInt8], _ decode: (ByteBuffer) -> Void) {
        let buffer = ByteBuffer(bytes: bytes)
        decode(buffer)
        guard buffer.readableBytes >= 4 else { return }
        var signed = buffer
        signed.moveWriterIndex(to: signed.writerIndex - 4)
        signed.writeInteger(SegmentHeader.checksum(of: signed))
        decode(signed)
    }
}
