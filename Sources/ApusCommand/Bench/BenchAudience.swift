package import ApusCore

/// Who listened to a load: the connections of an endpoint server, and what they cost its process before anything was
/// pushed to them.
package struct BenchAudience: Sendable {
    /// `ws` or `sse`.
    package var transport: String
    package var connections: Int
    /// Channels of all connections together.
    package var channels: Int
    /// From the first connection to the last subscription.
    package var connecting: Duration
    /// Resident memory of the server's process before the first connection and behind the last subscription; nil when
    /// the process is not known.
    package var memory: (before: ByteCount, after: ByteCount)?
    /// How long they were left alone, and the server's CPU time in it.
    package var idle: Duration = .zero
    package var idleTime: Duration?

    package init(transport: String, connections: Int, channels: Int, connecting: Duration) {
        self.transport = transport
        self.connections = connections
        self.channels = channels
        self.connecting = connecting
    }

    /// Of the server's memory, for each connection with its channels.
    package var bytesPerConnection: Double? {
        self.memory.map { Double($0.after.rawValue - $0.before.rawValue) / Double(self.connections) }
    }

    /// Part of one core that the quiet connections cost, in percent.
    package var idlePercent: Double? {
        guard let time = self.idleTime, self.idle > .zero else { return nil }
        return 100 * Double(time.wholeNanoseconds) / Double(self.idle.wholeNanoseconds)
    }

    var fields: [(String, JSON)] {
        func number(_ value: Double?, _ digits: Int) -> JSON {
            value.map { .number(Double(Numbers.fixed($0, digits)) ?? $0) } ?? .null
        }
        return [
            ("transport", .string(self.transport)), ("connections", .integer(Int64(self.connections))),
            ("channels", .integer(Int64(self.channels))),
            ("connect_seconds", number(Double(self.connecting.wholeNanoseconds) / 1e9, 3)),
            ("memory_bytes_per_connection", number(self.bytesPerConnection, 0)),
            ("idle_seconds", number(Double(self.idle.wholeNanoseconds) / 1e9, 1)),
            ("idle_core_percent", number(self.idlePercent, 3)),
        ]
    }

    var text: String {
        var text = "\(Numbers.grouped(Int64(self.connections))) connections (\(self.transport)), "
        text += "\(Numbers.grouped(Int64(self.channels))) channels, subscribed in \(Numbers.duration(self.connecting))"
        if let bytes = self.bytesPerConnection {
            text += ", \(Numbers.fixed(bytes, 0)) bytes of the server's memory for each connection"
        }
        text += ".\n"
        if let percent = self.idlePercent {
            text += "Left alone for \(Numbers.duration(self.idle)): \(Numbers.fixed(percent, 2)) % of a core.\n"
        }
        return text
    }
}
