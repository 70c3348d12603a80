package import ApusCore

/// When a channel's push carries a whole cursor: when its bytes are few beside what has been pushed since the last.
///
/// So cursors add at most a quarter to what a channel pushes, however many partitions its topic has, and a client that
/// keeps only whole ones sees again at most four times their bytes. Owner: the channel, in its hub.
package struct CursorCadence: Sendable {
    /// Pushed since the last whole cursor.
    private var pushed = ByteCount.zero

    package init() {}

    /// - Parameters:
    ///   - bytes: the push, without its cursor.
    ///   - partitions: of the topic; 1 for a channel that is in one.
    package mutating func isWhole(pushing bytes: ByteCount, partitions: Int) -> Bool {
        self.pushed = self.pushed + bytes
        let cost = partitions * Limits.cursorBytesPerPartition.rawValue
        guard partitions <= Limits.cursorPartitionsCheap || self.pushed.rawValue / 4 >= cost else { return false }
        self.pushed = .zero
        return true
    }
}
