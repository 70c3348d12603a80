import ApusBroker
import ApusCore
import KafkaWire
import NIOCore

/// Produce (0): appends one batch to each named partition.
///
/// Versions 0 to 2, of the formats before record batches, are advertised and not served: some clients take "not
/// advertised" for "can not compress". A request of such a version closes the connection.
enum ProduceHandler: ApiHandler {
    static let versions: ClosedRange<Int16> = 3...13
    static let versionAdvertisedMin: Int16 = 0

    /// From here on topics are named by id (KIP-516).
    private static let versionByID: Int16 = 13
    /// From here on batches may be compressed with zstd (KIP-110).
    private static let versionZstd: Int16 = 7

    static func handle(_ request: inout ProduceRequest, _ exchange: Exchange<ProduceResponse>) {
        let isSilent = request.acks == 0
        var (response, entries) = self.plan(&request, exchange)
        response.throttleTimeMs = exchange.throttle { $0.produced(exchange.requestBytes) }
        let acks: Acks
        switch request.acks {
        case -1: acks = .all
        case 0: acks = .none
        case 1: acks = .leader
        default:
            self.refuseAll(&response, .invalidRequiredAcks, nil)
            return self.finish(response, isSilent: false, exchange)
        }
        guard request.transactionalID == nil else {
            self.refuseAll(&response, .unsupportedVersion, InitProducerIdHandler.noTransactions)
            return self.finish(response, isSilent: isSilent, exchange)
        }
        guard !entries.isEmpty else { return self.finish(response, isSilent: isSilent, exchange) }
        // From here on the broker alone holds the batches, so it can patch them where they are.
        let batches = entries
        entries = []
        exchange.broker.produce(
            batches, acks: acks, timeout: .milliseconds(max(0, request.timeoutMs)), client: exchange.client,
            on: exchange.loop
        ) { [response] results in
            var response = response
            self.fill(&response, with: results)
            self.finish(response, isSilent: isSilent, exchange)
        }
    }

    /// The answer, with the errors that need no broker already in it, and what is asked of the broker, in its order.
    private static func plan(
        _ request: inout ProduceRequest, _ exchange: Exchange<ProduceResponse>
    ) -> (ProduceResponse, [ProduceEntry]) {
        var response = ProduceResponse()
        var entries: [ProduceEntry] = []
        for topic in request.topicData.indices {
            var answer = ProduceResponse.Topic()
            answer.name = request.topicData[topic].name
            answer.topicID = request.topicData[topic].topicID
            let reference = TopicReference(
                name: answer.name, id: answer.topicID, byID: exchange.version >= self.versionByID
            )
            for partition in request.topicData[topic].partitionData.indices {
                var result = ProduceResponse.Partition()
                result.index = request.topicData[topic].partitionData[partition].index
                result.baseOffset = -1
                // Taken out, so that the batch has one owner.
                let records = request.topicData[topic].partitionData[partition].records.take()?.joined ?? ByteBuffer()
                if let (code, message) = self.refusal(of: records, version: exchange.version) {
                    result.errorCode = code
                    result.errorMessage = message
                } else {
                    let index = PartitionIndex(rawValue: result.index)
                    entries.append(ProduceEntry(topic: reference, partition: index, records: records))
                }
                answer.partitionResponses.append(result)
            }
            response.responses.append(answer)
        }
        return (response, entries)
    }

    /// What depends on the version of the request, which the broker does not know.
    private static func refusal(of records: ByteBuffer, version: Int16) -> (KafkaErrorCode, String)? {
        guard records.readableBytes > 0 else { return (.invalidRecord, "There must be exactly one record batch.") }
        // A batch's attributes are the first that its CRC covers.
        let index = records.readerIndex + RecordBatchHeader.crcCoverageStart
        guard version < self.versionZstd, let attributes = records.getInteger(at: index, as: Int16.self),
            RecordBatchHeader.Attributes(rawValue: attributes).codec == .zstd
        else { return nil }
        return (.unsupportedCompressionType, "zstd needs version \(self.versionZstd) of the Produce request.")
    }

    private static func refuseAll(_ response: inout ProduceResponse, _ code: KafkaErrorCode, _ message: String?) {
        for topic in response.responses.indices {
            for partition in response.responses[topic].partitionResponses.indices {
                response.responses[topic].partitionResponses[partition].errorCode = code
                response.responses[topic].partitionResponses[partition].errorMessage = message
            }
        }
    }

    private static func fill(_ response: inout ProduceResponse, with results: [ProduceResult]) {
        var results = results[...]
        for topic in response.responses.indices {
            for partition in response.responses[topic].partitionResponses.indices
            where response.responses[topic].partitionResponses[partition].errorCode == .none {
                guard let result = results.popFirst() else { preconditionFailure("an answer for every entry") }
                response.responses[topic].partitionResponses[partition].take(result)
            }
        }
    }

    private static func finish(
        _ response: ProduceResponse, isSilent: Bool, _ exchange: Exchange<ProduceResponse>
    ) {
        guard isSilent else { return exchange.answer(response) }
        // With acks=0 there is no answer, and a closed connection is the only way to say that something was refused.
        for topic in response.responses {
            for partition in topic.partitionResponses where partition.errorCode != .none {
                let name = topic.name.isEmpty ? topic.topicID.description : topic.name
                return exchange.close(
                    because: "produce with acks=0 to \(name)/\(partition.index): \(partition.errorCode)"
                )
            }
        }
        exchange.answerNothing()
    }
}

extension ProduceResponse.Partition {
    fileprivate mutating func take(_ result: ProduceResult) {
        if let error = result.error {
            self.errorCode = error.kafkaCode
            self.errorMessage = error.kafkaMessage
        } else {
            self.baseOffset = result.baseOffset.rawValue
        }
        self.logAppendTimeMs = result.logAppendTime.rawValue
        self.logStartOffset = result.logStartOffset.rawValue
        self.recordErrors = result.recordErrors.map {
            var error = ProduceResponse.RecordError()
            error.batchIndex = $0.index
            error.batchIndexErrorMessage = $0.message
            return error
        }
    }
}
