import ApusCore
import HTTPTypes
import Synchronization
import WebFormats

/// How long requests took until their answers began, for each route, as a histogram. Any thread.
final class RouteTimes: Sendable {
    /// What is at most so long is counted; the last counts all.
    static let bounds: [Duration] = [
        .milliseconds(1), .milliseconds(5), .milliseconds(25), .milliseconds(100), .milliseconds(500), .seconds(2),
        .seconds(10),
    ]

    private struct Row {
        /// The last one: longer than all bounds.
        var counts = [Int](repeating: 0, count: RouteTimes.bounds.count + 1)
        var sum = Duration.zero
    }

    /// Each with a lock of its own: a busy route waits for no other.
    private final class Route: Sendable {
        let row = Mutex(Row())
    }

    private let routes: [Route]

    init(count: Int) {
        self.routes = (0..<count).map { _ in Route() }
    }

    func took(_ duration: Duration, route index: Int) {
        let bucket = Self.bounds.firstIndex { duration <= $0 } ?? Self.bounds.count
        self.routes[index].row.withLock { row in
            row.counts[bucket] += 1
            row.sum += duration
        }
    }

    /// - Parameter routes: in the order in which they are counted. Those that nobody has asked are left out.
    func metric(_ routes: [WebRoute]) -> Metric {
        var samples: [Metric.Sample] = []
        for (route, times) in zip(routes, self.routes) {
            let row = times.row.withLock { $0 }
            guard row.counts.contains(where: { $0 > 0 }) else { continue }
            let labels: [(name: StaticString, value: String)] = [
                ("method", route.method.rawValue), ("route", route.path),
            ]
            var total = 0
            for (index, count) in row.counts.enumerated() {
                total += count
                let bound = index < Self.bounds.count ? "\(Self.seconds(Self.bounds[index]))" : "+Inf"
                samples.append(Metric.Sample(Double(total), labels + [("le", bound)], suffix: "_bucket"))
            }
            samples.append(Metric.Sample(Self.seconds(row.sum), labels, suffix: "_sum"))
            samples.append(Metric.Sample(Double(total), labels, suffix: "_count"))
        }
        return Metric(
            "apus_http_request_duration_seconds", .histogram, "How long requests took until their answers began.",
            samples)
    }

    private static func seconds(_ duration: Duration) -> Double {
        Double(duration.components.seconds) + Double(duration.components.attoseconds) / 1e18
    }
}
