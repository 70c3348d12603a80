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
    private var left: Int
    private var isFirst = true
    private var output = StandardOutput()

    init(style: Style, countMax: Int?) {
        self.style = style
        self.left = countMax ?? .max
    }

    /// Throws ``EnoughRecords`` when the number that was asked for is reached.
    func print(_ batch: ReaderBatch) throws {
        try batch.forEachRecord { record in
            guard self.left > 0 else { throw EnoughRecords() }
            self.left -= 1
            try self.write(record)
            if self.left == 0 { throw EnoughRecords() }
        }
        // More is on its way: gather. Nothing is: whoever watches wants to see it now.
        if batch.nextOffset >= batch.highWatermark { try self.output.flush() }
    }

    func finish() throws {
        if case .json(isDocument: true, _) = self.style {
            self.output.buffer.writeString(self.isFirst ? "[]\n" : "\n]\n")
        }
        try self.output.flush()
    }

    private func write(_ record: ReaderRecord) throws {
        switch self.style {
        case .values:
            if let value = record.value { self.output.buffer.writeImmutableBuffer(value) }
            self.output.buffer.writeInteger(UInt8(ascii: "\n"))
        case .format(var format):
            format.write(ShownRecord(record), into: &self.output.buffer)
            self.style = .format(format)
        case .json(let isDocument, let metaOnly):
            if isDocument { self.output.buffer.writeString(self.isFirst ? "[\n" : ",\n") }
            self.output.buffer.writeString(ShownRecord(record).json(metaOnly: metaOnly).compact)
            if !isDocument { self.output.buffer.writeString("\n") }
        }
        self.isFirst = false
        try self.output.flushIfLarge()
    }
}

extension ShownRecord {
    init(_ record: ReaderRecord) {
        self.init(
            topic: record.topic, partition: record.partition, offset: record.offset, timestamp: record.timestamp,
            key: record.key, value: record.value,
            headers: record.headers.map { ShownRecord.Header(name: $0.name, value: $0.value) }
        )
    }
}
