import ApusAccess
import ApusBroker
import ApusCore
import HTTPTypes
import Hummingbird
import HummingbirdCore
import NIOCore
import WebFormats

/// `/metrics`: numbers about this node as Prometheus reads them (text format 0.0.4). Needs DESCRIBE on the cluster.
///
/// What grows with topics and groups is bounded by ``Limits/metricsSeriesMax``, and what was left out is counted.
enum MetricsRoutes {
    static var all: [WebRoute] {
        [
            WebRoute(.get, "/metrics", "Numbers about this node, for Prometheus") { request, context in
                _ = try Query(request.uri.query, names: [])
                guard context.client.allows(.describe, on: .cluster) else {
                    throw Problem(BrokerError.clusterAuthorizationFailed)
                }
                var headers = HTTPFields()
                headers[.contentType] = "text/plain; version=0.0.4; charset=utf-8"
                headers[.cacheControl] = "no-store"
                return Response(
                    status: .ok, headers: headers, body: ResponseBody(byteBuffer: await self.text(context)))
            }
        ]
    }

    private static func text(_ context: WebContext) async -> ByteBuffer {
        var text = ByteBuffer()
        for metric in await self.node(context) { text.writeMetric(metric) }
        if let edge = context.door.configuration.edgeMetrics {
            for metric in await context.wait({ edge($0) }) { text.writeMetric(metric) }
        }
        text.writeMetric(context.door.times.metric(WebRoute.all))
        for metric in await RecordMetrics.all(context) { text.writeMetric(metric) }
        return text
    }

    private static func node(_ context: WebContext) async -> [Metric] {
        let (broker, door) = (context.broker, context.door)
        let topics = broker.topics
        let partitions = topics.all.reduce(0) { $0 + Int($1.partitionCount) }
        return [
            Metric(
                "apus_build_info", .gauge, "1, with the version.",
                [Metric.Sample(1, [("version", door.configuration.version)])]),
            Metric("apus_topics", .gauge, "Topics, the system's own included.", topics.count),
            Metric("apus_partitions", .gauge, "Partitions of all topics.", partitions),
            Metric(
                "apus_fetches_waiting", .gauge, "Fetches that wait for records.", await broker.parkedFetchCount()),
            Metric(
                "apus_request_memory_bytes", .gauge, "Memory of requests under way.", broker.memory.used.rawValue),
            Metric("apus_request_memory_limit_bytes", .gauge, "What it may come to.", broker.memory.limit.rawValue),
            Metric(
                "apus_http_body_memory_bytes", .gauge, "Memory of bodies under way.", door.bodyMemory.used.rawValue),
            Metric("apus_users", .gauge, "Users with passwords.", broker.access.users.count),
            Metric("apus_api_keys", .gauge, "API keys.", broker.access.keys.count),
            Metric("apus_acls", .gauge, "Rules.", broker.access.acls.acls.count),
            Metric("apus_http_connections", .gauge, "Connections of HTTP that are open.", door.connections),
            Metric("apus_http_requests_total", .counter, "Requests of HTTP that were answered.", door.requests),
            Metric("apus_http_problems_total", .counter, "Of these, answered with a problem.", door.problems),
            Metric("kafka_brokers", .gauge, "Brokers of the cluster.", 1),
        ]
    }
}
