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
        let seen = self.shared.withLock { shared in
            let seen = shared.seen
            shared.seen = [:]
            return seen
        }
        for (name, group) in seen {
            if self.registering[name] != nil {
                self.registering[name]?.topics.formUnion(group.topics)
            } else if self.registering.count < Limits.groupsUnregisteredMax {
                self.registering[name] = group
            }
        }
        self.register()
    }

    /// Tells the catalogue of as many as may be under way at a time.
    func register() {
        guard !self.isStopped, let catalogue = self.catalogue, case .read = self.view.knowledge else { return }
        let index = self.view.index
        let now = self.now()
        for (name, group) in self.registering where !self.inFlight.contains(name) {
            guard self.inFlight.count < Limits.groupRegistrationsInFlightMax else { return }
            switch GroupSubscription.decide(
                group: name, topics: group.topics, owner: group.owner, index: index, at: now)
            {
            case .known, .isQueue:
                self.registering[name] = nil
            case .refused(let field):
                self.registering[name] = nil
                self.logger.warning(
                    "a consumer group can not be a subscription",
                    metadata: ["group": "\(name.text.limited)", "reason": "\(field)"])
            case .commit(let transaction):
                let isNewOwner = transaction.changes.count > 1
                // Its first group makes an owner known; the others wait for that.
                if isNewOwner, !self.ownersInFlight.insert(group.owner).inserted { continue }
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
    }

    private func registered(_ name: SubscriptionName, _ answer: Result<CatalogueReceipt, CatalogueError>) {
        switch answer {
        case .success(let receipt):
            self.isRefusalTold = false
            // It is asked again: topics may have come meanwhile.
            self.apply(receipt)
            self.register()
        case .failure(let error):
            let attempts = (self.registering[name]?.attempts ?? 0) + 1
            self.registering[name]?.attempts = attempts
            var isWorthAnother = error.isRetryable
            if case .conflict = error { isWorthAnother = true }
            if case .unknown = error { isWorthAnother = true }
            if !isWorthAnother || attempts >= Self.attemptsMax { self.registering[name] = nil }
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
        self.registering[name] = nil
        self.shared.withLock { shared in
            shared.seen[name] = nil
            let positions = shared.unclaimed.removeValue(forKey: name) ?? [:]
            shared.unclaimedCount -= positions.count
        }
        guard !self.isStopped, let catalogue = self.catalogue,
            let known = self.view.index.subscription(named: name)
        else { return }
        guard known.subscription.origin == .group else {
            for shard in self.shards { shard.mailbox.run { shard.forgetReader(known.id) } }
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
