import ApusCore
import KafkaWire

extension ApusClient {
    /// Consumes topics as a member of a group for the length of `body`: the partitions are shared with the group's
    /// other members, and where the group has come to is kept by the cluster.
    ///
    /// ```swift
    /// try await apus.withConsumer(of: ["orders"], in: "billing") { consumer in
    ///     for try await batch in consumer {
    ///         try batch.forEachRecord { record in bill(record) }
    ///     }
    /// }
    /// ```
    /// A batch counts as processed when the loop asks for the next; what was processed is committed every
    /// ``ConsumerOptions/commitInterval``, when partitions go to others, and at the end. A record may so be seen twice
    /// after a crash, and never not at all. On the way out the member leaves its group, so that others need not wait
    /// for its session to end.
    /// - Throws: `.invalidArgument`, `.unknownTopic`, `.notAuthorized`, `.refused`; and what `body` throws.
    public func withConsumer<Answer: Sendable>(
        of topics: [String], in group: String, options: ConsumerOptions = ConsumerOptions(),
        _ body: (GroupConsumer) async throws -> Answer
    ) async throws -> Answer {
        try options.check(topics, group)
        let desk = ConsumerDesk()
        let member = GroupMember(core: self.core, group: group, topics: topics, options: options, desk: desk)
        return try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { await member.run() }
            do {
                let answer = try await body(GroupConsumer(core: self.core, desk: desk, member: member))
                tasks.cancelAll()
                try await tasks.waitForAll()
                return answer
            } catch {
                tasks.cancelAll()
                // It never throws: how it ended is told to whoever reads.
                try? await tasks.waitForAll()
                throw error
            }
        }
    }
}

/// The batches that a member of a group gets, as they come; see ``ApusClient/withConsumer(of:in:options:_:)``.
/// One loop at a time.
public struct GroupConsumer: AsyncSequence, Sendable {
    public typealias Element = ReaderBatch

    let core: ClientCore
    let desk: ConsumerDesk
    let member: GroupMember

    /// Commits everything that was handed out, the batch in hand too.
    /// - Throws: `.refused` when the partitions have gone to others meanwhile; `.timedOut` and the like.
    public func commit() async throws {
        try await self.member.commitOrKeep(self.desk.takeAll())
    }

    /// Commits these positions: for who stops in the middle of a batch.
    public func commit(_ positions: [NamedPartition: GroupPosition]) async throws {
        try await self.member.commit(positions)
    }

    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(desk: self.desk) }

    public struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate let desk: ConsumerDesk

        /// The next batch; the one before counts as processed. Waits at the end of the log, and while the group shares
        /// out. Nil when the consumer was closed.
        public mutating func next() async throws -> ReaderBatch? {
            while true {
                switch self.desk.next() {
                case .ended(let result):
                    try result.get()
                    return nil
                case .wait(let waiter): try await waiter.value()
                case .session(let session):
                    switch session.mailbox.take() {
                    case .wait(let waiter): try await waiter.value()
                    case .batch(let batch, let resumes):
                        if resumes { session.pump() }
                        if self.desk.takes(batch, of: session) { return batch }
                    // Without an error: it was taken from the desk, then stopped. The next one comes.
                    case .ended(let result): try result.get()
                    }
                }
            }
        }
    }
}
