package import ApusClient
package import ApusCore

/// What a seek of a group would change: where it is and where it would be, in each partition. Decides; asks nobody.
package struct GroupSeekPlan: Sendable {
    /// Where to.
    package enum Target: Hashable, Sendable {
        case start
        case end
        case offset(Offset)
        /// The first record of that time or later; the end when there is none.
        case time(Timestamp)
        /// So many offsets on from the position, or back.
        case by(Int64)
    }

    /// What is known of one partition.
    package struct Place: Hashable, Sendable {
        package var partition: NamedPartition
        package var position: Offset?
        package var start: Offset
        package var end: Offset
        /// Of the first record of the target's time or later.
        package var timed: Offset?

        package init(_ partition: NamedPartition, position: Offset?, start: Offset, end: Offset, timed: Offset? = nil) {
            self.partition = partition
            self.position = position
            self.start = start
            self.end = end
            self.timed = timed
        }
    }

    package struct Move: Hashable, Sendable {
        package var place: Place
        package var target: Offset

        /// Offsets that will be read again (below 0) or passed over; nil without a position.
        package var change: Int64? { self.place.position.map { self.target.rawValue - $0.rawValue } }
        package var lag: Int64 { self.place.end.rawValue - self.target.rawValue }
    }

    /// By partition, those that stay where they are too.
    package private(set) var moves: [Move] = []

    /// A target outside the partition is held at its start or end. With `.by`, partitions without a position stay so.
    package init(_ target: Target, _ places: [Place]) {
        for place in places.sorted(by: { $0.partition < $1.partition }) {
            let wanted: Offset
            switch target {
            case .start: wanted = place.start
            case .end: wanted = place.end
            case .offset(let offset): wanted = offset
            case .time: wanted = place.timed ?? place.end
            case .by(let count):
                guard let position = place.position else { continue }
                let (sum, overflow) = position.rawValue.addingReportingOverflow(count)
                wanted = overflow ? (count > 0 ? place.end : place.start) : Offset(rawValue: sum)
            }
            self.moves.append(Move(place: place, target: min(max(wanted, place.start), place.end)))
        }
    }

    /// What to commit: only where something changes.
    package var positions: [NamedPartition: GroupPosition] {
        self.moves.reduce(into: [:]) { positions, move in
            if move.change != 0 { positions[move.place.partition] = GroupPosition(move.target) }
        }
    }

    /// How a seek ends that some partitions refused, while others moved; nil when none did.
    package func failure(of refused: [NamedPartition: ApusError]) -> CommandFailure? {
        guard let first = refused.min(by: { $0.key < $1.key }) else { return nil }
        let topics = Dictionary(grouping: refused.keys.sorted(), by: \.topic).sorted { $0.key < $1.key }
        let choices = topics.map { topic, partitions in
            "--topic \(topic):" + partitions.map { "\($0.partition.rawValue)" }.joined(separator: ",")
        }.joined(separator: " ")
        // Not the same command: --by would move the others once more.
        let rest = choices.count <= Self.choicesLengthMax ? choices : "--topic TOPIC:0,2 for each that was refused"
        return CommandFailure(
            refused.values.allSatisfy(\.isRetryable) ? .retryable : .failure, code: "partly_done",
            "\(refused.count) of \(self.positions.count) partitions were not moved; "
                + "\(first.key): \(first.value.message)",
            next: "the same again with \(rest)")
    }

    /// Characters of a hint: longer ones nobody copies.
    private static let choicesLengthMax = 300

    /// - Parameters:
    ///   - isDone: whether it has been done, or would be.
    ///   - refused: where it could not be done.
    package func listing(isDone: Bool, refused: [NamedPartition: ApusError] = [:]) -> Listing {
        var listing = Listing([
            .init("topic"), .init("partition", isNumber: true), .init("start", isNumber: true),
            .init("end", isNumber: true), .init("position", isNumber: true), .init("new_position", isNumber: true),
            .init("change", isNumber: true), .init("lag", "NEW-LAG", isNumber: true), .init("result"),
        ])
        for move in self.moves {
            let refusal = refused[move.place.partition].map { "refused: \($0.message)" }
            let result = refusal ?? (move.change == 0 ? "stays" : isDone ? "moved" : "would move")
            listing.add([
                .text(move.place.partition.topic), .number(move.place.partition.partition.rawValue),
                .number(move.place.start.rawValue), .number(move.place.end.rawValue),
                move.place.position.map { .number($0.rawValue) } ?? .nothing, .number(move.target.rawValue),
                move.change.map { Cell(.integer($0), text: ($0 > 0 ? "+" : "") + Numbers.grouped($0)) } ?? .nothing,
                .count(move.lag), .text(result),
            ])
        }
        return listing
    }
}
