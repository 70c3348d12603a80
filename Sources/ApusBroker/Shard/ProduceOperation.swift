import ApusCore
import NIOCore

/// One produce request's entries for one shard, until all of them are answered.
///
/// Unchecked because: made on the caller's loop, handed over whole, and from then on touched on its shard's loop only.
final class ProduceOperation: @unchecked Sendable {
    struct Entry {
        let topic: Topic
        let partition: PartitionIndex
        /// Emptied once taken, so that a slow partition does not keep the bytes of the others.
        var records: ByteBuffer
        let isKeyed: Bool
        fileprivate var isResolved = false

        init(topic: Topic, partition: PartitionIndex, records: ByteBuffer, isKeyed: Bool = false) {
            self.isKeyed = isKeyed
            self.topic = topic
            self.partition = partition
            self.records = records
        }
    }

    let acks: Acks
    let timeout: Duration
    var entries: [Entry]
    private(set) var isAnswered = false
    /// Runs while the promise is waited for.
    var timer: TimerWheel<ShardDeadline>.Timer?

    private var results: [ProduceResult]
    private var remaining: Int
    /// Where it goes when all entries have their results; called once, on the shard's loop.
    private var finish: (([ProduceResult]) -> Void)?

    init(entries: [Entry], acks: Acks, timeout: Duration, finish: @escaping ([ProduceResult]) -> Void) {
        self.entries = entries
        self.acks = acks
        self.timeout = timeout
        self.results = [ProduceResult](repeating: ProduceResult(error: .timedOut), count: entries.count)
        self.remaining = entries.count
        self.finish = finish
    }

    /// The batch is appended; this will be its result if the promise is kept.
    func expect(_ index: Int, _ result: ProduceResult) {
        self.results[index] = result
    }

    func promiseKept(_ index: Int) {
        guard !self.isAnswered, !self.entries[index].isResolved else { return }
        self.entries[index].isResolved = true
        self.remaining -= 1
        if self.remaining == 0 { self.answer() }
    }

    /// The result of one entry is known. After a time-out it changes nothing.
    func resolve(_ index: Int, _ result: ProduceResult) {
        guard !self.isAnswered else { return }
        self.results[index] = result
        self.promiseKept(index)
    }

    /// What is not resolved by now is answered ``BrokerError/timedOut``: it may still be written.
    func timedOut() {
        guard !self.isAnswered else { return }
        for index in self.entries.indices where !self.entries[index].isResolved {
            self.results[index] = ProduceResult(error: .timedOut)
        }
        self.answer()
    }

    private func answer() {
        self.isAnswered = true
        let finish = self.finish
        self.finish = nil
        finish?(self.results)
    }
}
