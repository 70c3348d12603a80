import ApusCommand
import ApusCore
import ApusLog
import ApusSystem
import ArgumentParser
import Foundation
import KafkaWire

struct LogDump: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dump",
        abstract: "Show the segments of a data directory, or their batches, and check them.",
        discussion: """
            Every seal and every checksum is verified, each index compared with its segment; nothing is changed. For a \
            broker that is not running: of one that is, the newest segment may seem torn. After a power cut, start the \
            broker once: it replays its journal. Exit code 65 says that something is damaged.
            """
    )

    @Argument(help: "The data directory.")
    var directory: String

    @Option(help: ArgumentHelp("Only this topic.", valueName: "topic id"))
    var topic: String?

    @Option(name: .shortAndLong, help: "Only this partition.")
    var partition: Int32?

    @Flag(name: .shortAndLong, help: "A line for each batch instead of each segment.")
    var batches = false

    @OptionGroup var output: OutputOptions

    func run() throws {
        let disk: PosixDisk
        let segments: [DiskPath]
        do {
            try self.checkDirectory()
            disk = try PosixDisk(below: self.directory)
            segments = try self.segments(on: disk)
        } catch let error as DiskError {
            throw Self.unreadable(self.directory, error)
        }
        var tables = SegmentTables()
        for (index, file) in segments.enumerated() {
            if StandardError.isTerminal { StandardError.rewriteLine("\(index + 1) of \(segments.count)  \(file)") }
            do {
                try tables.add(file, keepsBatches: self.batches, on: disk)
            } catch {
                throw Self.unreadable(self.directory, error)
            }
        }
        StandardError.rewriteLine("")
        let listing = self.batches ? tables.batches : tables.segments
        try StandardOutput.write(listing.rendered(as: self.output.format))
        guard tables.damage.isEmpty else {
            throw CommandFailure(
                .badData, code: "damaged", tables.damage.joined(separator: "\n      "),
                next: "start the broker: it says what is lost, and serves the rest"
            )
        }
    }

    /// Says what a wrong argument is, before the disk says less.
    private func checkDirectory() throws(CommandFailure) {
        let next = "apus log dump ./apus-data, or whatever apus serve --data names"
        var isDirectory: ObjCBool = false
        guard FileManager.default.fileExists(atPath: self.directory, isDirectory: &isDirectory) else {
            throw CommandFailure(
                .badData, code: "unreadable", "\(self.directory): there is no such directory", next: next)
        }
        guard isDirectory.boolValue else {
            throw CommandFailure(.badData, code: "unreadable", "\(self.directory) is not a directory", next: next)
        }
        let holds = { (name: String) in FileManager.default.fileExists(atPath: "\(self.directory)/\(name)") }
        guard holds("topics") || holds("store.sqlite") else {
            throw CommandFailure(
                .badData, code: "unreadable", "\(self.directory) is not the data directory of a broker", next: next)
        }
    }

    private func segments(on disk: PosixDisk) throws(DiskError) -> [DiskPath] {
        var segments: [DiskPath] = []
        for topic in try TopicDirectory.list(on: disk) where self.topic == nil || self.topic == "\(topic)" {
            let directory = TopicDirectory.path(of: topic)
            let partitions = try disk.list(directory).compactMap { Int32($0) }.sorted()
            for partition in partitions where self.partition == nil || self.partition == partition {
                segments += try SegmentDump.segments(in: directory.appending("\(partition)"), on: disk)
            }
        }
        return segments
    }

    private static func unreadable(_ directory: String, _ error: DiskError) -> CommandFailure {
        let reason =
            switch error.reason {
            case .notFound: "it is not there"
            case .forbidden: "permission denied"
            case .failed(let number): String(cString: strerror(number))
            case .exists, .full, .dead: "\(error.reason)"
            }
        let path = error.path.rawValue == "." ? directory : "\(directory)/\(error.path.rawValue)"
        return CommandFailure(.badData, code: "unreadable", "can not read \(path): \(reason)")
    }
}

