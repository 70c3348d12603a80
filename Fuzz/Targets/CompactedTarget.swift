import ApusCore
import ApusFakes
import ApusLog
import KafkaWire
import NIOCore

/// A partition's directory after compaction, as a disk that somebody meddled with gives it back.
extension FuzzTarget {
    /// Files one behind the other, each as `kind UInt8, base UInt8, length UInt16, bytes`. An odd kind asks for right
    /// checksums and seals, so that what lies behind them is met too. The log is opened, read, compacted and written
    /// to.
    static let compacted = FuzzTarget(
        name: "compacted",
        isProportional: false,
        // The simulated disk keeps what was and what is, page by page; a pass has a table of keys.
        heapBytesMax: { (1 << 20) + $0 * 512 },
        seeds: { CompactedSeeds.directories },
        run: { bytes in
            let disk = SimulatedDisk()
            try? disk.createDirectory(LogSeeds.identity.directory)
            var rest = ByteBuffer(bytes: bytes)
            while let file = CompactedSeeds.File(from: &rest) {
                disk.replace(LogSeeds.identity.directory.appending(file.name), with: file.content)
            }
            guard
                var log = try? Log.open(
                    identity: LogSeeds.identity, configuration: CompactedSeeds.configuration, on: disk,
                    cleanShutdown: bytes.count % 2 == 0, wall: CompactedSeeds.later, seed: 1
                ).log
            else { return }
            CompactedSeeds.compact(&log, on: disk)
            LogSeeds.use(log, on: disk)
        }
    )
}

enum CompactedSeeds {
    /// One file of the directory.
    struct File {
        enum Kind: UInt8, CaseIterable {
            case state, marker, segment, index, compacted, compactedIndex, compactedTwice, knownEnd
        }

        var kind: Kind
        var isSigned: Bool
        var base: UInt8
        var bytes: ByteBuffer

        /// Nil at the end of the input.
        init?(from rest: inout ByteBuffer) {
            guard let kind = rest.readInteger(as: UInt8.self), let base = rest.readInteger(as: UInt8.self),
                let length = rest.readInteger(as: UInt16.self),
                let bytes = rest.readSlice(length: min(Int(length), rest.readableBytes))
            else { return nil }
            self.kind = Kind.allCases[Int(kind / 2) % Kind.allCases.count]
            self.isSigned = kind % 2 == 1
            self.base = base
            self.bytes = bytes
        }

        /// Nil for a file that no log makes.
        init?(_ name: String, _ bytes: ByteBuffer) {
            let parts = name.split(separator: ".")
            switch (parts.count, parts.last) {
            case (1, "state"): self.kind = .state
            case (1, "has-state"): self.kind = .marker
            case (2, "segment"): self.kind = .segment
            case (2, "index"): self.kind = .index
            case (3, "compacted"): self.kind = parts[1] == "00000001" ? .compacted : .compactedTwice
            case (3, "index"): self.kind = .compactedIndex
            default: return nil
            }
            self.isSigned = true
            self.base = parts.count == 1 ? 0 : UInt8(parts[0]) ?? 0
            self.bytes = bytes
        }

        func write(to all: inout ByteBuffer) {
            all.writeInteger(self.kind.rawValue * 2 + (self.isSigned ? 1 : 0))
            all.writeInteger(self.base)
            all.writeInteger(UInt16(clamping: self.bytes.readableBytes))
            all.writeImmutableBuffer(self.bytes)
        }

        var name: String {
            let digits = String(self.base)
            let base = String(repeating: "0", count: 20 - digits.utf8.count) + digits
            return switch self.kind {
            case .state: "state"
            case .marker: "has-state"
            case .segment: "\(base).segment"
            case .index: "\(base).index"
            case .compacted: "\(base).00000001.compacted"
            case .compactedIndex: "\(base).00000001.index"
            case .compactedTwice: "\(base).00000002.compacted"
            case .knownEnd: "known-end"
            }
        }

        /// The bytes, with right checksums if that is asked for.
        var content: ByteBuffer {
            guard self.isSigned else { return self.bytes }
            switch self.kind {
            case .segment, .compacted, .compactedTwice: return self.signedSegment
            case .marker: return self.bytes
            case .state, .index, .compactedIndex, .knownEnd: return Self.signed(self.bytes)
            }
        }

