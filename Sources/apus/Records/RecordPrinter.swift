import ApusClient
import ApusCommand
import ApusCore
import NIOCore

/// Writes batches of several topics to standard output, one at a time.
actor RecordPrinter {
    enum Style: Sendable {
        /// Each value and a line feed: the fast way.
        case values
        case format(RecordFormat)
        case json(isDocument: Bool, metaOnly: Bool)
    }

    private var style: Style
    private let matches: [RecordMatch]
    private var left: Int
    private var isFirst = true
    /// Records of the last batch that were looked at.
    private(set) var takenOfBatch = 0
    private var output = StandardOutput()

    init(style: Style, matches: [RecordMatch] = [], countMax: Int?) {
        self.matches = matches
        self.style = style
        self.left = countMax ?? .max
    }

    /// Throws ``EnoughRecords`` when the number that was asked for is reached.
    func print(_ batch: ReaderBatch) throws {
        self.takenOfBatch = 0
        if case .values = self.style, self.matches.isEmpty {
            try self.printValues(batch)
        } else {
            try batch.forEachRecord { record in
                self.takenOfBatch += 1
                let shown = ShownRecord(record, of: batch)
                guard self.matches.allSatisfy({ $0.holds(for: shown) }) else { return }
                try self.countDown()
                try self.write(shown)
                if self.left == 0 { throw EnoughRecords() }
            }
        }
        // More is on its way: gather. Nothing is: whoever watches wants to see it now.
        if batch.nextOffset >= batch.highWatermark { try self.output.flush() }
    }

    /// The same for records that came one by one.
    func print(_ records: [ShownRecord]) throws {
        for record in records where self.matches.allSatisfy({ $0.holds(for: record) }) {
            try self.countDown()
            try self.write(record)
            if self.left == 0 { throw EnoughRecords() }
        }
    }

    /// What was printed has left.
    func flush() throws { try self.output.flush() }

    func finish() throws {
        if case .json(isDocument: true, _) = self.style {
            self.output.buffer.writeString(self.isFirst ? "[]\n" : "\n]\n")
        }
        try self.output.flush()
    }

    private func countDown() throws {
        guard self.left > 0 else { throw EnoughRecords() }
        self.left -= 1
    }

    /// Bare values, without all that stands around each.
    private func printValues(_ batch: ReaderBatch) throws {
        var (output, left) = (StandardOutput.none, self.left)
        swap(&output, &self.output)
        defer {
            swap(&output, &self.output)
            self.takenOfBatch = self.left - left
            self.left = left
        }
        try batch.forEachValue { value in
            guard left > 0 else { throw EnoughRecords() }
            left -= 1
            if let value { output.buffer.writeImmutableBuffer(value) }
            output.buffer.writeInteger(UInt8(ascii: "\n"))
            try output.flushIfLarge()
            if left == 0 { throw EnoughRecords() }
        }
    }

    private func write(_ record: ShownRecord) throws {
        switch self.style {
        case .values:
            if let value = record.value { self.output.buffer.writeImmutableBuffer(value) }
            self.output.buffer.writeInteger(UInt8(ascii: "\n"))
        case .format(var format):
            format.write(record, into: &self.output.buffer)
            self.style = .format(format)
        case .json(let isDocument, let metaOnly):
            if isDocument { self.output.buffer.writeString(self.isFirst ? "[\n" : ",\n") }
            self.output.buffer.writeString(record.json(metaOnly: metaOnly).compact)
            if !isDocument { self.output.buffer.writeString("\n") }
        }
        self.isFirst = false
        try self.output.flushIfLarge()
    }
}

extension ShownRecord {
    init(_ record: ReaderRecord, of batch: ReaderBatch) {
        self.init(
            topic: record.topic, partition: record.partition, offset: record.offset, timestamp: record.timestamp,
            key: record.key, value: record.value,
            headers: record.headers.map { ShownRecord.Header(name: $0.name, value: $0.value) }
        )
        self.leaderEpoch = batch.leaderEpoch
        self.timestampType = record.timestamp.rawValue < 0 ? .none : batch.isLogAppendTime ? .logAppend : .create
        self.compression = batch.compression.map(\.rawValue) ?? "unknown"
    }
}
