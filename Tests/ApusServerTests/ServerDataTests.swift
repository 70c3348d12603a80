import ApusBroker
import ApusCore
import ApusServer
import Foundation
import Testing

@Suite struct ServerDataTests {
    private let bench: ServerBench

    init() throws {
        self.bench = try ServerBench()
    }

    @Test("a store of another cluster or broker is noticed beside our identity, and the other way round")
    func swappedStore() async throws {
        var other = self.bench.configuration
        other.dataDirectory = self.bench.directory.file("other")
        try await self.bench.serve(self.bench.configuration) { _ in }
        try await self.bench.serve(other) { _ in }
        let files = FileManager.default
        let mine = self.bench.directory.file("data/broker.json")
        try files.moveItem(atPath: mine, toPath: self.bench.directory.file("kept.json"))
        try files.copyItem(atPath: self.bench.directory.file("other/broker.json"), toPath: mine)
        let error = try await self.bench.refusal(self.bench.configuration)
        #expect(error.code == .dataRefused)
        #expect(error.message.contains("store.sqlite"))
        try files.removeItem(atPath: mine)
        try files.moveItem(atPath: self.bench.directory.file("kept.json"), toPath: mine)
        try await self.bench.serve(self.bench.configuration) { #expect($0.recovery.wasClean) }
    }

    @Test("a directory whose store is gone is refused, not begun anew")
    func missingStore() async throws {
        try await self.bench.serve(self.bench.configuration) { _ in }
        try FileManager.default.removeItem(atPath: self.bench.directory.file("data/store.sqlite"))
        let error = try await self.bench.refusal(self.bench.configuration)
        #expect(error.code == .dataRefused)
        #expect(!FileManager.default.fileExists(atPath: self.bench.directory.file("data/store.sqlite")))
    }

    @Test("a store with topics in it keeps a lost identity from being made anew")
    func lostIdentity() async throws {
        try await self.bench.serve(self.bench.configuration) { _ = try await $0.createTopic("named", partitions: 1) }
        let data = self.bench.directory.file("data")
        for name in try FileManager.default.contentsOfDirectory(atPath: data) where !name.hasPrefix("store.sqlite") {
            try FileManager.default.removeItem(atPath: "\(data)/\(name)")
        }
        #expect(try await self.bench.refusal(self.bench.configuration).code == .dataRefused)
    }

    @Test("a data directory of another broker is refused, and data that must be there and is not")
    func wrongData() async throws {
        var configuration = self.bench.configuration
        configuration.dataMustExist = true
        #expect(try await self.bench.refusal(configuration).code == .dataRefused)
        try await self.bench.serve(self.bench.configuration) { _ in }
        configuration.brokerID = BrokerID(rawValue: 9)
        let error = try await self.bench.refusal(configuration)
        #expect(error.code == .dataRefused)
        #expect(error.message.contains("broker 1's, this is broker 9"))
    }

    @Test("a list of ends that is damaged, or of another life, does not make a start a clean one")
    func ends() async throws {
        let mark = self.bench.directory.file("data/ends")
        try await self.bench.serve(self.bench.configuration) { _ in }
        let first = try Data(contentsOf: URL(filePath: mark))
        try await self.bench.serve(self.bench.configuration) { #expect($0.recovery.wasClean) }
        try first.write(to: URL(filePath: mark))
        try await self.bench.serve(self.bench.configuration) { #expect(!$0.recovery.wasClean) }
        for bytes in [Data(), first.dropLast(1), first + Data([0])] {
            try await self.bench.serve(self.bench.configuration) { _ in }
            try bytes.write(to: URL(filePath: mark))
            try await self.bench.serve(self.bench.configuration) { #expect(!$0.recovery.wasClean) }
        }
        try FileManager.default.removeItem(atPath: mark)
        try FileManager.default.createDirectory(atPath: mark, withIntermediateDirectories: false)
        _ = try await self.bench.serve(self.bench.configuration) { #expect(!$0.recovery.wasClean) }
    }

    @Test("a store of an earlier start beside newer data gives no start number twice")
    func oldStore() async throws {
        let data = self.bench.directory.file("data")
        let aside = self.bench.directory.file("aside")
        let stores = { (folder: String) in
            try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0.hasPrefix("store.sqlite") }
        }
        try await self.bench.serve(self.bench.configuration) { _ in }
        try FileManager.default.createDirectory(atPath: aside, withIntermediateDirectories: false)
        for name in try stores(data) {
            try FileManager.default.copyItem(atPath: "\(data)/\(name)", toPath: "\(aside)/\(name)")
        }
        var last = Epoch.none
        for _ in 0..<3 {
            try await self.bench.serve(self.bench.configuration) { last = $0.broker.settings.incarnation }
        }
        for name in try stores(data) { try FileManager.default.removeItem(atPath: "\(data)/\(name)") }
        for name in try stores(aside) {
            try FileManager.default.copyItem(atPath: "\(aside)/\(name)", toPath: "\(data)/\(name)")
        }
        try await self.bench.serve(self.bench.configuration) {
            #expect(!$0.recovery.wasClean && $0.broker.settings.incarnation > last)
        }
    }

    @Test("a start that fails before there is a broker leaves the next one as clean as it was")
    func failedStart() async throws {
        try await self.bench.serve(self.bench.configuration) { _ in }
        var configuration = self.bench.configuration
        configuration.options = ["num.partitions": "none"]
        _ = try await self.bench.refusal(configuration)
        try await self.bench.serve(self.bench.configuration) { #expect($0.recovery.wasClean) }
    }
}
