/// The records of a topic; see ``ApusClient/read(_:partitions:from:until:options:)``. To be iterated once.
public struct RecordSequence: AsyncSequence, Sendable {
    public typealias Element = ReaderRecord

    let batches: BatchSequence

    public func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(batches: self.batches.makeAsyncIterator())
    }

    public struct AsyncIterator: AsyncIteratorProtocol {
        var batches: BatchSequence.AsyncIterator

        /// The next record; nil at the asked end. Waits at the end of the log.
        public mutating func next() async throws -> ReaderRecord? {
            throw ApusError(.unsupported, "not there yet")
        }
    }
}

/// The batches of a topic; see ``ApusClient/readBatches(_:partitions:from:until:options:)``. To be iterated once.
public struct BatchSequence: AsyncSequence, Sendable {
    public typealias Element = ReaderBatch

    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator() }

    public struct AsyncIterator: AsyncIteratorProtocol {
        /// The next batch; nil at the asked end. Waits at the end of the log.
        public mutating func next() async throws -> ReaderBatch? {
            throw ApusError(.unsupported, "not there yet")
        }
    }
}
