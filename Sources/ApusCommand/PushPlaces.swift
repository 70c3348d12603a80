/// How far a client has come in its channels: what it brings when it comes back.
///
/// A push has a cursor, which says everything, or in topics of many partitions a step, which says one partition's place
/// and counts from the cursor before it. The last cursor and the last step of each partition behind it are enough.
package struct PushPlaces: Sendable {
    private struct Place: Sendable {
        var cursor: String?
        var steps: [Int64: String] = [:]
    }

    private var places: [String: Place] = [:]

    package init() {}

    package mutating func reached(_ cursor: String, in channel: String) {
        self.places[channel] = Place(cursor: cursor)
    }

    package mutating func reached(step: String, of partition: Int64, in channel: String) {
        self.places[channel, default: Place()].steps[partition] = step
    }

    /// The cursors to bring; empty: the client has none yet.
    package func cursors(of channel: String) -> [String] {
        guard let place = self.places[channel], let cursor = place.cursor else { return [] }
        return [cursor] + place.steps.sorted { $0.key < $1.key }.map(\.value)
    }
}
