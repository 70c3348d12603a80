import ApusClient
import ApusCommand
import ApusCore
import ArgumentParser

/// `apus sub`.
struct Subscribe: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sub",
        abstract: "Print the records of topics, and go on as they come.",
        discussion: """
              apus sub hello                                  what comes from now on
              apus sub hello --from start -e                  all there is, then end
              apus sub hello --from @-2h --until @-1h         an hour of it
              apus sub hello --from -10 -f '%t[%p]@%o %k %v\\n'
              apus sub hello --group billing                  as a member of a group, which remembers where it is
              apus sub chat/room-7 --ws ws://127.0.0.1:8080   as a browser does, through an endpoint server

            With --group, partitions are shared with the group's other members, and what was printed is committed. \
            --from is then start or end, and holds where the group has no position yet.

            Positions: start, end, 42, -100 (before the end), +5 (after the start), @2026-11-20T10:00 (UTC, or with a \
            zone), @-2h. They hold in each partition.

            Tokens of --format: %t topic, %p partition, %o offset, %e leader epoch, %k key, %v or %s value, \
            %h headers, %d timestamp, %T %K %V %H their lengths, %i count, %%, %a{compression} %a{timestamp-type}. \
            Modifiers: %v{hex} %v{base64} %d{iso} %d{strftime[%F %T]} %h{%k=%v }. They are \
            those of rpk: kcat's %T is %d here.

            --match shows only some records: TEXT (in the value), key=TEXT, value~TEXT (contains), header.NAME!=TEXT, \
            key!~TEXT. Of several, all must hold.
            """,
        aliases: ["consume"]
    )

    @Argument(help: "Names of the topics.")
    var topics: [String]

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Where to begin. [default: end, with -e, -n or --until: start]", valueName: "position"),
        transform: { text in try parsing { try Position(text) } })
    var from: Position?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Where to stop: end, an offset, a time.", valueName: "position"),
        transform: { text in try parsing { try Position(text) } })
    var until: Position?

    @Option(name: [.customShort("g", allowingJoined: true), .long], help: "Read as a member of this group.")
    var group: String?

    @Option(name: [.customShort("n", allowingJoined: true), .long], help: "Stop after so many records.")
    var count: Int?

    @Flag(name: [.customShort("e"), .customLong("exit-at-end")], help: "Stop at what is the end now.")
    var exitAtEnd = false

    @Option(
        name: [.customShort("f", allowingJoined: true), .long], help: "How to print each record; see above.",
        transform: { text in try parsing { try RecordFormat(text) } })
    var format: RecordFormat?

    @Option(
        help: ArgumentHelp("Only records for which this holds; may be repeated.", valueName: "expression"),
        transform: { text in try parsing { try RecordMatch(text) } })
    var match: [RecordMatch] = []

    @Option(
        help: ArgumentHelp(
            "Subscribe over a WebSocket; what is named are then channels: TOPIC, TOPIC/KEY, TOPIC/PREFIX*.",
            valueName: "url"),
        transform: { text in try parsing { try PushAddress(text) } })
    var ws: PushAddress?

    @Flag(help: "Print where the records are and how long, not what is in them.")
    var metaOnly = false

    @Option(name: [.customShort("p", allowingJoined: true), .long], help: "Only this partition; may be repeated.")
    var partition: [Int32] = []

    @OptionGroup var connection: ConnectionOptions

    @Option(
        name: [.customShort("o", allowingJoined: true), .long],
        help: ArgumentHelp("How to print; raw is values, a line each. [default: raw]", valueName: "format"))
    var output: OutputFormat?

    func validate() throws {
        if let count = self.count, count < 1 { throw ValidationError("--count must be 1 or more") }
        guard self.format == nil || self.output == nil else {
            throw ValidationError("--format and --output exclude each other")
        }
        if self.group != nil {
            guard self.until == nil, !self.exitAtEnd, self.partition.isEmpty else {
                throw ValidationError("--group excludes --until, --exit-at-end and --partition")
            }
            guard self.from == nil || self.from == .start || self.from == .end else {
                throw ValidationError("with --group, --from is start or end; apus group seek moves a group")
            }
        }
        if self.ws != nil {
            guard self.group == nil, self.until == nil, !self.exitAtEnd, self.partition.isEmpty else {
                throw ValidationError("--ws excludes --group, --until, --exit-at-end and --partition")
            }
            if case .afterStart = self.from { throw ValidationError("with --ws, --from is no place after the start") }
        }
        guard self.until == nil || !self.exitAtEnd else {
            throw ValidationError("--until and --exit-at-end exclude each other")
        }
    }

    func run() async throws {
        if let address = self.ws { return try await self.push(from: address) }
        let now = Timestamp.now
        let end = try self.until?.readerEnd(at: now) ?? (self.exitAtEnd ? .end : .never)
        let printer = RecordPrinter(style: try self.style(), matches: self.match, countMax: self.count)
        // Who waits for what comes may be the first to name the topic; who reads what is there is not.
        let isBounded = self.exitAtEnd || self.until != nil
        var isInterrupted = false
        try await self.connection.withClient(allowsTopicCreation: !isBounded) { apus in
            try await withThrowingTaskGroup(of: Void.self) { group in
                if let name = self.group {
                    group.addTask { try await self.consume(as: name, from: apus, to: printer) }
                    group.addTask { try await Interruption.wait() }
                    do {
                        try await group.next()
                    } catch is EnoughRecords {
                    } catch is Interruption {
                        isInterrupted = true
                    }
                    return group.cancelAll()
                }
                for topic in self.topics {
                    let start = try await self.start(of: topic, at: now, apus)
                    group.addTask { try await self.read(topic, start, end, from: apus, to: printer) }
                }
                group.addTask { try await Interruption.wait() }
                do {
                    for _ in self.topics { try await group.next() }
                } catch is EnoughRecords {
                } catch is Interruption {
                    isInterrupted = true
                }
                group.cancelAll()
            }
        }
        try await printer.finish()
        if isInterrupted { throw ExitCode(Interruption.exitCode) }
    }

    private func read(
        _ topic: String, _ start: ReaderStart, _ end: ReaderEnd, from apus: ApusClient, to printer: RecordPrinter
    ) async throws {
        let partitions = self.partition.isEmpty ? nil : self.partition.map(PartitionIndex.init(rawValue:))
        for try await batch in apus.readBatches(topic, partitions: partitions, from: start, until: end) {
            try await printer.print(batch)
        }
    }

    private func consume(as group: String, from apus: ApusClient, to printer: RecordPrinter) async throws {
        var options = ConsumerOptions()
        options.start = self.from == .end ? .end : .start
        try await apus.withConsumer(of: self.topics, in: group, options: options) { consumer in
            for try await batch in consumer {
                do {
                    try await printer.print(batch)
                } catch let enough as EnoughRecords {
                    try await printer.flush()
                    let taken = await printer.takenOfBatch
                    // The last one that was looked at: what comes behind it is for the next time.
                    if let last = try batch.records().prefix(taken).last {
                        let place = NamedPartition(batch.topic, batch.partition)
                        try await consumer.commit([place: GroupPosition(last.offset.next)])
                    }
                    throw enough
                }
                // It counts as printed when the next batch is asked for.
                try await printer.flush()
            }
        }
    }

    private func start(of topic: String, at now: Timestamp, _ apus: ApusClient) async throws -> ReaderStart {
        let isBounded = self.until != nil || self.exitAtEnd || self.count != nil
        let position = self.from ?? (isBounded ? .start : .end)
        guard case .afterStart = position else { return position.readerStart(at: now) }
        let starts = try await apus.topics.offsets(of: topic, at: .start).mapValues(\.offset)
        return position.readerStart(at: now, starts: starts)
    }

    func style() throws -> RecordPrinter.Style {
        if let format = self.format { return .format(format) }
        switch (self.output ?? .raw, self.metaOnly) {
        case (.raw, false): return .values
        case (.raw, true): return .format(try RecordFormat("%t\\t%p\\t%o\\t%d\\t%K\\t%V\\n"))
        case (.table, false): return .format(try RecordFormat("%t[%p]@%o  %d{iso}  %k  %v\\n"))
        case (.table, true): return .format(try RecordFormat("%t[%p]@%o  %d{iso}  key %K  value %V\\n"))
        case (.json, let metaOnly): return .json(isDocument: true, metaOnly: metaOnly)
        case (.ndjson, let metaOnly): return .json(isDocument: false, metaOnly: metaOnly)
        }
    }
}

/// The number of records that was asked for has been printed.
struct EnoughRecords: Error {}
