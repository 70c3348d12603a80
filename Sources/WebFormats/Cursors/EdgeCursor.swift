package import ApusCore

/// Where a client stands in a channel: the next offset of each partition it reads. What a push carries, and what a
/// client that reconnects brings back.
///
/// **A push has two kinds of cursor, so that its cost does not grow with the topic's partitions.** The whole one names
/// all partitions; the step names one, and counts from the whole one before it:
///
/// | | in a push | a client that resumes exactly |
/// |---|---|---|
/// | whole | `"cursor":"…"` | keeps it in place of all that it kept |
/// | step | `"step":"…"` | keeps it beside the cursor, in place of the step of the same partition |
///
/// and brings all that it kept: `"cursor":["…","…"]`. A client that keeps nothing but the last `cursor` loses nothing
/// either; it may see again what came since. Up to ``Limits/cursorPartitionsCheap`` partitions every cursor is whole,
/// and so is every cursor of a channel that is in one partition. ``CursorCadence`` says when the others are.
///
/// A cursor grants nothing: rights are asked when a channel is subscribed to. It is signed all the same, so that what
/// comes back is what went out, and nobody reads meaning into it that we would have to keep.
package enum EdgeCursor: Hashable, Sendable {
    /// The next offset in every partition of the topic, from partition 0 on.
    case whole([Offset])
    /// The channel is in one partition only, and this is its next offset.
    case single(PartitionIndex, next: Offset)
    /// One partition came from the position that the whole cursor before has for it (or an earlier one) to `next`.
    case step(PartitionIndex, since: Offset, next: Offset)
}

/// Why a text is no cursor for this channel.
package enum CursorError: Error, Hashable, Sendable {
    /// Not in the form of any cursor.
    case malformed
    /// It ends too soon, or something follows it.
    case truncated
    /// Of a version that this node does not know.
    case version(UInt8)
    /// Made for another topic: mostly one of the same name that was deleted.
    case otherTopic
    /// Not made by us, or changed since, or made for another channel of the topic.
    case forged
    /// Steps came without the cursor that they count from, or with several.
    case noWholeCursor
    /// The step of this partition counts from a later cursor than the one that came with it.
    case stepMissing(PartitionIndex)
    /// It names partitions that this node has not heard of yet.
    case unknownPartitions

    /// Whether the same cursor may be taken a moment later.
    package var isRetryable: Bool { self == .unknownPartitions }

    /// For people.
    package var text: String {
        switch self {
        case .malformed: "this is no cursor"
        case .truncated: "the cursor is not whole"
        case .version(let version): "the cursor is of version \(version), which this node does not know"
        case .otherTopic: "the cursor belongs to another topic, or to one of this name that was deleted"
        case .forged: "the cursor was not made here for this channel"
        case .noWholeCursor: "steps come behind the one cursor that they count from"
        case .stepMissing(let partition): "the step of partition \(partition) counts from a cursor that did not come"
        case .unknownPartitions: "the cursor names partitions that this node has not heard of yet"
        }
    }
}
