import ApusAccess
import ApusBroker
import ApusCore
import NIOCore
import WebFormats

/// The broker's verbs, for a client of a WebSocket.
extension EndpointConnection {
    typealias Answer = (Result<OperationResult, Problem>) -> Void

    func perform(_ id: RequestID?, _ operation: ClientOperation) {
        self.renewClient()
        let answer: Answer = { [self] outcome in
            self.run(self.session.answered(id, outcome))
            self.requestsMoved()
        }
        switch operation {
        case .create(let wish): self.create(wish, answer)
        case .write(let wish): self.write(wish, answer)
        case .read(let wish): self.read(wish, answer)
        case .deleteTopic(let name): self.deleteTopic(name, answer)
        case .presence(let wish): self.presence(wish, answer)
        case .acknowledge(let channel, let confirmation):
            answer(
                Result { () throws(Problem) in
                    try self.acknowledge(channel, confirmation)
                    return .taken
                })
        case .connect, .subscribe, .unsubscribe, .flow, .seek, .ping:
            preconditionFailure("the session answers this itself")
        }
    }

    private func create(_ wish: ClientOperation.Create, _ answer: @escaping Answer) {
        let specification = TopicSpecification(
            name: wish.topic, partitions: wish.partitions.map { Int32(clamping: $0) } ?? -1,
            replicationFactor: wish.replication.map { Int16(clamping: $0) } ?? -1,
            configuration: wish.configuration.mapValues { $0 })
        let bound = NIOLoopBound(answer, eventLoop: self.loop.eventLoop)
        self.door.upstream.create(specification, client: self.client, on: self.loop.eventLoop) { result in
            switch result {
            case .success(let topic):
                bound.value(.success(.created(topic: topic.name, partitions: topic.partitionCount)))
            case .failure(let error): bound.value(.failure(Problem(error)))
            }
        }
    }

    private func write(_ wish: ClientOperation.Write, _ answer: @escaping Answer) {
        let record = wish.record
        let keys = record.key.map { ChannelKeys.key($0) } ?? .everything
        guard self.client.allows(.write, keys, ofTopic: wish.topic) else {
            return answer(.failure(Problem(.forbidden, "not allowed to write this to '\(wish.topic)'")))
        }
        let message = Message(
            key: record.key, value: record.value,
            headers: record.headers.map { Message.Header(name: $0.name, value: $0.value) }, timestamp: record.timestamp)
        let bytes = (record.key?.readableBytes ?? 0) + (record.value?.readableBytes ?? 0)
        self.count { $0.produced(.bytes(bytes)) }
        let bound = NIOLoopBound(answer, eventLoop: self.loop.eventLoop)
        self.door.upstream.write(
            AddressedMessage(message, partition: record.partition), to: wish.topic, timeout: Limits.edgeWriteWaitMax,
            spread: self.door.nextSpread, client: self.client.cleared, on: self.loop.eventLoop
        ) { result in
            switch result {
            case .success(let place):
                bound.value(.success(.written(place.partition, place.offset, place.timestamp)))
            case .failure(let error): bound.value(.failure(Problem(error)))
            }
        }
    }

    private func deleteTopic(_ name: String, _ answer: @escaping Answer) {
        let bound = NIOLoopBound(answer, eventLoop: self.loop.eventLoop)
        self.door.upstream.deleteTopic(name, client: self.client, on: self.loop.eventLoop) { result in
            switch result {
            case .success: bound.value(.success(.deleted(topic: name)))
            case .failure(let error): bound.value(.failure(Problem(error)))
            }
        }
    }

    // MARK: Reading

    private func read(_ wish: ClientOperation.Read, _ answer: @escaping Answer) {
        self.findTopic(of: wish.channel) { [self] found in self.read(wish, found, answer) }
    }

