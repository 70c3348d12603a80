import ApusCore
import ApusLog
import ApusSubscriptions

/// What readers hold of one partition.
struct PartitionHoldings: Sendable {
    var parts: [AgedBytes]
    /// Of those who wait for records to be read; empty where age alone frees.
    var held: [SubscriptionID: HeldBytes]
    /// Records that each has not read; nil while positions are not all known.
    var unread: [SubscriptionID: Int64]?
}

/// Questions about readers. On the shard's loop.
extension Shard {
    func readers(
        of offset: Offset, _ topic: Topic, _ partition: PartitionIndex, then: @escaping Answer<ReaderCount>
    ) {
        guard self.knowsReaders else { return then(.failure(.positionsLoading)) }
        self.withSlot(of: topic, partition) { [unowned self] result in
            do throws(BrokerError) {
                let slot = try result.get()
                guard let partition = slot.partition else { throw .unknownTopicOrPartition }
                guard offset >= partition.log.startOffset, offset < partition.highWatermark else {
                    throw .offsetOutOfRange(logStart: partition.log.startOffset, logEnd: partition.highWatermark)
                }
                self.count(offset, slot, then)
            } catch {
                then(.failure(error))
            }
        }
    }

    private func count(_ offset: Offset, _ slot: PartitionSlot, _ then: @escaping Answer<ReaderCount>) {
        let policy = slot.topic.configuration.retentionPolicy
        let readers = self.world.subscriptions.view.index.readers(of: slot.topic.name)
        // The widest first: the periods behind the last of them count as the last one does.
        var periods: [Duration] = []
        for readers in readers.byPeriod {
            guard let period = policy.window(stated: readers.first?.period), !periods.contains(period) else { continue }
            guard periods.count < Limits.windowPeriodsPerPartitionMax / 2 else { break }
            periods.append(period)
        }
        let wanted = periods
        self.findStarts(of: wanted, slot) { [unowned self] in
            let known = self.readers[slot.id]
            then(
                .success(
                    known.count(at: offset, readers: readers, policy: policy) { period in
                        slot.windows.last(period) ?? wanted.last.flatMap { slot.windows.last($0) } ?? .zero
                    }))
        }
    }

    func holdings(
        _ topic: Topic, _ partition: PartitionIndex, _ readers: [Reader], then: @escaping Answer<PartitionHoldings>
    ) {
        let isKnown = self.knowsReaders
        self.withSlot(of: topic, partition) { [unowned self] result in
            do throws(BrokerError) {
                let slot = try result.get()
                guard let partition = slot.partition else { throw .unknownTopicOrPartition }
                let known = self.readers[slot.id]
                let policy = slot.topic.configuration.retentionPolicy
                let now = self.readRetentionClock()
                let parts = partition.log.parts
                var held: [SubscriptionID: HeldBytes] = [:]
                if policy.mode == .consumed, isKnown {
                    held = known.held(parts, by: readers, policy: policy, at: now)
                }
                var unread: [SubscriptionID: Int64]?
                if isKnown {
                    let (start, end) = (partition.log.startOffset, partition.highWatermark)
                    unread = [:]
                    for reader in readers {
                        let from = min(max(known.position(of: reader.id) ?? start, start), end)
                        unread?[reader.id] = end.rawValue - from.rawValue
                    }
                }
                then(.success(PartitionHoldings(parts: parts.map(\.aged), held: held, unread: unread)))
            } catch {
                then(.failure(error))
            }
        }
    }
}

extension Log {
    /// Its segments as retention sees them, oldest first.
    fileprivate var parts: [ReadableBytes] {
        self.segments.map { segment in
            ReadableBytes(
                offsets: segment.offsets, aged: AgedBytes(newest: segment.newest, byteCount: segment.byteCount))
        }
    }
}
