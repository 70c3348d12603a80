import ApusCore
import Synchronization

/// The newest changes, for watches that begin a moment after the read they follow; and the watches.
struct StoreHistory {
    /// Changes kept. A broker reads, then watches: what lies between is little.
    static let changesMax = 4096

    private var kept: [(changes: [StoreChange], revision: StoreRevision)] = []
    private var keptChanges = 0
    /// Everything after this revision is kept.
    private var floor: StoreRevision
    private var all: [StoreWatcher] = []

    init(startingAt revision: StoreRevision) {
        self.floor = revision
    }

    /// The watches nobody has cancelled.
    var watchers: [StoreWatcher] {
        mutating get {
            self.all.removeAll { $0.isCancelled }
            return self.all
        }
    }

    /// Adds a watch. Answers what it must be told first.
    mutating func add(
        _ watcher: StoreWatcher, after revision: StoreRevision
    ) -> [(changes: [StoreChange], revision: StoreRevision)] {
        precondition(revision >= self.floor, "a watch from a revision that is not kept any more: read again first")
        self.all.append(watcher)
        return self.kept.filter { $0.revision > revision }
    }

    mutating func append(_ changes: [StoreChange], at revision: StoreRevision) {
        self.kept.append((changes, revision))
        self.keptChanges += changes.count
        // Let go of half at a time, so that it costs little for each.
        guard self.keptChanges > Self.changesMax * 2 else { return }
        var dropped = 0
        while self.keptChanges > Self.changesMax, dropped < self.kept.count {
            self.keptChanges -= self.kept[dropped].changes.count
            self.floor = self.kept[dropped].revision
            dropped += 1
        }
        self.kept.removeFirst(dropped)
    }
}

/// One watch: told on the store's queue, cancelled from anywhere.
final class StoreWatcher: StoreWatch {
    private let prefix: String
    private let onChange: @Sendable ([StoreChange], StoreRevision) -> Void
    private let cancelled = Atomic(false)

    init(prefix: String, onChange: @escaping @Sendable ([StoreChange], StoreRevision) -> Void) {
        self.prefix = prefix
        self.onChange = onChange
    }

    var isCancelled: Bool { self.cancelled.load(ordering: .acquiring) }

    /// Nothing is told after this returns, but for what is being told at this moment.
    func cancel() {
        self.cancelled.store(true, ordering: .releasing)
    }

    func tell(_ changes: [StoreChange], _ revision: StoreRevision) {
        let ours = changes.filter { change in
            switch change {
            case .put(let key, _), .delete(let key): key.utf8.starts(with: self.prefix.utf8)
            }
        }
        if !ours.isEmpty, !self.isCancelled { self.onChange(ours, revision) }
    }
}
