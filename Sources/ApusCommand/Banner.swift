import ApusCore

/// What `apus serve` says once it is ready: to a person on a terminal, as one line of JSON to everything else.
package struct Banner: Sendable {
    package var version: String
    package var data: String
    package var isNew: Bool
    package var broker: Int32
    package var process: Int32
    /// The address that was bound, with the real port.
    package var kafka: HostPort
    /// The same for HTTP; nil: it is not served.
    package var http: HostPort?
    /// From the start of the process until the first client can connect.
    package var readyAfter: Duration
    package var topics: Int
    package var partitions: Int
    package var durability: String

    package init(
        version: String, data: String, isNew: Bool, broker: Int32, process: Int32, kafka: HostPort,
        http: HostPort? = nil,
        readyAfter: Duration, topics: Int, partitions: Int, durability: String
    ) {
        self.version = version
        self.data = data
        self.isNew = isNew
        self.broker = broker
        self.process = process
        self.kafka = kafka
        self.http = http
        self.readyAfter = readyAfter
        self.topics = topics
        self.partitions = partitions
        self.durability = durability
    }

    /// Stable keys: supervisors and tests wait for this line.
    package var json: JSON {
        let http = self.http.map { [("http", JSON.string("\($0)"))] } ?? []
        return .object(
            [
                ("event", .string("ready")), ("version", .string(self.version)), ("kafka", .string("\(self.kafka)")),
                ("port", .integer(Int64(self.kafka.port))),
                ("ms", .number(Double(self.readyAfter.wholeNanoseconds / 10_000) / 100)),
                ("data", .string(self.data)), ("new", .bool(self.isNew)), ("broker", .integer(Int64(self.broker))),
                ("pid", .integer(Int64(self.process))), ("topics", .integer(Int64(self.topics))),
                ("partitions", .integer(Int64(self.partitions))),
            ] + http)
    }

    package func text(in colours: Palette) -> String {
        let found =
            self.isNew ? "new" : "\(Self.many(self.topics, "topic")), \(Self.many(self.partitions, "partition"))"
        let ready = Numbers.duration(self.readyAfter)
        let server = self.kafka == HostPort(host: "127.0.0.1", port: HostPort.portDefault) ? "" : " -s \(self.kafka)"
        let reach =
            self.kafka.isLoopback
            ? "Local only: other machines cannot connect. To open it:  apus serve --kafka 0.0.0.0:9092 --insecure"
            : colours.red("Open to other machines, without authentication: anybody may read, write and delete.")
        let promise =
            self.durability == "fsync"
            ? "acknowledged records are on the disk" : "acknowledged records are in the page cache"
        let http =
            self.http.map { "\n  HTTP   \(colours.bold("http://\($0)"))  curl http://\($0)/v1/topics" } ?? ""
        return """
            \(colours.bold("Apus \(self.version)"))  data \(self.data) (\(found))  broker \(self.broker)  pid \
            \(self.process)  \(colours.green("ready in \(ready)"))
              Kafka  \(colours.bold("\(self.kafka)"))  any Kafka client; \(promise)\(http)
            \(reach)
            Try:  apus sub hello\(server)        (in another terminal)
                  apus pub hello "hi"\(server)

            """
    }

    private static func many(_ count: Int, _ noun: String) -> String {
        "\(Numbers.grouped(Int64(count))) \(noun)\(count == 1 ? "" : "s")"
    }
}
