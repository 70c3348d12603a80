import ApusCore
import ApusLog
import KafkaWire
import NIOCore

/// What a produced batch must be, asked in Kafka's own order, so that a client with two faults hears of the same one.
///
/// The records of an uncompressed batch are walked: lengths and offset deltas, no keys or values, a few nanoseconds a
/// record. A compressed batch is not opened: its header (signed by the CRC, checked against itself) is believed for
/// count and timestamps. Decompressing every batch costs more than all the rest of a produce together, and what it
/// could find out harms only those who read what this producer wrote; every reader checks records itself.
struct BatchRules {
    let configuration: TopicConfiguration
    /// Its producer id is made of an idempotency key, as no client may.
    var isKeyed = false

    /// The header of the one batch that `records` are, or why it is refused.
    func check(_ records: ByteBuffer, wall: Timestamp) throws(BatchRefusal) -> RecordBatchHeader {
        let header = try self.header(of: records)
        guard header.baseOffset == 0 else {
            throw BatchRefusal(.invalidRecord("the base offset of a produced batch is 0, not \(header.baseOffset)"))
        }
        guard header.totalByteCount <= self.configuration.batchBytesMax.rawValue else {
            throw BatchRefusal(
                .batchTooLarge(.bytes(header.totalByteCount), limit: self.configuration.batchBytesMax)
            )
        }
        try Self.checkCRC(records)
        guard header.totalByteCount <= self.configuration.segmentBytes.rawValue else {
            throw BatchRefusal(
                .batchLargerThanSegment(.bytes(header.totalByteCount), limit: self.configuration.segmentBytes)
            )
        }
        try Self.checkCounts(header)
        guard header.isKeyed == self.isKeyed else {
            throw BatchRefusal(
                .invalidRecord("producer ids from \(Limits.keyedProducerIDFirst) on are made of idempotency keys"))
        }
        try self.checkTimes(header, wall: wall)
        guard let codec = header.attributes.codec else {
            throw BatchRefusal(.unsupportedCompression("the batch names a codec that does not exist"))
        }
        // Without keys nobody could tell which record is newer than which, so here compressed batches are opened, too.
        let needsKeys = self.configuration.compaction != nil
        if codec == .none {
            try RecordWalk.check(records, header, needsKeys: needsKeys)
        } else if needsKeys {
            try Self.checkKeys(records, header, codec)
        }
        return header
    }

    private static func checkKeys(
        _ records: ByteBuffer, _ header: RecordBatchHeader, _ codec: CompressionCodec
    ) throws(BatchRefusal) {
        var blob = records
        blob.moveReaderIndex(forwardBy: RecordBatchHeader.byteCount)
        let plain: ByteBuffer
        do throws(WireError) {
            plain = try codec.decompress(blob, outputBytesMax: WireLimits.decompressedBytesMax)
        } catch {
            throw BatchRefusal(.corruptBatch("the batch does not decompress: \(error)"))
        }
        try RecordWalk.check(plain, header, from: 0, needsKeys: true)
    }

    private func header(of records: ByteBuffer) throws(BatchRefusal) -> RecordBatchHeader {
        guard records.readableBytes > 0 else {
            throw BatchRefusal(.invalidRecord("exactly one batch is needed for each partition, there is none"))
        }
        let header: RecordBatchHeader
        do throws(WireError) {
            header = try RecordBatchHeader(from: records)
        } catch {
            switch error {
            case .unsupportedMagic(let magic):
                throw BatchRefusal(.invalidRecord("a batch has magic 2, not \(magic)"))
            case .batchHeader(.offsets), .batchHeader(.recordCount):
                throw BatchRefusal(.invalidRecord("offsets or record count of the batch can not be"))
            default:
                throw BatchRefusal(.corruptBatch("the batch's header is cut off or contradicts itself"))
            }
        }
        guard header.totalByteCount <= records.readableBytes else {
            throw BatchRefusal(
                .corruptBatch("the batch says \(header.totalByteCount) bytes, there are \(records.readableBytes)")
            )
        }
        guard header.totalByteCount == records.readableBytes else {
            throw BatchRefusal(.invalidRecord("exactly one batch is needed for each partition, there is more"))
        }
        return header
    }

    private static func checkCRC(_ records: ByteBuffer) throws(BatchRefusal) {
        do throws(WireError) {
            try RecordBatch(from: records).verifyCRC()
        } catch {
            throw BatchRefusal(.corruptBatch("the batch's CRC is not that of its bytes"))
        }
    }