    private func read(
        _ wish: ClientOperation.Read, _ found: Result<EdgeTopic, Problem>, _ answer: @escaping Answer
    ) {
        do throws(Problem) {
            let topic = try found.get()
            if let partition = wish.partition, !topic.contains(partition) {
                throw Problem(.topicNotFound, "'\(topic.name)' has no partition \(partition)")
            }
            let plan = try StartPlan(
                wish.start, of: wish.channel, partitions: topic.partitionCount,
                placement: self.door.configuration.placement, seal: self.door.seal(of: wish.channel, in: topic.id))
            self.ask(plan, topic) { [self] outcome in
                do throws(Problem) {
                    let facts = try outcome.get()
                    let (starts, gaps) = try plan.starts(kept: facts.kept, times: facts.times)
                    self.read(wish, topic, plan.first(of: starts, kept: facts.kept), gaps, answer)
                } catch {
                    answer(.failure(error))
                }
            }
        } catch {
            answer(.failure(error))
        }
    }

    private func read(
        _ wish: ClientOperation.Read, _ topic: EdgeTopic, _ starts: [PartitionIndex: Offset], _ gaps: [ResumeGap],
        _ answer: @escaping Answer
    ) {
        let read = ChannelRead(wish.channel, starts, recordsMax: wish.recordsMax)
        let partitions = starts.keys.sorted().filter { wish.partition == nil || wish.partition == $0 }
        guard !partitions.isEmpty else {
            return answer(.failure(Problem(.invalidRequest, "'from' of read is a place where there are records")))
        }
        let entries = partitions.map { partition in
            FetchEntry(
                topic: .id(topic.id), partition: partition, offset: starts[partition] ?? .zero,
                bytesMax: Limits.edgeLiveReadBytesMax)
        }
        let limits = FetchLimits(bytesMin: .zero, bytesMax: Limits.edgeLiveReadBytesMax, waitMax: .zero)
        let seal = self.door.seal(of: wish.channel, in: topic.id)
        let bound = NIOLoopBound(answer, eventLoop: self.loop.eventLoop)
        self.door.upstream.fetch(
            entries, limits: limits, client: self.reader(of: wish.channel), on: self.loop.eventLoop
        ) {
            [read] results in
            var read = read
            let answer = bound.value
            do throws(Problem) {
                for (partition, result) in zip(partitions, results) { try read.take(result, of: partition) }
            } catch {
                return answer(.failure(error))
            }
            // The client's quota counts what it is written.
            answer(.success(.read(read.records, SealedCursor(read.place.cursor, by: seal), gaps)))
        }
    }
}

/// The answer to one `read`, as it comes together.
private struct ChannelRead: Sendable {
    let channel: EdgeChannel
    let recordsMax: Int
    var place: ChannelPlace
    var records: [EdgeRecord] = []

    /// - Parameter starts: of the channel's partitions; of one partition, or of all.
    init(_ channel: EdgeChannel, _ starts: [PartitionIndex: Offset], recordsMax: Int) {
        self.channel = channel
        self.recordsMax = recordsMax
        let sorted = starts.sorted { $0.key < $1.key }
        if sorted.count == 1, let first = sorted.first {
            self.place = .one(first.key, first.value)
        } else {
            self.place = .all(sorted.map(\.value))
        }
    }

    mutating func take(_ result: FetchResult, of partition: PartitionIndex) throws(Problem) {
        if let error = result.error { throw Problem(error) }
        guard let from = self.place[partition] else { return }
        let channel = self.channel
        do {
            let (found, next) = try ChannelRecords.read(
                result.batches, of: partition, from: from, upTo: Limits.edgeCatchUpContentBytesMax,
                where: { channel.takes($0) })
            let room = self.recordsMax - self.records.count
            self.records += found.prefix(room)
            if found.count > room {
                self.place.advance(partition, to: found[room].offset)
            } else if let next {
                self.place.advance(partition, to: next)
            }
        } catch {
            throw Problem(.storageFailed, "partition \(partition) can not be read at \(from)")
        }
    }
}
