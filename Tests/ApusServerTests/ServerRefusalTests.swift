import ApusCore
import ApusServer
import Foundation
import Testing

@Suite struct ServerRefusalTests {
    private let bench: ServerBench

    init() throws {
        self.bench = try ServerBench()
    }

    @Test("values out of their range are refused before anything is touched")
    func ranges() async throws {
        let wrong: [(inout ServerConfiguration) -> Void] = [
            { $0.loops = 0 }, { $0.diskThreads = 0 }, { $0.requestMemory = .bytes(1) }, { $0.partitionsDefault = 0 },
            { $0.kafka.port = 65536 }, { $0.kafka.port = -1 }, { $0.brokerID = BrokerID(rawValue: -1) },
            { $0.clusterID = "" }, { $0.tailCache = .bytes(-1) },
        ]
        for change in wrong {
            var configuration = self.bench.configuration
            change(&configuration)
            #expect(try await self.bench.refusal(configuration).code == .configuration)
        }
        #expect(!FileManager.default.fileExists(atPath: self.bench.directory.file("data")))
    }
}