    private static func checkCounts(_ header: RecordBatchHeader) throws(BatchRefusal) {
        guard header.recordCount > 0, Int64(header.lastOffsetDelta) + 1 == Int64(header.recordCount) else {
            throw BatchRefusal(
                .invalidRecord("\(header.recordCount) records with a last offset delta of \(header.lastOffsetDelta)")
            )
        }
        guard !header.attributes.hasDeleteHorizon else {
            throw BatchRefusal(.invalidRecord("a client can not say when compaction may remove records"))
        }
        guard !header.attributes.isControl else {
            throw BatchRefusal(.invalidRecord("a client can not write control batches"))
        }
        guard header.producerID < 0 || header.baseSequence >= 0 else {
            throw BatchRefusal(.invalidRecord("a producer id needs a sequence, not \(header.baseSequence)"))
        }
        guard header.producerID < 0 || header.producerEpoch >= 0 else {
            throw BatchRefusal(.invalidRecord("a producer id needs an epoch, not \(header.producerEpoch)"))
        }
        guard !header.attributes.isTransactional else {
            throw BatchRefusal(.invalidTransactionState("no transaction is open for this producer"))
        }
    }

    private func checkTimes(_ header: RecordBatchHeader, wall: Timestamp) throws(BatchRefusal) {
        guard !header.attributes.isLogAppendTime else {
            throw BatchRefusal(.invalidTimestamp("a client can not send batches stamped by the log"))
        }
        guard self.configuration.timestampType == .createTime else { return }
        if let after = self.configuration.timestampAfterMax {
            let (ahead, overflow) = header.maxTimestamp.subtractingReportingOverflow(wall.rawValue)
            guard !overflow || header.maxTimestamp < 0, overflow || ahead <= after.wholeMilliseconds else {
                throw BatchRefusal(
                    .invalidTimestamp(
                        "timestamp \(header.maxTimestamp) is more than \(after.wholeMilliseconds) ms ahead of the "
                            + "broker's clock (\(TopicOption.timestampAfterMax.name))")
                )
            }
        }
        // -1 is "no timestamp", which is not long ago.
        if let before = self.configuration.timestampBeforeMax, header.baseTimestamp != Timestamp.none.rawValue {
            guard header.baseTimestamp >= wall.earlier(by: before).rawValue else {
                throw BatchRefusal(
                    .invalidTimestamp(
                        "timestamp \(header.baseTimestamp) is more than \(before.wholeMilliseconds) ms behind the "
                            + "broker's clock (\(TopicOption.timestampBeforeMax.name))")
                )
            }
        }
    }
}

/// Why a batch is not taken, and which of its records was at fault where that is known.
struct BatchRefusal: Error {
    var error: BrokerError
    var records: [RecordError] = []

    init(_ error: BrokerError, record: RecordError? = nil) {
        self.error = error
        if let record { self.records = [record] }
    }
}

/// Walks records that are not compressed: each is as long as it says, their offset deltas are 0, 1, 2 and so on,
/// and they fill the bytes exactly. Total: the bytes are a client's.
enum RecordWalk {
    /// - Parameters:
    ///   - start: where in `bytes` the records begin.
    ///   - needsKeys: every record must have a key, and a value or none, as it says.
    static func check(
        _ bytes: ByteBuffer, _ header: RecordBatchHeader, from start: Int = RecordBatchHeader.byteCount,
        needsKeys: Bool = false
    ) throws(BatchRefusal) {
        let fault = bytes.withUnsafeReadableBytes { bytes in
            self.fault(in: bytes, from: start, count: header.recordCount, needsKeys: needsKeys)
        }
        guard let fault else { return }
        throw BatchRefusal(.invalidRecord("record \(fault.index): \(fault.message)"), record: fault)
    }

    /// `bytes` is read through subscripts that are checked, also in release.
    private static func fault(
        in bytes: UnsafeRawBufferPointer, from start: Int, count: Int32, needsKeys: Bool
    ) -> RecordError? {
        var position = start
        for index in 0..<count {
            guard let length = self.varint(in: bytes, at: &position), length >= 0, length <= bytes.count - position
            else { return RecordError(index: index, message: "its length does not fit the batch") }
            let end = position + Int(length)
            // The attributes byte; then the timestamp delta, whose value does not matter here.
            position += 1
            guard position <= end, self.varint(in: bytes, at: &position) != nil,
                let delta = self.varint(in: bytes, at: &position), position <= end
            else { return RecordError(index: index, message: "it is cut off") }
            guard delta == Int64(index) else {
                return RecordError(index: index, message: "its offset delta is \(delta)")
            }
            if needsKeys {
                guard let key = self.varint(in: bytes, at: &position), position <= end else {
                    return RecordError(index: index, message: "it is cut off")
                }
                guard key >= 0 else {
                    return RecordError(index: index, message: "a record of a compacted topic needs a key")
                }
            }
            position = end
        }
        return position == bytes.count
            ? nil : RecordError(index: max(0, count - 1), message: "there are bytes behind the last record")
    }

    /// A zig-zag varint of at most ten bytes; nil when it does not end.
    private static func varint(in bytes: UnsafeRawBufferPointer, at position: inout Int) -> Int64? {
        guard position < bytes.count else { return nil }
        let first = bytes[position]
        if first < 0x80 {
            position += 1
            return Int64(first >> 1) ^ -Int64(first & 1)
        }
        var value = UInt64(0)
        var shift: UInt64 = 0
        while position < bytes.count, shift < 64 {
            let byte = bytes[position]
            position += 1
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1) }
            shift += 7
        }
        return nil
    }
}
