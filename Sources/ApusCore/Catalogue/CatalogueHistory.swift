/// How much a catalogue takes. Tests make it small.
package struct CatalogueCaps: Hashable, Sendable {
    package var consumers = Limits.consumersMax
    package var subscriptions = Limits.subscriptionsMax
    package var auditEntries = Limits.auditEntriesMax
    package var history = Limits.catalogueHistoryMax

    package init() {}
}

/// The newest commits, for watches that begin a moment after the read they follow.
package struct CatalogueHistory: Sendable {
    private var kept: [CatalogueReceipt] = []
    /// Everything after this version is kept.
    private var floor: CatalogueVersion
    private let max: Int

    package init(startingAt version: CatalogueVersion, keeping max: Int) {
        self.floor = version
        self.max = max
    }

    package mutating func append(_ receipt: CatalogueReceipt) {
        self.kept.append(receipt)
        // Let go of half at a time, so that it costs little for each.
        guard self.kept.count > self.max * 2 else { return }
        let dropped = self.kept.count - self.max
        self.floor = self.kept[dropped - 1].version
        self.kept.removeFirst(dropped)
    }

    /// What a watch from here on has to be told first.
    package func events(after version: CatalogueVersion) -> [CatalogueEvent] {
        guard version >= self.floor else { return [.missed] }
        return self.kept.filter { $0.version > version }.map { .committed($0) }
    }
}
