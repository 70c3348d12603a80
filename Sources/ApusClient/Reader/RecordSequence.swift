import ApusCore
import NIOCore

/// The records of a topic; see ``ApusClient/read(_:partitions:from:until:options:)``. Each iteration reads anew.
public struct RecordSequence: AsyncSequence, Sendable {
    public typealias Element = ReaderRecord

    let batches: BatchSequence

    public func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(batches: self.batches.makeAsyncIterator())
    }

    public struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate var batches: BatchSequence.AsyncIterator
        private var cursor: RecordCursor?

        fileprivate init(batches: BatchSequence.AsyncIterator) {
            self.batches = batches
        }

        /// The next record; nil at the asked end. Waits at the end of the log.
        public mutating func next() async throws -> ReaderRecord? {
            while true {
                if let record = try self.cursor?.next() { return record }
                guard let batch = try await self.batches.next() else {
                    self.cursor = nil
                    return nil
                }
                self.cursor = try RecordCursor(batch)
            }
        }
    }
}

/// The batches of a topic; see ``ApusClient/readBatches(_:partitions:from:until:options:)``. Each iteration reads anew.
public struct BatchSequence: AsyncSequence, Sendable {
    public typealias Element = ReaderBatch

    let core: ClientCore
    let plan: ReaderPlan

    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(core: self.core, plan: self.plan) }

    public struct AsyncIterator: AsyncIteratorProtocol {
        private let core: ClientCore
        private let plan: ReaderPlan
        private var lease: ReaderLease?
        private var isOver = false

        fileprivate init(core: ClientCore, plan: ReaderPlan) {
            self.core = core
            self.plan = plan
        }

        /// The next batch; nil at the asked end. Waits at the end of the log.
        public mutating func next() async throws -> ReaderBatch? {
            guard !self.isOver else { return nil }
            do {
                let lease = try await self.started()
                if let batch = try await lease.next() { return batch }
            } catch {
                self.end()
                throw error
            }
            self.end()
            return nil
        }

        private mutating func end() {
            self.isOver = true
            self.lease = nil
        }

        private mutating func started() async throws -> ReaderLease {
            if let lease = self.lease { return lease }
            let lease = try await self.plan.start(on: self.core)
            self.lease = lease
            return lease
        }
    }
}

/// Ends the fetching when the iteration is given up.
final class ReaderLease: Sendable {
    private let engine: ReaderEngine

    init(_ engine: ReaderEngine) {
        self.engine = engine
    }

    func next() async throws -> ReaderBatch? {
        let engine = self.engine
        while true {
            switch engine.mailbox.take() {
            case .batch(let batch, let resumes):
                if resumes { engine.core.loop.execute { engine.pump() } }
                return batch
            case .ended(let result):
                try result.get()
                return nil
            case .wait(let waiter):
                try await waiter.value()
            }
        }
    }

    deinit {
        let engine = self.engine
        engine.core.loop.execute { engine.abandon() }
    }
}
