import ApusCore
import ApusLog
import Logging
import NIOCore

/// Records of groups that are damaged.
///
/// Which groups they were of, nobody can say; so the groups of the partition are not served, rather than at positions
/// that somebody moved on from long ago. It stays so until the records are back, or an operator says, with a file in
/// the partition's directory, that the groups shall go on without them. Then all that is whole is read, written anew,
/// and the log begins behind the damage (``GroupSalvage``).
extension ShardCoordinator {
    private var log: LogIdentity {
        LogIdentity(TopicPartition(topic: self.topicID, partition: self.partition))
    }

    /// A piece could not be read.
    func meet(_ error: BrokerError, at offset: Offset) {
        guard let topic = self.world.topic(self.topicID) else { return self.failed("the topic is gone") }
        self.shard.withSlot(of: topic, self.partition) { [unowned self] slot in
            guard case .loading = self.phase else { return }
            // A log that failed says itself what can be done about it, and what is not open is opened again.
            guard let log = (try? slot.get())?.partition?.log, log.failure == nil else {
                return self.failed("\(error)")
            }
            guard let damage = log.damage.first(where: { $0.offsets.contains(offset) }) else {
                return self.failed("\(error)", next: Self.wayOutOfUnreadable)
            }
            self.meet(GroupLoss(offsets: offset..<damage.offsets.upperBound, what: "\(damage)"))
        }
    }

    /// What the disk does not give back is not damage yet: it may the next time.
    private static let wayOutOfUnreadable = """
        it is tried again by itself; where the disk can not read the file any more (the kernel's log says so), stop \
        the broker and put a copy in its place, with zeros for what can not be read (dd bs=4096 conv=noerror,sync): \
        that is damage then, and the next error says what to do
        """

    /// Reads over it if that was accepted.
    func meet(_ loss: GroupLoss) {
        guard self.salvage == nil else {
            self.salvage?.lose(loss)
            return self.read(from: loss.offsets.upperBound, wait: .zero)
        }
        let file = self.log.acceptedDamage
        self.world.ports.disk.run(in: self.shard.newLane(givesWay: true), on: self.shard.loop) { disk in
            defer { disk.close(file) }
            // Whatever keeps us from seeing it: it was not accepted.
            return (try? disk.size(of: file)) != nil
        } then: { isAccepted in
            guard case .loading = self.phase else { return }
            if isAccepted { return self.load(GroupSalvage()) }
            self.failed(
                "damaged records: \(loss.what)",
                next: """
                    put the file back from a copy while the broker is stopped; or let the groups go on without these \
                    records: make an empty file \(self.world.settings.dataDirectory)/\(file), and within \
                    \(Limits.groupReloadPause.upperBound.components.seconds) s all that is whole is served
                    """)
        }
    }

    /// All of it was read, as far as it is whole: writes that anew and begins there.
    /// - Parameter end: of the log now.
    func putInOrder(_ salvage: GroupSalvage, end: Offset) {
        self.append(salvage.batches(at: self.world.ports.clock.wallTime)[...], of: salvage, end: end)
    }

    private func append(_ batches: ArraySlice<ByteBuffer>, of salvage: GroupSalvage, end: Offset) {
        guard case .loading = self.phase else { return }
        guard let topic = self.world.topic(self.topicID) else { return self.failed("the topic is gone") }
        guard let batch = batches.first else { return self.begin(topic, at: end, salvage) }
        let entry = ProduceOperation.Entry(topic: topic, partition: self.partition, records: batch)
        let operation = ProduceOperation(entries: [entry], acks: .all, timeout: .seconds(Int64(Int32.max))) {
            [unowned self] results in
            if let error = results.first?.error {
                return self.failed("what is whole can not be written behind the damage: \(error)")
            }
            // In another turn of the loop, so that the stack does not grow with them.
            self.shard.loop.execute { self.append(batches.dropFirst(), of: salvage, end: end) }
        }
        self.shard.produce(operation)
    }

    private func begin(_ topic: Topic, at start: Offset, _ salvage: GroupSalvage) {
        let deletion = RecordDeletion(topic: .id(topic.id), partition: self.partition, before: start)
        self.shard.deleteRecords(topic, deletion, timeout: .seconds(Int64(Int32.max))) { result in
            guard case .loading = self.phase else { return }
            if case .failure(let error) = result {
                return self.failed("the log can not be made to begin behind the damage: \(error)")
            }
            self.forgetAcceptance(salvage)
        }
    }

    /// It was for this damage only. Noted first: with the file goes the only other trace of it.
    private func forgetAcceptance(_ salvage: GroupSalvage) {
        let lost = salvage.losses.map(\.what).joined(separator: "; ")
        self.world.access.audit.noteAtMachine(
            .acceptDamage, "\(self.label): \(salvage.recordCount) records kept, without \(lost)")
        self.removeAcceptance { result in
            guard case .loading = self.phase else { return }
            if case .failure(let error) = result { return self.failed("\(error): it must be removed") }
            self.world.ports.logger.warning(
                "groups go on without records that were damaged, as was accepted",
                metadata: [
                    "partition": "\(self.label)", "kept": "\(salvage.recordCount)",
                    "lost": "\(lost)",
                ])
            self.finish()
        }
    }

    /// Nothing was damaged: what was accepted needlessly must not stand for damage that comes later.
    func dropAcceptance() {
        self.removeAcceptance { result in
            guard case .success(true) = result else { return }
            self.world.access.audit.noteAtMachine(.acceptDamage, "\(self.label): nothing is damaged")
            self.world.ports.logger.notice(
                "no records of groups are damaged: \(self.log.acceptedDamage.name) is taken away",
                metadata: ["partition": "\(self.label)"])
        }
    }

    /// - Parameter then: whether there was any.
    private func removeAcceptance(then: @escaping @Sendable (Result<Bool, DiskError>) -> Void) {
        let log = self.log
        self.world.ports.disk.run(in: self.shard.newLane(givesWay: true), on: self.shard.loop) { disk in
            Result { () throws(DiskError) in
                disk.close(log.acceptedDamage)
                do throws(DiskError) {
                    try disk.remove(log.acceptedDamage)
                } catch {
                    guard error.reason == .notFound else { throw error }
                    return false
                }
                try disk.syncDirectory(log.directory)
                return true
            }
        } then: {
            then($0)
        }
    }
}
