import ApusCore

/// The connections of one loop, in as many parts as the sweep has, and until when each may be left alone.
///
/// A quiet connection costs the sweep eight bytes of an array that it reads from one end to the other: to look into
/// ten thousand connections that have nothing to say is to fetch ten thousand pieces of memory, each second.
struct EndpointRoster {
    /// Where a connection stands.
    struct Seat {
        var part: UInt8
        var index: UInt32
    }

    /// The connections whose turn it is.
    struct Turn {
        /// Those that may have lost rights.
        var renewed: [EndpointConnection] = []
        var due: [EndpointConnection] = []
    }

    private struct Part {
        var connections: [EndpointConnection] = []
        /// In the connections' order.
        var quietUntil: [Instant] = []
        /// The rules that all of them were held against; nil: not all were.
        var rights: Int64?
    }

    private var parts = Array(repeating: Part(), count: Limits.edgeSweepSlices)
    private var filling = 0
    private var sweeping = 0
    private(set) var count = 0

    var all: [EndpointConnection] { self.parts.flatMap(\.connections) }
    /// The next turn is the first of a second.
    var isAtBeginning: Bool { self.sweeping == 0 }

    mutating func add(_ connection: EndpointConnection) {
        let part = self.filling
        self.filling = (part + 1) % self.parts.count
        connection.seat = Seat(
            part: UInt8(truncatingIfNeeded: part),
            index: UInt32(truncatingIfNeeded: self.parts[part].connections.count))
        self.parts[part].connections.append(connection)
        self.parts[part].quietUntil.append(.longAgo)
        self.parts[part].rights = nil
        self.count += 1
    }

    /// False when it is not here.
    mutating func remove(_ connection: EndpointConnection) -> Bool {
        guard let seat = connection.seat else { return false }
        connection.seat = nil
        self.count -= 1
        let (part, index) = (Int(seat.part), Int(seat.index))
        // The last takes the place that is free now.
        let last = self.parts[part].connections.removeLast()
        let until = self.parts[part].quietUntil.removeLast()
        guard last !== connection else { return true }
        last.seat = seat
        self.parts[part].connections[index] = last
        self.parts[part].quietUntil[index] = until
        return true
    }

    /// Leaves a connection alone until then, unless it is disturbed.
    mutating func leave(_ connection: EndpointConnection, until: Instant) {
        guard let seat = connection.seat else { return }
        self.parts[Int(seat.part)].quietUntil[Int(seat.index)] = until
    }

    mutating func disturb(_ connection: EndpointConnection) { self.leave(connection, until: .longAgo) }

    mutating func renewRights(of connection: EndpointConnection) {
        guard let seat = connection.seat else { return }
        self.parts[Int(seat.part)].rights = nil
    }

    /// The next part of the sweep.
    /// - Parameter rights: the version of the rules of now.
    mutating func next(at now: Instant, rights: Int64) -> Turn {
        let part = self.sweeping
        self.sweeping = (part + 1) % self.parts.count
        var turn = Turn()
        if self.parts[part].rights != rights {
            self.parts[part].rights = rights
            turn.renewed = self.parts[part].connections
        }
        for (index, until) in self.parts[part].quietUntil.enumerated() where until <= now {
            turn.due.append(self.parts[part].connections[index])
        }
        return turn
    }
}

extension Instant {
    /// Before all that happens.
    static let longAgo = Instant(nanoseconds: 0)
}