        private var signedSegment: ByteBuffer {
            var body = self.bytes
            guard let header = body.readSlice(length: SegmentHeader.byteCount) else { return self.bytes }
            var file = Self.signed(header)
            let salt = file.getInteger(at: file.readerIndex + 40, as: UInt64.self) ?? 0
            LogSeeds.sign(&body, salt: salt)
            file.writeBuffer(&body)
            return file
        }

        /// With the checksum of all that stands in front of it as its last four bytes.
        private static func signed(_ bytes: ByteBuffer) -> ByteBuffer {
            guard bytes.readableBytes >= 4 else { return bytes }
            var signed = bytes
            signed.moveWriterIndex(to: signed.writerIndex - 4)
            signed.writeInteger(SegmentHeader.checksum(of: signed))
            return signed
        }
    }

    static let configuration = LogConfiguration(
        segmentBytes: .bytes(400), indexIntervalBytes: .bytes(100),
        compaction: CompactionPolicy(dirtyRatioMin: 0, tombstoneAge: .seconds(1)))
    /// When tombstones of the first pass have had their time.
    static let later = Timestamp(rawValue: LogSeeds.wall.rawValue + 10_000)

    /// Passes until nothing is left to be done, or one does not go on.
    static func compact(_ log: inout Log, on disk: SimulatedDisk, at wall: Timestamp = Self.later) {
        while let job = log.nextJob() { _ = log.finished(job.token, job.run(on: disk)) }
        guard
            var pass = log.beginCompaction(wall: wall, below: log.durableEnd, keysBytesMax: .kibibytes(64))
        else { return }
        while let step = try? pass.step(on: disk, upTo: .bytes(300)) {
            switch step {
            case .more: continue
            case .swap(let swap): guard log.take(swap) else { return pass.abandon(on: disk) }
            case .done(let end):
                log.compacted(through: end)
                while let job = log.nextJob() { _ = log.finished(job.token, job.run(on: disk)) }
                return
            }
            while let job = log.nextJob() { _ = log.finished(job.token, job.run(on: disk)) }
        }
        pass.abandon(on: disk)
    }

    // MARK: Seeds

    /// The directory of a log before a pass, after one and after two, and its parts without `state`.
    static let directories: [[UInt8]] = {
        let (before, once, twice) = (Self.made(passes: 0), Self.made(passes: 1), Self.made(passes: 2))
        let stateless = once.filter { $0.kind != .state && $0.kind != .marker }
        let both = before.filter { $0.kind == .segment } + once
        return [before, once, twice, stateless, both].map { files in
            var all = ByteBuffer()
            for file in files { file.write(to: &all) }
            return Array(all.readableBytesView)
        }
    }()

    static let states: [[UInt8]] = (0...2).flatMap { Self.made(passes: $0) }.filter { $0.kind == .state }.map {
        Array($0.bytes.readableBytesView)
    }

    private static func made(passes: Int) -> [File] {
        let disk = SimulatedDisk()
        var log = Log(identity: LogSeeds.identity, configuration: Self.configuration, seed: 1, wall: LogSeeds.wall)
        for pass in 0...passes {
            for number in 0..<12 {
                var builder = RecordBatchBuilder(
                    codec: number % 3 == 0 ? .gzip : .none, baseOffset: log.endOffset.rawValue, leaderEpoch: 0)
                for key in 0..<2 {
                    builder.append(
                        key: ByteBuffer(string: "k\((number + key) % 5)"),
                        value: number % 4 == 0 ? nil : ByteBuffer(string: "v\(number)"),
                        timestamp: LogSeeds.wall.rawValue + Int64(number))
                }
                let batch = builder.finish()
                guard let header = try? RecordBatchHeader(from: batch) else { continue }
                log.append(batch, header: header, wall: LogSeeds.wall)
                while let job = log.nextJob() { _ = log.finished(job.token, job.run(on: disk)) }
            }
            if pass < passes { Self.compact(&log, on: disk, at: pass == 0 ? LogSeeds.wall : Self.later) }
        }
        return disk.files.compactMap { file in
            disk.contents(of: file.path).flatMap { File(file.path.name, $0) }
        }
    }
}
