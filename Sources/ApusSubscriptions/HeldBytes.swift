package import ApusCore

/// What one reader holds where records stay until they are read.
package struct HeldBytes: Hashable, Sendable {
    /// What it has not read, alone or with others, and the topic itself would not keep.
    package var held: ByteCount
    /// What would go if it went.
    package var own: ByteCount

    package init(held: ByteCount = .zero, own: ByteCount = .zero) {
        self.held = held
        self.own = own
    }
}

/// A part of a log that is freed as a whole, with the offsets in it.
package struct ReadableBytes: Hashable, Sendable {
    package var offsets: Range<Offset>
    package var aged: AgedBytes

    package init(offsets: Range<Offset>, aged: AgedBytes) {
        self.offsets = offsets
        self.aged = aged
    }
}

extension PartitionReaders {
    /// Who holds what of one partition, with `apus.retention.mode = consumed`: everything from its position on that is
    /// older than the floor. Only the slowest holds anything that nobody else does.
    ///
    /// - Parameters:
    ///   - parts: oldest first.
    ///   - now: as retention sees it.
    package func held(
        _ parts: [ReadableBytes], by readers: [Reader], policy: RetentionPolicy, at now: Timestamp
    ) -> [SubscriptionID: HeldBytes] {
        guard let floor = policy.floor else { return [:] }
        let free = parts.filter { $0.aged.newest < now.earlier(by: floor) }
        guard !free.isEmpty else { return [:] }
        /// Bytes of the first n parts.
        var sums = [ByteCount.zero]
        for part in free { sums.append((sums.last ?? .zero) + part.aged.byteCount) }
        let all = sums.last ?? .zero
        /// Bytes that a reader at this offset does not need any more.
        func read(_ position: Offset) -> ByteCount {
            var low = 0
            var high = free.count
            while low < high {
                let middle = low + (high - low) / 2
                if free[middle].offsets.upperBound <= position { low = middle + 1 } else { high = middle }
            }
            return sums[low]
        }
        func outdated(_ period: Duration) -> ByteCount {
            sums[free.prefix { $0.aged.newest < now.earlier(by: period) }.count]
        }
        var passed: [(id: SubscriptionID, bytes: ByteCount)] = []
        for reader in readers {
            var bytes = read(self.position(of: reader.id) ?? .zero)
            // It waits for nothing that has left its window.
            if let period = reader.period.flatMap({ policy.period(stated: $0) }) {
                bytes = max(bytes, outdated(period))
            }
            passed.append((reader.id, bytes))
        }
        passed.sort { $0.bytes < $1.bytes }
        var held: [SubscriptionID: HeldBytes] = [:]
        for (place, reader) in passed.enumerated() {
            var own = ByteCount.zero
            if place == 0 { own = (passed.count > 1 ? passed[1].bytes : all) - reader.bytes }
            held[reader.id] = HeldBytes(held: all - reader.bytes, own: own)
        }
        return held
    }
}
