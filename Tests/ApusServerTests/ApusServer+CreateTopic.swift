import ApusBroker
import ApusServer
import NIOCore
import NIOPosix

extension ApusServer {
    func createTopic(_ name: String, partitions: Int32) async throws -> Topic {
        let client = ClientContext(clientID: "test", address: "127.0.0.1")
        let loop = MultiThreadedEventLoopGroup.singleton.any()
        let answers = await withCheckedContinuation { continuation in
            self.broker.create([TopicSpecification(name: name, partitions: partitions)], client: client, on: loop) {
                continuation.resume(returning: $0)
            }
        }
        guard let answer = answers.first else { throw CancellationError() }
        return try answer.get()
    }
}
