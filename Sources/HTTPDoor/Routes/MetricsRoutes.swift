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
/// No label of it has a value from outside, so its size does not grow with topics or clients.
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
        let (broker, door) = (context.broker, context.door)
        let topics = broker.topics
        let partitions = topics.all.reduce(0) { $0 + Int($1.partitionCount) }
        var text = ByteBuffer()
        func write(_ name: String, _ kind: String, _ meaning: String, _ value: Int, _ labels: String = "") {
            text.writeString("# HELP \(name) \(meaning)\n# TYPE \(name) \(kind)\n\(name)\(labels) \(value)\n")
        }
        // The version is the program's own.
        write("apus_build_info", "gauge", "1, with the version.", 1, "{version=\"\(door.configuration.version)\"}")
        write("apus_topics", "gauge", "Topics, the system's own included.", topics.count)
        write("apus_partitions", "gauge", "Partitions of all topics.", partitions)
        write("apus_fetches_waiting", "gauge", "Fetches that wait for records.", await broker.parkedFetchCount())
        write("apus_request_memory_bytes", "gauge", "Memory of requests under way.", broker.memory.used.rawValue)
        write("apus_request_memory_limit_bytes", "gauge", "What it may come to.", broker.memory.limit.rawValue)
        write("apus_http_body_memory_bytes", "gauge", "Memory of bodies under way.", door.bodyMemory.used.rawValue)
        write("apus_users", "gauge", "Users with passwords.", broker.access.users.count)
        write("apus_acls", "gauge", "Rules.", broker.access.acls.acls.count)
        write("apus_http_connections", "gauge", "Connections of HTTP that are open.", door.connections)
        write("apus_http_requests_total", "counter", "Requests of HTTP that were answered.", door.requests)
        write("apus_http_problems_total", "counter", "Of these, answered with a problem.", door.problems)
        write("kafka_brokers", "gauge", "Brokers of the cluster.", 1)
        return text
    }
}
