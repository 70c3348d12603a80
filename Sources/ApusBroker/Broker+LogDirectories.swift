package import NIOCore
import ApusAccess
import ApusCore
import ApusLog

extension Broker {
    /// What the data directory holds. Nil asks for every partition there is; those never written to are left out.
    ///
    /// Open partitions are asked, the files of the others are counted, so that nothing is opened only to be measured.
    package func describeLogDirectory(
        _ partitions: [PartitionReference]?, client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable (Result<LogDirectoryDescription, BrokerError>) -> Void
    ) {
        let home = self.mailbox(of: loop)
        guard client.allows(.describe, on: .cluster) else {
            return home.run { then(.failure(.clusterAuthorizationFailed)) }
        }
        let topics = self.topics
        var wanted: [LogDirectoryDescription.Partition] = []
        if let partitions {
            for partition in partitions {
                guard
                    case .success(let topic) = Broker.catching({ () throws(BrokerError) in
                        try topics.topic(partition.topic)
                    }), topic.contains(partition.partition)
                else { continue }
                wanted.append(Self.row(topic, partition.partition))
            }
        } else {
            for topic in topics.all {
                for index in 0..<topic.partitionCount {
                    wanted.append(Self.row(topic, PartitionIndex(rawValue: index)))
                }
            }
        }
        let rows = wanted
        let nothing = [[TopicPartition: ByteCount]](repeating: [:], count: self.shards.count)
        let gather = BrokerGather(nothing, missing: self.shards.count) { counts in
            let open = counts.reduce(into: [:]) { $0.merge($1) { first, _ in first } }
            self.measure(rows, open: open) { result in home.run { then(result) } }
        }
        for shard in self.shards {
            shard.mailbox.run { gather.put(shard.openByteCounts(), at: shard.index) }
        }
    }

    private static func row(_ topic: Topic, _ partition: PartitionIndex) -> LogDirectoryDescription.Partition {
        LogDirectoryDescription.Partition(
            topic: topic.name, topicID: topic.id, partition: partition, byteCount: .zero
        )
    }

    private func measure(
        _ rows: [LogDirectoryDescription.Partition], open: [TopicPartition: ByteCount],
        then: @escaping @Sendable (Result<LogDirectoryDescription, BrokerError>) -> Void
    ) {
        let path = self.settings.dataDirectory
        self.ports.disk.run(in: DiskLane(rawValue: 3), on: self.registry.loop) { disk in
            Self.measure(rows, open: open, path: path, on: disk)
        } then: { result in
            then(result.mapError { .storage("\($0)") })
        }
    }

    private static func measure(
        _ rows: [LogDirectoryDescription.Partition], open: [TopicPartition: ByteCount], path: String, on disk: any Disk
    ) -> Result<LogDirectoryDescription, DiskError> {
        do throws(DiskError) {
            var description = LogDirectoryDescription(path: path, usableBytes: try disk.freeBytes(), partitions: [])
            for row in rows {
                var row = row
                let id = TopicPartition(topic: row.topicID, partition: row.partition)
                if let known = open[id] {
                    row.byteCount = known
                } else {
                    let directory = LogIdentity(id).directory
                    for file in try disk.list(directory) {
                        // A file may go while we count.
                        row.byteCount = row.byteCount + ((try? disk.size(of: directory.appending(file))) ?? .zero)
                    }
                }
                if row.byteCount > .zero || open[id] != nil { description.partitions.append(row) }
            }
            return .success(description)
        } catch {
            return .failure(error)
        }
    }
}
