package import ApusCore
package import ApusLog
package import NIOCore

/// Where the logs ended when the broker was last stopped in order: the content of the data directory's file `ends`.
///
///     APUSEND1 │ format UInt32 │ life Int32 │ clean UInt32, 0 or 1 │ count UInt32
///     │ count × { topic id 2 × UInt64, partition Int32, life Int32, end Int64 }, sorted by topic and partition
///     │ CRC-32C UInt32
///
/// Big-endian. A log without records is not in it. This is the one thing on the disk that tells of records whose files
/// are gone altogether. A start that follows such a stop has every end as it was; one that follows a crash still knows
/// that no log may end below. Each end has the start number of the broker that noted it. Kept as the file's bytes and
/// searched in place: 32 bytes for each partition of a broker that may have a million.
package struct LogEnds: Hashable, Sendable {
    private static let magic: UInt64 = 0x4150_5553_454E_4431
    private static let format: UInt32 = 1
    private static let headBytes = 24
    private static let entryBytes = 32

    /// The start number of the broker whose end it tells of.
    package let life: Epoch
    /// Whether that broker vouched for every log: none has a torn end, and those not in the list have no record.
    package let isClean: Bool
    private var entries: ByteBuffer

    package init(life: Epoch = .none, isClean: Bool = false) {
        self.init(life: life, isClean: isClean, ByteBuffer())
    }

    private init(life: Epoch, isClean: Bool, _ entries: ByteBuffer) {
        self.life = life
        self.isClean = isClean
        self.entries = entries
    }

    package var count: Int { self.entries.readableBytes / Self.entryBytes }

    /// The same, no longer vouched for: there was a life since that did not end in order.
    package var unclean: LogEnds { LogEnds(life: self.life, isClean: false, self.entries) }

    /// The same, said by the next life: one that touched no log.
    package func carried(into life: Epoch) -> LogEnds {
        LogEnds(life: life, isClean: self.isClean, self.entries)
    }

    /// Nil: the log had no records, or nothing is known of it.
    package subscript(id: TopicPartition) -> NotedEnd? {
        var low = 0
        var high = self.count
        while low < high {
            let middle = low + (high - low) / 2
            guard let entry = self.entry(middle) else { return nil }
            if entry.id == id { return entry.noted }
            if entry.id < id { low = middle + 1 } else { high = middle }
        }
        return nil
    }

    /// These ends with others put in place of them; an end of zero leaves the list.
    ///
    /// - Parameter isKept: of an end in this list, whether it still tells of a partition that is there.
    package func replacing(
        _ ends: [TopicPartition: Offset], life: Epoch, isClean: Bool, keeping isKept: (TopicPartition, NotedEnd) -> Bool
    ) -> LogEnds {
        var merged = ByteBuffer()
        merged.reserveCapacity(self.entries.readableBytes + ends.count * Self.entryBytes)
        func put(_ id: TopicPartition, _ noted: NotedEnd) {
            guard noted.end > .zero else { return }
            merged.writeMultipleIntegers(
                id.topic.high, id.topic.low, id.partition.rawValue, noted.life.rawValue, noted.end.rawValue)
        }
        var next = 0
        for (id, end) in ends.sorted(by: { $0.key < $1.key }) {
            while let old = self.entry(next), old.id <= id {
                if old.id < id, isKept(old.id, old.noted) { put(old.id, old.noted) }
                next += 1
            }
            put(id, NotedEnd(end, in: life))
        }
        while let old = self.entry(next) {
            if isKept(old.id, old.noted) { put(old.id, old.noted) }
            next += 1
        }
        return LogEnds(life: life, isClean: isClean, merged)
    }

    // MARK: The file

    package func encoded() -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.reserveCapacity(Self.headBytes + self.entries.readableBytes + 4)
        buffer.writeMultipleIntegers(Self.magic, Self.format, self.life.rawValue)
        buffer.writeMultipleIntegers(self.isClean ? 1 : 0 as UInt32, UInt32(clamping: self.count))
        buffer.writeImmutableBuffer(self.entries)
        buffer.writeInteger(buffer.crc32c())
        return buffer
    }

    /// Nil unless it is whole, and exactly that.
    package init?(from bytes: ByteBuffer) {
        var body = bytes
        guard bytes.readableBytes >= Self.headBytes + 4,
            let covered = body.readSlice(length: bytes.readableBytes - 4), let crc = body.readInteger(as: UInt32.self),
            covered.crc32c() == crc
        else { return nil }
        var entries = covered
        guard let (magic, format, life) = entries.readMultipleIntegers(as: (UInt64, UInt32, Int32).self),
            let (clean, count) = entries.readMultipleIntegers(as: (UInt32, UInt32).self),
            magic == Self.magic, format == Self.format, clean <= 1, life >= 0, life < Int32.max,
            Int(count) * Self.entryBytes == entries.readableBytes
        else { return nil }
        self.init(life: Epoch(rawValue: life), isClean: clean == 1, entries.slice())
        var last: TopicPartition?
        for index in 0..<self.count {
            guard let entry = self.entry(index), entry.noted.end > .zero, entry.noted.end <= .storedMax,
                last.map({ $0 < entry.id }) ?? true
            else {
                return nil
            }
            last = entry.id
        }
    }

    private func entry(_ index: Int) -> (id: TopicPartition, noted: NotedEnd)? {
        guard var bytes = self.entries.getSlice(at: index * Self.entryBytes, length: Self.entryBytes),
            let (high, low, partition, life, end) = bytes.readMultipleIntegers(
                as: (UInt64, UInt64, Int32, Int32, Int64).self)
        else { return nil }
        let id = TopicPartition(
            topic: TopicID(high: high, low: low), partition: PartitionIndex(rawValue: partition))
        return (id, NotedEnd(Offset(rawValue: end), in: Epoch(rawValue: life)))
    }
}