/// What was found, as rows.
private struct SegmentTables {
    var segments = Listing([
        .init("topic_id"), .init("partition", isNumber: true), .init("base", isNumber: true),
        .init("next", isNumber: true), .init("batches", isNumber: true), .init("records", isNumber: true),
        .init("bytes", isNumber: true), .init("file_bytes", isNumber: true), .init("created_at"), .init("index"),
        .init("state"),
    ])
    var batches = Listing([
        .init("topic_id"), .init("partition", isNumber: true), .init("offset", isNumber: true),
        .init("last", isNumber: true), .init("records", isNumber: true), .init("bytes", isNumber: true),
        .init("position", isNumber: true), .init("codec"), .init("epoch", isNumber: true),
        .init("producer", isNumber: true), .init("sequence", isNumber: true), .init("timestamp"), .init("crc"),
    ])
    /// One line for each thing that does not hold.
    var damage: [String] = []

    mutating func add(_ file: DiskPath, keepsBatches: Bool, on disk: any Disk) throws(DiskError) {
        // The path says it, and the header repeats it; where they differ the header is the damage.
        let damagedBefore = self.damage.count
        let parts = file.rawValue.split(separator: "/").suffix(3).map(String.init)
        let (topic, partition) = (parts.first ?? "", Int32(parts.dropFirst().first ?? "") ?? -1)
        var count = (batches: 0, records: Int64(0))
        var next: Int64?
        let dump = try SegmentDump(file, on: disk) { batch in
            let header = batch.header
            count.batches += 1
            count.records += Int64(header.recordCount)
            if !batch.isWhole { self.damage.append("\(file): checksum of the batch at byte \(batch.position)") }
            if let next, header.baseOffset < next {
                self.damage.append("\(file): offset \(header.baseOffset) again at byte \(batch.position)")
            }
            next = header.nextOffset
            if keepsBatches { self.batches.add(Self.row(topic, partition, batch)) }
        }
        for position in dump.damage { self.damage.append("\(file): no batch at byte \(position)") }
        if dump.header == nil { self.damage.append("\(file): the header") }
        if let header = dump.header, parts.count == 3, "\(header.topicPartition)" != "\(topic)/\(partition)" {
            self.damage.append("\(file): the header is of \(header.topicPartition)")
        }
        // The index is made anew from the segment: its damage is not the segment's.
        let holds = self.damage.count == damagedBefore
        if dump.indexHolds == false { self.damage.append("\(file): the index beside it (it is made anew when needed)") }
        self.segments.add([
            .text(topic), .number(partition), dump.header.map { .number($0.baseOffset.rawValue) } ?? .nothing,
            next.map { .number($0) } ?? .nothing, .count(count.batches), .count(count.records),
            .count(dump.end.rawValue), .count(dump.byteCount.rawValue),
            dump.header.map { .text(CivilTime($0.createdAt).text) } ?? .nothing,
            dump.indexHolds.map { .text($0 ? "ok" : "bad") } ?? .nothing, .text(holds ? "ok" : "damaged"),
        ])
    }

    private static func row(_ topic: String, _ partition: Int32, _ batch: SegmentDump.Batch) -> [Cell] {
        let header = batch.header
        return [
            .text(topic), .number(partition), .number(header.baseOffset), .number(header.lastOffset),
            .count(header.recordCount), .count(header.totalByteCount), .number(batch.position.rawValue),
            .text(header.attributes.codec.map { "\($0)" } ?? "?"), .number(header.partitionLeaderEpoch),
            header.producerID < 0 ? .nothing : .number(header.producerID),
            header.baseSequence < 0 ? .nothing : .number(header.baseSequence),
            .text(CivilTime(Timestamp(rawValue: header.maxTimestamp)).text), .text(batch.isWhole ? "ok" : "bad"),
        ]
    }
}
