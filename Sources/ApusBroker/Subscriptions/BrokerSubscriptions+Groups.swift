import ApusCore
import ApusSubscriptions
import Logging
import NIOCore
import Synchronization

/// Consumer groups become subscriptions. On the home loop.
extension BrokerSubscriptions {
    private static let attemptsMax = 5

    /// Takes over the groups that were seen.
    func registerSeen() {
        guard !self.isStopped, case .read = self.view.knowledge else { return }
        let seen = self.shared.withLock { $0.seen.take() }
        self.registering.add(seen)
        self.register()
    }

    /// Tells the catalogue of as many as may be under way at a time.
    func register() {
        guard !self.isStopped, let catalogue = self.catalogue, case .read = self.view.knowledge else { return }
        let index = self.view.index
        let now = self.now()
        // Taken out behind the walk, which a change would have to copy.
        var done: [SubscriptionName] = []
        for (name, group) in self.registering.all where !self.inFlight.contains(name) {
            guard self.inFlight.count < Limits.groupRegistrationsInFlightMax else { break }
            switch GroupSubscription.decide(
                group: name, topics: group.topics, owner: group.owner, index: index, at: now)
            {
            case .known, .isQueue:
                done.append(name)
            case .full(let leftOut):
                done.append(name)
                self.tellLeftOut(leftOut, name)
            case .refused(let field):
                done.append(name)
                self.logger.warning(
                    "a consumer group can not be a subscription",
                    metadata: ["group": "\(name.text.limited)", "reason": "\(field)"])
            case .commit(let transaction, let leftOut):
                let isNewOwner = transaction.changes.count > 1
                // Its first group makes an owner known; the others wait for that.
                if isNewOwner, !self.ownersInFlight.insert(group.owner).inserted { continue }
                if leftOut > 0 { self.tellLeftOut(leftOut, name) }
                self.inFlight.insert(name)
                catalogue.commit(transaction) { answer in
                    self.home.loop.execute {
                        self.inFlight.remove(name)
                        if isNewOwner { self.ownersInFlight.remove(group.owner) }
                        self.registered(name, answer)
                    }
                }
            }
        }
        for name in done { self.registering.remove(name) }
    }

    /// At most once a minute, whichever group it is.
    private func tellLeftOut(_ count: Int, _ name: SubscriptionName) {
        if let at = self.leftOutToldAt, self.seconds &- at < 60 { return }
        self.leftOutToldAt = self.seconds
        self.logger.warning(
            """
            a consumer group reads more topics than a subscription names: the others do not wait for it. Whoever may \
            read them all can give it a pattern.
            """,
            metadata: [
                "group": "\(name.text.limited)", "named": "\(Limits.topicsPerSubscriptionMax)", "others": "\(count)",
            ])
    }

    private func registered(_ name: SubscriptionName, _ answer: Result<CatalogueReceipt, CatalogueError>) {
        switch answer {
        case .success(let receipt):
            self.isRefusalTold = false
            // It is asked again: topics may have come meanwhile.
            self.apply(receipt)
            self.register()
        case .failure(let error):
            let attempts = self.registering.refused(name)
            var isWorthAnother = error.isRetryable
            if case .conflict = error { isWorthAnother = true }
            if case .unknown = error { isWorthAnother = true }
            if !isWorthAnother || attempts >= Self.attemptsMax { self.registering.remove(name) }
            if !self.isRefusalTold {
                self.isRefusalTold = true
                self.logger.warning(
                    "consumer groups are not written into the catalogue",
                    metadata: ["group": "\(name.text.limited)", "reason": "\(error)"])
            }
            guard isWorthAnother, self.registerAgainAt == nil else { return }
            if case .conflict = error { return self.registerAgainAt = self.seconds &+ 1 }
            self.registerAgainAt = self.seconds &+ UInt32(clamping: Limits.catalogueRetryPeriod.components.seconds)
        }
    }

    /// The group was deleted.
    func unregister(_ name: SubscriptionName) {
        self.registering.remove(name)
        self.shared.withLock { shared in
            shared.seen.remove(name)
            let positions = shared.unclaimed.removeValue(forKey: name) ?? [:]
            shared.unclaimedCount -= positions.count
        }
        guard !self.isStopped, let catalogue = self.catalogue,
            let known = self.view.index.subscription(named: name)
        else { return }
        // What somebody stated of it outlives the group.
        guard GroupSubscription.isAsMade(known.subscription) else {
            for shard in self.shards { shard.mailbox.run { shard.forgetReaders([known.id]) } }
            return
        }
        let removal = CatalogueTransaction(
            [.removeSubscription(name, expecting: known.version)], by: Self.actor, at: self.now(),
            reason: "the consumer group was deleted")
        catalogue.commit(removal) { answer in
            self.home.loop.execute {
                switch answer {
                case .success(let receipt): self.apply(receipt)
                case .failure(let error):
                    // Nobody uses it any more: it expires.
                    self.logger.warning(
                        "the subscription of a deleted group stays for now",
                        metadata: ["group": "\(name.text.limited)", "reason": "\(error)"])
                }
            }
        }
    }
}
