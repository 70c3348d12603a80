import ApusBroker
import ApusCore
import NIOCore
import WebFormats

/// Beginning with the newest record of each key: the pass that finds them, for one client.
extension EndpointConnection {
    /// Finds them in what the channel's partitions have; `then` is called once, unless the subscription is left before.
    func findLastValues(
        _ token: SubscriptionToken, _ channel: EdgeChannel, of topic: TopicID, _ kept: [PartitionIndex: KeptRange],
        then: @escaping (Result<[PartitionIndex: LastValues], Problem>) -> Void
    ) {
        self.loop.beginScan { [self] in
            guard self.places[token] != nil else { return self.loop.endScan() }
            self.scan(token, channel, of: topic, LastValueScan(kept), then: then)
        }
    }

    private func scan(
        _ token: SubscriptionToken, _ channel: EdgeChannel, of topic: TopicID, _ scan: LastValueScan,
        then: @escaping (Result<[PartitionIndex: LastValues], Problem>) -> Void
    ) {
        guard self.places[token] != nil else { return self.loop.endScan() }
        guard let wish = scan.wish else {
            self.loop.endScan()
            let found = scan.lastValues
            let count = found.values.reduce(0) { $0 + $1.offsets.count }
            guard self.loop.holdLastValues(count) else {
                let detail = "too many clients are given the newest record of each key just now"
                return then(.failure(Problem(.overloaded, detail)))
            }
            self.places.lastValueCounts[token] = count
            return then(.success(found))
        }
        let entry = FetchEntry(
            topic: .id(topic), partition: wish.partition, offset: wish.from,
            bytesMax: Limits.edgeCatchUpBytesMax)
        // All of it is there; what is not there for a moment is looked for again.
        let limits = FetchLimits(
            bytesMin: .bytes(1), bytesMax: Limits.edgeCatchUpBytesMax, waitMax: Limits.connectionSweepPeriod)
        let bound = NIOLoopBound((connection: self, then: then), eventLoop: self.loop.eventLoop)
        self.door.upstream.fetch(
            [entry], limits: limits, client: self.reader(of: channel), on: self.loop.eventLoop
        ) { results in
            let (connection, then) = bound.value
            let outcome = Self.finds([wish], results, channel)
            connection.loop.eventLoop.assumeIsolated().execute {
                var scan = scan
                do {
                    for found in try outcome.get() { try scan.found(found) }
                    connection.scan(token, channel, of: topic, scan, then: then)
                } catch let problem as Problem {
                    connection.loop.endScan()
                    then(.failure(problem))
                } catch {
                    connection.loop.endScan()
                    let detail = "'\(channel)' has more than \(Limits.lastValuesMax) keys, or too long ones"
                    then(.failure(Problem(.tooMany, detail, hint: "begin with 'earliest'")))
                }
            }
        }
    }

    func forgetLastValues(ifLive token: SubscriptionToken) {
        guard !self.places.lastValueCounts.isEmpty, self.session.isLive(token) else { return }
        self.forgetLastValues(of: token)
    }

    /// The client has been given them, or has gone: what was held for it is let go of.
    func forgetLastValues(of token: SubscriptionToken) {
        guard let count = self.places.lastValueCounts.removeValue(forKey: token) else { return }
        self.loop.holdLastValues(-count)
    }
}
