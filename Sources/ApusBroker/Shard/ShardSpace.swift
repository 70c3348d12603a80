import Synchronization

/// Whether the data directory has room for more records. One shard looks once a second and writes it, all read it.
final class ShardSpace: Sendable {
    private let low = Atomic<Bool>(false)

    /// True: what clients produce is refused, so that positions of groups and metadata can still be written.
    var isLow: Bool {
        get { self.low.load(ordering: .relaxed) }
        set { self.low.store(newValue, ordering: .relaxed) }
    }
}
