import ApusCore
import NIOCore
import Synchronization

/// Between the task that keeps a member in its group and the task that processes what it reads: what is handed out,
/// what was processed, and when partitions may be given up.
///
/// A batch counts as processed when the next one is asked for. Partitions are given up only then, so that nobody else
/// gets a record whose processing goes on here, unless it takes longer than the group waits.
final class ConsumerDesk: Sendable {
    private struct State {
        var session: ConsumerSession?
        /// The position behind the batch that is being processed.
        var inHand: (partition: NamedPartition, next: GroupPosition)?
        /// Where processing has come to, as far as it is not yet committed.
        var processed: [NamedPartition: GroupPosition] = [:]
        /// Waits for the next session, or the end.
        var reader: Waiter?
        /// Waits until nothing is being processed.
        var keeper: Waiter?
        var end: Result<Void, any Error>?
    }

    enum Next {
        case session(ConsumerSession)
        case wait(Waiter)
        case ended(Result<Void, any Error>)
    }

    private let state = Mutex(State())

    // MARK: The task that processes

    /// The batch that was handed out before is processed.
    func next() -> Next {
        let (next, keeper) = self.state.withLock { state -> (Next, Waiter?) in
            if let (partition, position) = state.inHand.take() { state.processed[partition] = position }
            let keeper = state.keeper.take()
            if let end = state.end { return (.ended(end), keeper) }
            if let session = state.session { return (.session(session), keeper) }
            let waiter = Waiter()
            state.reader = waiter
            return (.wait(waiter), keeper)
        }
        keeper?.wake()
        return next
    }

    /// Whether the batch may be processed: its partition may be gone since it was fetched.
    func takes(_ batch: ReaderBatch, of session: ConsumerSession) -> Bool {
        self.state.withLock { state in
            guard state.session === session else { return false }
            state.inHand = (
                NamedPartition(batch.topic, batch.partition),
                GroupPosition(batch.nextOffset, leaderEpoch: batch.leaderEpoch)
            )
            return true
        }
    }

    // MARK: The task that keeps the membership

    func opened(_ session: ConsumerSession) {
        let reader = self.state.withLock { state in
            state.session = session
            return state.reader.take()
        }
        reader?.wake()
    }

    /// Hands nothing out any more.
    func close() -> ConsumerSession? {
        self.state.withLock { state in state.session.take() }
    }

    /// Somebody to wait for when a batch is still being processed.
    func busy() -> Waiter? {
        self.state.withLock { state in
            guard state.inHand != nil else { return nil }
            let waiter = Waiter()
            state.keeper = waiter
            return waiter
        }
    }

    /// What was processed and not taken before.
    func takeProcessed() -> [NamedPartition: GroupPosition] {
        self.state.withLock { state in
            let processed = state.processed
            state.processed = [:]
            return processed
        }
    }

    /// The same, and what is being processed too: somebody says that it is done.
    func takeAll() -> [NamedPartition: GroupPosition] {
        self.state.withLock { state in
            if let (partition, position) = state.inHand { state.processed[partition] = position }
            let processed = state.processed
            state.processed = [:]
            return processed
        }
    }

    /// Could not be committed for now; what has been processed since counts more.
    func putBack(_ positions: [NamedPartition: GroupPosition]) {
        self.state.withLock { state in state.processed.merge(positions) { newer, _ in newer } }
    }

    /// Of what was processed before partitions were shared out anew, only what is still to be committed: in partitions
    /// that came back, and beyond where the group is there. Anything else is for others to commit, or they have.
    /// - Returns: where to go on, instead of where the group is.
    func keepProcessed(
        in partitions: [NamedPartition], beyond committed: [NamedPartition: GroupPosition]
    ) -> [NamedPartition: GroupPosition] {
        let ours = Set(partitions)
        return self.state.withLock { state in
            state.processed = state.processed.filter { partition, position in
                ours.contains(partition) && committed[partition].map { $0.offset < position.offset } ?? true
            }
            return state.processed
        }
    }

    /// What was processed in partitions that went is not ours to commit any more.
    func forgetProcessed() {
        self.state.withLock { state in state.processed = [:] }
    }

    func end(_ result: Result<Void, any Error>) {
        let waiters = self.state.withLock { state in
            if state.end == nil { state.end = result }
            return [state.reader.take(), state.keeper.take()]
        }
        for waiter in waiters { waiter?.wake() }
    }
}

/// What a member reads between two rebalances.
final class ConsumerSession: Sendable {
    let mailbox: ReaderMailbox
    private let core: ClientCore
    private let engines: [ReaderEngine]

    init(_ core: ClientCore, mailbox: ReaderMailbox, engines: [ReaderEngine]) {
        self.core = core
        self.mailbox = mailbox
        self.engines = engines
    }

    func start() {
        self.core.loop.execute { for engine in self.engines { engine.start() } }
    }

    /// There is room again.
    func pump() {
        self.core.loop.execute { for engine in self.engines { engine.pump() } }
    }

    /// Ends the fetching, and wakes who waits for what would have come.
    func stop() {
        self.mailbox.end(.success(()))
        self.core.loop.execute { for engine in self.engines { engine.abandon() } }
    }
}
