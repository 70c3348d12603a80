import ApusClient
import ApusCommand
import ApusCore
import ArgumentParser
import NIOCore

/// `apus pub`.
struct Publish: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pub",
        abstract: "Write records to a topic.",
        discussion: """
              apus pub hello "hi"                      one record
              apus pub hello -k user-1 @photo.jpg      one record, from a file
              cat lines | apus pub hello               one record a line
              apus pub hello -K : < pairs              the same, with key:value
              apus pub hello --template -c 10 -k k{{count}} "it is {{time}}"

            A record that was acknowledged is printed as hello[0]@42: topic, partition, offset.

            --template knows {{count}} {{time}} {{timestamp}} {{unix}} {{unixms}} {{id}} and {{random 10 20}} (so many \
            letters and digits); times are UTC.
            """,
        aliases: ["produce"]
    )

    @Argument(help: "Name of the topic.")
    var topic: String

    @Argument(help: ArgumentHelp("The record; @file for a file's contents; - (or nothing) for standard input."))
    var data: String?

    @Option(name: [.customShort("k", allowingJoined: true), .long], help: "Key of the records.")
    var key: String?

    @Option(
        name: [.customShort("H", allowingJoined: true), .long],
        help: ArgumentHelp("A header; may be repeated.", valueName: "name=value"),
        transform: { text in try parsing { try KeyValue(text) } })
    var header: [KeyValue] = []

    @Option(name: [.customShort("p", allowingJoined: true), .long], help: "Partition. [default: by key, else in turn]")
    var partition: Int32?

    @Option(
        name: [.customShort("z", allowingJoined: true), .long],
        help: ArgumentHelp("Compression of the batches.", valueName: "codec"))
    var compression: Compression = .none

    @Option(help: ArgumentHelp("Who has it when a record counts as written.", valueName: "who"))
    var acks: Acknowledging = .all

    @Option(
        name: [.customShort("D", allowingJoined: true), .long],
        help: ArgumentHelp(
            #"Between records on standard input; \n \t \0 \xNN; '' for none. [default: \n]"#, valueName: "bytes"))
    var delimiter: String?

    @Option(
        name: [.customShort("K", allowingJoined: true), .long],
        help: ArgumentHelp("Between key and value on standard input. [default: no keys]", valueName: "bytes"))
    var keyDelimiter: String?

    @Option(
        name: [.customShort("c", allowingJoined: true), .long],
        help: "Send the record so many times; stop after so many from standard input.")
    var count: Int?

    @Flag(name: [.customShort("Z"), .long], help: "An empty value is a tombstone (null): it deletes its key.")
    var tombstone = false

    @Flag(help: "Fill in {{…}} in the record, --key and the values of --header; see above.")
    var template = false

    @Flag(name: .shortAndLong, help: "Say nothing of records that were written.")
    var quiet = false

    @OptionGroup var connection: ConnectionOptions

    @Option(
        name: [.customShort("o", allowingJoined: true), .long],
        help: ArgumentHelp("Delivery reports on standard output. [default: none]", valueName: "format"))
    var output: OutputFormat?

    func validate() throws {
        if let count = self.count, count < 1 { throw ValidationError("--count must be 1 or more") }
        if let partition = self.partition, partition < 0 { throw ValidationError("--partition must be 0 or more") }
        if self.data != nil, self.data != "-", self.keyDelimiter != nil {
            throw ValidationError("--key-delimiter is for records from standard input; use --key")
        }
        guard !self.template || (self.data.map { $0 != "-" && $0.first != "@" } ?? false) else {
            throw ValidationError("--template is for a record on the command line")
        }
    }

    func run() async throws {
        let reports = DeliveryReports(
            output: self.output, isQuiet: self.quiet, tellsEach: self.isOneRecord || InputFile.standardIsTerminal)
        var options = ProducerOptions(
            topic: self.topic, linger: .milliseconds(5), compression: self.compression,
            acknowledgment: self.acks.acknowledgment)
        options.bufferedBytesMax = .mebibytes(64)
        options.onDelivery = { reports.note($0) }
        let records = PublishedRecords(
            key: self.key.map { ByteBuffer(string: $0) },
            headers: self.header.map { RecordHeader($0.name, ByteBuffer(string: $0.value)) },
            partition: self.partition.map(PartitionIndex.init(rawValue:)),
            keyDelimiter: try self.keyDelimiter.map { try Escapes.bytes($0) }, emptyIsNull: self.tombstone)
        do {
            try await self.connection.withClient(allowsTopicCreation: true) { apus in
                try await apus.withProducer(options) { producer in
                    if self.template {
                        try await self.sendFilledIn(to: producer)
                    } else if self.isOneRecord {
                        try await self.sendOne(records, to: producer)
                    } else {
                        try await self.sendStream(records, to: producer, reports: reports)
                    }
                }
            }
        } catch {
            try reports.finish()
            throw error
        }
        try reports.finish()
    }

    /// The data is on the command line, or there is none and none is wanted.
    private var isOneRecord: Bool {
        guard let data = self.data else { return self.tombstone && self.key != nil }
        return data != "-" && !(data.first == "@" && self.delimiter != nil)
    }

    private func sendOne(_ records: PublishedRecords, to producer: Producer) async throws {
        var value = ByteBuffer()
        if let data = self.data, data.first == "@" {
            var file = try InputFile(path: String(data.dropFirst()))
            value = try await file.contents(upTo: Limits.frameBytesMax.rawValue)
        } else if let data = self.data {
            value = ByteBuffer(string: data)
        }
        let record = records.record(value)
        for _ in 0..<(self.count ?? 1) { try await producer.send(record) }
    }

    /// Each record is filled in anew.
    private func sendFilledIn(to producer: Producer) async throws {
        let data = try RecordTemplate(self.data ?? "")
        let key = try self.key.map { try RecordTemplate($0) }
        let headers = try self.header.map { ($0.name, try RecordTemplate($0.value)) }
        var generator = SystemRandomNumberGenerator()
        for count in 1...(self.count ?? 1) {
            let now = Timestamp.now
            func filled(_ template: RecordTemplate) -> ByteBuffer {
                ByteBuffer(string: template.rendered(count: count, at: now, using: &generator))
            }
            let records = PublishedRecords(
                key: key.map(filled), headers: headers.map { RecordHeader($0, filled($1)) },
                partition: self.partition.map(PartitionIndex.init(rawValue:)), keyDelimiter: nil,
                emptyIsNull: self.tombstone)
            try await producer.send(records.record(filled(data)))
        }
    }

    private func sendStream(
        _ records: PublishedRecords, to producer: Producer, reports: DeliveryReports
    ) async throws {
        let isFile = self.data?.first == "@"
        var input = isFile ? try InputFile(path: String((self.data ?? "").dropFirst())) : InputFile.standard
        if !isFile, InputFile.standardIsTerminal {
            StandardError.write("One record a line; Ctrl-D ends.\n")
        }
        var splitter = RecordSplitter(
            delimiter: try Escapes.bytes(self.delimiter ?? "\n"), recordBytesMax: Limits.frameBytesMax.rawValue)
        var left = self.count ?? .max
        while left > 0 {
            let chunk = try await input.chunk()
            var batch: [ProducerRecord] = []
            if chunk.readableBytes == 0 {
                splitter.finish { batch.append(records.record($0)) }
            } else {
                try splitter.feed(chunk) { batch.append(records.record($0)) }
            }
            if batch.count > left { batch.removeLast(batch.count - left) }
            left -= batch.count
            try await producer.send(contentsOf: batch)
            try reports.show()
            if chunk.readableBytes == 0 { return }
        }
    }
}

/// `--acks`, with Kafka's numbers too.
enum Acknowledging: String, ExpressibleByArgument, CaseIterable {
    case all, leader, none

    init?(argument: String) {
        switch argument {
        case "all", "-1": self = .all
        case "leader", "1": self = .leader
        case "none", "0": self = .none
        default: return nil
        }
    }

    var acknowledgment: ProducerOptions.Acknowledgment {
        switch self {
        case .all: .all
        case .leader: .leader
        case .none: .none
        }
    }

    /// As it stands in a produce request.
    var wireValue: Int16 {
        switch self {
        case .all: -1
        case .leader: 1
        case .none: 0
        }
    }
}

/// How bytes of input become records.
struct PublishedRecords: Sendable {
    let key: ByteBuffer?
    let headers: [RecordHeader]
    let partition: PartitionIndex?
    let keyDelimiter: [UInt8]?
    let emptyIsNull: Bool

    func record(_ bytes: ByteBuffer) -> ProducerRecord {
        var key = self.key
        var value: ByteBuffer? = bytes
        if let keyDelimiter = self.keyDelimiter, let (head, tail) = bytes.split(at: keyDelimiter) {
            key = head
            value = tail
        }
        if self.emptyIsNull, value?.readableBytes == 0 { value = nil }
        return ProducerRecord(value, key: key, headers: self.headers, partition: self.partition)
    }
}
