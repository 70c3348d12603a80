import ApusBroker
import ApusCore
import NIOCore
import Testing
import WebFormats

@testable import HTTPDoor

@Suite("Numbers for Prometheus", .timeLimit(.minutes(10)))
struct MetricsTests {
    @Test("partitions, groups and requests are told under the names that dashboards know")
    func names() async throws {
        try await WebWorld.run {
            $0.edgeMetrics = { then in then([Metric("apus_edge_pushes_total", .counter, "Pushes.", 7)]) }
        } _: { world in
            _ = try await world.ask("POST", "/v1/topics", #"{"name":"t","partitions":2}"#)
            let records =
                #"{"records":[{"value":1,"partition":0},{"value":2,"partition":0},{"value":3,"partition":1}]}"#
            _ = try await world.ask("POST", "/v1/topics/t/records", records)
            let seek = #"{"to":1,"topic":"t","partition":0}"#
            // A name from a stranger.
            let group = "/v1/groups/g%22%5C%7D:seek"
            var moved = try await world.ask("POST", group, seek)
            for _ in 0..<1000 where moved.status == 503 { moved = try await world.ask("POST", group, seek) }
            #expect(moved.status == 200, "\(moved.text)")
            let text = try await world.ask("GET", "/metrics").body
            let name = #"g\"\\}"#
            for line in [
                #"kafka_topic_partitions{topic="t"} 2"#,
                #"kafka_topic_partition_current_offset{topic="t",partition="0"} 2"#,
                #"kafka_topic_partition_oldest_offset{topic="t",partition="1"} 0"#,
                "kafka_consumergroup_current_offset{consumergroup=\"\(name)\",topic=\"t\",partition=\"0\"} 1",
                "kafka_consumergroup_lag{consumergroup=\"\(name)\",topic=\"t\",partition=\"0\"} 1",
                "kafka_brokers 1", "apus_metrics_left_out 0", "apus_edge_pushes_total 7",
                #"apus_http_request_duration_seconds_count{method="POST",route="/v1/topics"} 1"#,
                #"apus_http_request_duration_seconds_bucket{method="POST",route="/v1/topics",le="+Inf"} 1"#,
            ] {
                #expect(text.split(separator: "\n").contains(Substring(line)), "\(line)\n\(text)")
            }
        }
    }

    @Test("whatever a stranger's name has in it, its line is one line, and the name stays between its quotes")
    func labels() {
        var text = ByteBuffer()
        let name = "a\"\\\n\r\u{1B}[31m\u{85}\u{2028}\u{2029}\u{7F}\u{0}\u{e9}"
        text.writeMetric(Metric("m", .gauge, "Meaning.", [Metric.Sample(1.5, [("l", name)])]))
        let bad = "\u{FFFD}"
        #expect(
            String(buffer: text) == "# HELP m Meaning.\n# TYPE m gauge\nm{l=\"a\\\"\\\\\\n\(bad)\(bad)[31m"
                + "\(bad)\(bad)\(bad)\(bad)\(bad)\u{e9}\"} 1.5\n")
    }

    @Test("there are so many series and no more, and it is said how many were left out")
    func bounds() async throws {
        try await WebWorld.run { world in
            let partitions = Limits.metricsSeriesMax / 2
            for name in ["a", "z"] {
                let count = name == "a" ? 1 : partitions
                let made = try await world.ask("POST", "/v1/topics", #"{"name":"\#(name)","partitions":\#(count)}"#)
                #expect(made.status == 201, "\(made.text)")
            }
            let text = try await world.ask("GET", "/metrics").body
            #expect(text.contains(#"kafka_topic_partitions{topic="a"} 1"#))
            #expect(!text.contains(#"topic="z""#) && !text.contains("apus_metrics_left_out 0\n"))
        }
    }
}
