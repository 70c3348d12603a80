import NIOCore
package import WebFormats

/// What the clients of one event loop were given. Owner: its ``EndpointLoop``.
struct EndpointCounts: Sendable {
    /// Pushes to channels that have clients here.
    var pushes = 0
    /// The same, times the clients that were given them.
    var deliveries = 0
    /// Bytes that were written, of any kind.
    var bytes = 0
    /// How often a client was told that it missed something because it did not keep up.
    var skips = 0
    /// Connections that we closed, by reason.
    var closes: [CloseReason: Int] = [:]

    mutating func add(_ other: EndpointCounts) {
        self.pushes += other.pushes
        self.deliveries += other.deliveries
        self.bytes += other.bytes
        self.skips += other.skips
        self.closes.merge(other.closes, uniquingKeysWith: +)
    }
}

extension EndpointDoor {
    /// Numbers about the clients, for operators. Answers once, on any thread.
    package func metrics(_ then: @escaping @Sendable ([Metric]) -> Void) {
        self.collect { loop in
            (loop.counts, streams: loop.connections.count { $0.isStream }, all: loop.connectionCount)
        }.whenSuccess { loops in
            var counts = EndpointCounts()
            for loop in loops { counts.add(loop.0) }
            let streams = loops.reduce(0) { $0 + $1.streams }
            let sockets = loops.reduce(0) { $0 + $1.all } - streams
            then(Self.metrics(counts, sockets: sockets, streams: streams))
        }
    }

    private static func metrics(_ counts: EndpointCounts, sockets: Int, streams: Int) -> [Metric] {
        [
            Metric(
                "apus_edge_connections", .gauge, "Clients that are connected.",
                [
                    Metric.Sample(Double(sockets), [("transport", "websocket")]),
                    Metric.Sample(Double(streams), [("transport", "sse")]),
                ]),
            Metric("apus_edge_pushes_total", .counter, "Pushes to channels, once for each loop.", counts.pushes),
            Metric("apus_edge_deliveries_total", .counter, "Pushes that clients were given.", counts.deliveries),
            Metric("apus_edge_sent_bytes_total", .counter, "Bytes written for clients.", counts.bytes),
            Metric(
                "apus_edge_lagging_total", .counter, "Clients told that they missed something by not keeping up.",
                counts.skips),
            Metric(
                "apus_edge_closes_total", .counter, "Connections that this node closed, by reason.",
                CloseReason.allCases.map { reason in
                    Metric.Sample(Double(counts.closes[reason] ?? 0), [("reason", "\(reason.word)")])
                }),
        ]
    }
}
