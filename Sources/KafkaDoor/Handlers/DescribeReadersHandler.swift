import ApusBroker
import ApusCore
import KafkaWire

/// DescribeReaders (32003, our own): the reader count of one record.
enum DescribeReadersHandler: ApiHandler {
    static let versions: ClosedRange<Int16> = 0...0

    static func handle(_ request: inout DescribeReadersRequest, _ exchange: Exchange<DescribeReadersResponse>) {
        let partition = PartitionReference(
            topic: .name(request.topic), partition: PartitionIndex(rawValue: request.partitionIndex))
        exchange.broker.readers(
            of: Offset(rawValue: request.offset), in: partition, client: exchange.client, on: exchange.loop
        ) { result in
            var response = DescribeReadersResponse()
            switch result {
            case .success(let report):
                response.subscriptionCount = Int32(clamping: report.subscriptions)
                response.readCount = Int32(clamping: report.read)
                response.waitingCount = Int32(clamping: report.waiting)
                response.lateCount = Int32(clamping: report.late)
                response.waitingFor = report.waitingFor
                response.missedBy = report.missedBy
                response.text = report.text
            case .failure(let error):
                response.errorCode = error.kafkaCode
                response.errorMessage = error.kafkaMessage
            }
            exchange.answer(response)
        }
    }
}
