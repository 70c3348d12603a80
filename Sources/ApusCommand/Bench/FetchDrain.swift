package import NIOCore

/// Reads answers to Fetch version 11 as they stream in, and keeps nothing of them but offsets and counts: the records
/// themselves are skipped, so that a load generator does not become what is measured.
///
/// Only for brokers that are trusted to speak the protocol; still, nothing that comes can trap.
package struct FetchDrain {
    /// The version of the request this reads the answers of: the last one without tagged fields.
    package static let version: Int16 = 11

    package struct Malformed: Error {}

    /// One finished answer: where to read on in each partition that had records, or its error.
    package struct Answer: Sendable {
        package var next: [Int32: Int64] = [:]
        package var errors: [Int32: Int16] = [:]
        package var highWatermarks: [Int32: Int64] = [:]
    }

    private enum Step {
        case frame
        case topics
        case topic
        case partition
        case batch
    }

    package private(set) var records: Int64 = 0
    package private(set) var bytes: Int64 = 0

    private var step = Step.frame
    private var rest = ByteBuffer()
    /// Bytes to pass over before the next step.
    private var skip = 0
    private var topicsLeft: Int32 = 0
    private var partitionsLeft: Int32 = 0
    /// Bytes of records that are still to come in this partition.
    private var recordBytesLeft = 0
    private var partition: Int32 = 0
    private var answer = Answer()

    package init() {}

    /// Takes what came; tells of each answer that is complete.
    package mutating func feed(_ chunk: ByteBuffer, _ done: (Answer) -> Void) throws(Malformed) {
        if self.rest.readableBytes == 0 {
            self.rest = chunk
        } else {
            self.rest.writeImmutableBuffer(chunk)
        }
        while true {
            let passed = min(self.skip, self.rest.readableBytes)
            self.rest.moveReaderIndex(forwardBy: passed)
            self.skip -= passed
            guard self.skip == 0, try self.advance(done) else { break }
        }
        // What is left is shorter than a header: copied, so that the large chunk can be used for the next read.
        self.rest = ByteBuffer(bytes: self.rest.readableBytesView)
    }

    /// Takes one step; false when bytes are missing for it.
    private mutating func advance(_ done: (Answer) -> Void) throws(Malformed) -> Bool {
        switch self.step {
        case .frame:
            // Length, correlation id, throttle time, error, session id.
            guard let fields = self.rest.readMultipleIntegers(as: (Int32, Int32, Int32, Int16, Int32).self) else {
                return false
            }
            guard fields.3 == 0 else { throw Malformed() }
            self.step = .topics
        case .topics:
            guard let count: Int32 = self.rest.readInteger() else { return false }
            self.topicsLeft = count
            try self.nextTopic(done)
        case .topic:
            guard let length = self.rest.getInteger(at: self.rest.readerIndex, as: Int16.self) else { return false }
            guard length >= 0 else { throw Malformed() }
            guard self.rest.readableBytes >= 2 + Int(length) + 4 else { return false }
            self.rest.moveReaderIndex(forwardBy: 2 + Int(length))
            self.partitionsLeft = self.rest.readInteger() ?? 0
            try self.nextPartition(done)
        case .partition: return try self.readPartition(done)
        case .batch: return try self.readBatch(done)
        }
        return true
    }

    private mutating func nextTopic(_ done: (Answer) -> Void) throws(Malformed) {
        if self.topicsLeft > 0 {
            self.topicsLeft -= 1
            self.step = .topic
        } else {
            done(self.answer)
            self.answer = Answer()
            self.step = .frame
        }
    }

    private mutating func nextPartition(_ done: (Answer) -> Void) throws(Malformed) {
        if self.partitionsLeft > 0 {
            self.partitionsLeft -= 1
            self.step = .partition
        } else {
            try self.nextTopic(done)
        }
    }

    private mutating func readPartition(_ done: (Answer) -> Void) throws(Malformed) -> Bool {
        var fields = self.rest
        // Index, error, high watermark, last stable offset, log start offset, aborted transactions.
        guard
            let head = fields.readMultipleIntegers(as: (Int32, Int16, Int64, Int64, Int64, Int32).self)
        else { return false }
        let aborted = max(0, Int(head.5))
        // Each aborted transaction has two Int64; a benchmark's topic has none or few.
        guard aborted < 1000 else { throw Malformed() }
        guard fields.readableBytes >= aborted * 16 + 8 else { return false }
        fields.moveReaderIndex(forwardBy: aborted * 16)
        guard let (_, recordBytes) = fields.readMultipleIntegers(as: (Int32, Int32).self) else { return false }
        self.rest = fields
        self.partition = head.0
        if head.1 != 0 { self.answer.errors[head.0] = head.1 }
        self.answer.highWatermarks[head.0] = head.2
        self.recordBytesLeft = max(0, Int(recordBytes))
        try self.nextBatch(done)
        return true
    }

    private mutating func nextBatch(_ done: (Answer) -> Void) throws(Malformed) {
        if self.recordBytesLeft > 0 {
            self.step = .batch
        } else {
            try self.nextPartition(done)
        }
    }

    private mutating func readBatch(_ done: (Answer) -> Void) throws(Malformed) -> Bool {
        let headerBytes = 61
        // A batch cut off by the fetch limit (KIP-74 allows it): it comes again, whole.
        guard self.recordBytesLeft >= headerBytes else {
            self.skip = self.recordBytesLeft
            self.recordBytesLeft = 0
            try self.nextBatch(done)
            return true
        }
        guard self.rest.readableBytes >= headerBytes else { return false }
        let start = self.rest.readerIndex
        guard let base = self.rest.getInteger(at: start, as: Int64.self),
            let length = self.rest.getInteger(at: start + 8, as: Int32.self), length >= 49,
            let lastDelta = self.rest.getInteger(at: start + 23, as: Int32.self), lastDelta >= 0,
            let count = self.rest.getInteger(at: start + 57, as: Int32.self), count >= 0,
            base >= 0, base < .max - Int64(Int32.max) - 1
        else { throw Malformed() }
        let total = 12 + Int(length)
        if total <= self.recordBytesLeft {
            self.records += Int64(count)
            self.bytes += Int64(total)
            self.answer.next[self.partition] = base + Int64(lastDelta) + 1
        }
        self.skip = min(total, self.recordBytesLeft)
        self.recordBytesLeft -= self.skip
        try self.nextBatch(done)
        return true
    }
}
