import ApusClient
import ApusCommand
import ApusCore
import NIOCore

/// `--reconnect`: everybody is cut off, and comes back.
extension FanOutOptions {
    /// Records that are pushed live before, so that everybody has a cursor.
    private static let recordsBefore: Int64 = 100

    func measureReconnecting(
        _ load: LoadLoop, _ transport: PushDrain.Transport, _ topic: String, _ recordBytes: Int, at address: HostPort,
        _ apus: ApusClient
    ) async throws -> BenchReport {
        let (login, records) = (try self.authorization(), self.records ?? 1000)
        let memory = self.options.pid.flatMap { ProcessMemory.resident(of: $0) }
        let all = try await load.loop.submit {
            NIOLoopBound(
                ReconnectLoad(
                    load, transport, address, topic: topic, authorization: login, connections: self.connections,
                    atOnce: self.atOnce ?? 1000),
                eventLoop: load.loop)
        }.get()
        let patience = load.loop.scheduleTask(in: .seconds(120)) { all.value.fail("not all was delivered in time") }
        let first = Instant.now
        try await load.loop.flatSubmit { all.value.connectAll() }.get()
        var audience = BenchAudience(
            transport: transport.rawValue, connections: self.connections, channels: self.connections,
            connecting: Instant.now.since(first))
        if let memory, let after = self.options.pid.flatMap({ ProcessMemory.resident(of: $0) }) {
            audience.memory = (memory, after)
        }
        try await self.write(Self.recordsBefore, of: recordBytes, to: topic, apus)
        try await load.loop.flatSubmit { all.value.allHave(Self.recordsBefore) }.get()
        try await load.loop.flatSubmit { all.value.cutAll() }.get()
        try await self.write(records, of: recordBytes, to: topic, apus)

        let began = Instant.now
        try await load.loop.flatSubmit {
            load.startCounting()
            // Whoever has all before the last one is subscribed counts as well.
            let complete = all.value.allHave(Self.recordsBefore + records)
            return all.value.connectAll().and(complete).map { _ in load.stop() }
        }.get()
        patience.cancel()
        var report = try await load.loop.submit {
            var report = load.report("delivered")
            report.reconnection = all.value.reconnection(since: began, records: records)
            return report
        }.get()
        let gaps = report.reconnection.map { $0.gaps + $0.duplicates } ?? 0
        report.errors += gaps
        report.latencyOf = "resume"
        report.audience = audience
        return report
    }

    private func write(_ count: Int64, of bytes: Int, to topic: String, _ apus: ApusClient) async throws {
        // As those of the other load: the mark once in each, and JSON.
        let start = #"{"pad":""# + String(UnicodeScalar(PushDrain.mark))
        let padding = String(repeating: "x", count: max(0, bytes - start.utf8.count - 2))
        let value = ByteBuffer(string: start + padding + #""}"#)
        try await apus.withProducer { producer in
            for _ in 0..<count {
                try await producer.send(
                    ProducerRecord(value, topic: topic, partition: PartitionIndex(rawValue: 0)))
            }
        }
    }
}
