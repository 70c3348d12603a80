import ApusCommand
import ApusCore
import Foundation
import Histogram
import Testing

@Suite struct BenchReportTests {
    private func report() -> BenchReport {
        var report = BenchReport(
            verb: "sent", records: 2_000_000, bytes: .bytes(2_097_152_000), elapsed: .seconds(4))
        var latency = Histogram<UInt64>(highestTrackableValue: 60_000_000_000, numberOfSignificantValueDigits: .three)
        for value in 1...1000 { latency.record(UInt64(value) * 1_000_000) }
        report.latency = latency
        report.brokerTime = .seconds(3)
        return report
    }

    @Test("the line has the shape of Kafka's perf tools")
    func line() {
        let lines = self.report().text.split(separator: "\n")
        #expect(
            lines.first?.hasPrefix(
                "2000000 records sent, 500000.0 records/sec (500.00 MB/sec), 500.") == true)
        #expect(lines.first?.contains(" ms 50th, 95") == true)
        #expect(lines.first?.hasSuffix(" ms 99.9th.") == true)
        #expect(lines.last == "broker: 3.00 s of CPU, 1.500 s per million records, 1.431 s per GB.")
    }

    @Test("a rate that was not kept makes the run void")
    func void() {
        var report = self.report()
        #expect(!report.isVoid)
        report.rateWanted = 505_000
        #expect(!report.isVoid)
        report.rateWanted = 506_000
        #expect(report.isVoid)
        #expect(report.text.contains("was not kept"))
        #expect(report.json.compact.contains(#""void":true"#))
    }

    @Test("the JSON has the rates and the percentiles in milliseconds")
    func json() {
        let json = self.report().json.compact
        #expect(json.hasPrefix(#"{"verb":"sent","records":2000000,"bytes":2097152000,"seconds":4.0,"#))
        #expect(json.contains(#""broker_cpu_seconds_per_million":1.5"#))
        #expect(json.contains(#""p99":99"#))
    }

    @Test("whoever was pushed to is told of")
    func audience() {
        var report = self.report()
        var audience = BenchAudience(transport: "ws", connections: 1000, channels: 10_000, connecting: .seconds(2))
        audience.memory = (.bytes(1_000_000), .bytes(4_000_000))
        (audience.idle, audience.idleTime) = (.seconds(10), .milliseconds(50))
        report.audience = audience
        #expect(audience.bytesPerConnection == 3000)
        #expect(audience.idlePercent == 0.5)
        #expect(report.text.contains("1,000 connections (ws), 10,000 channels, subscribed in 2.00 s, 3000 bytes"))
        #expect(report.text.contains("0.50 % of a core"))
        #expect(report.json.compact.contains(#""memory_bytes_per_connection":3000"#))
    }

    @Test("connections that came back are told of, with what they were not given")
    func reconnection() {
        var report = self.report()
        report.reconnection = BenchReconnection(
            records: 1000, atOnce: 500, connecting: .milliseconds(1250), caughtUp: .milliseconds(2500),
            connections: 5000, gaps: 3, duplicates: 0)
        let json = report.json.compact
        #expect(json.contains(#""reconnect_at_once":500,"reconnect_jitter":false,"reconnect_seconds":1.25"#))
        #expect(json.contains(#""reconnects_per_second":4000"#))
        #expect(json.contains(#""caught_up_seconds":2.5,"gaps":3,"duplicates":0"#))
        #expect(report.text.contains("500 at a time and without jitter: subscribed in 1.25 s (4000 connections/s)"))
        #expect(report.text.contains("1,000 records each in 2.50 s, gaps 3, duplicates 0."))
    }

    @Test("the memory of this very process is known")
    func memory() throws {
        #expect(try #require(ProcessMemory.resident(of: getpid())) > .mebibytes(1))
        #expect(ProcessMemory.resident(of: -1) == nil)
    }

    @Test("the CPU time of this very process is known and grows")
    func processTime() throws {
        let before = try #require(ProcessTime.spent(by: getpid()))
        var sum: UInt64 = 0
        while try #require(ProcessTime.spent(by: getpid())) == before {
            for index in 0..<100_000 { sum &+= UInt64(index) }
        }
        #expect(try #require(ProcessTime.spent(by: getpid())) > before)
        #expect(ProcessTime.spent(by: -1) == nil)
    }

    @Test("progress comes a few times a second, not before the first moment, and says how long it will take")
    func progress() {
        let start = Instant(nanoseconds: 0)
        var progress = Progress(at: start, recordsExpected: 1000)
        #expect(progress.line(records: 1, bytes: .bytes(1), at: start) == nil)
        let second = start.advanced(by: .seconds(1))
        #expect(
            progress.line(records: 250, bytes: .kibibytes(250), at: second)
                == "250 records  250.0 KiB  250 records/s  250.0 KiB/s  25 %  3.00 s left")
        #expect(progress.line(records: 260, bytes: .kibibytes(260), at: second.advanced(by: .milliseconds(10))) == nil)
    }

    @Test("the banner is for people, the ready line for programs")
    func banner() {
        var banner = Banner(
            version: "0.1.0", data: "./apus-data", isNew: true, broker: 1, process: 42,
            kafka: HostPort(host: "127.0.0.1", port: 9092), readyAfter: .milliseconds(180), topics: 0, partitions: 0,
            durability: "fsync"
        )
        let text = banner.text(in: .plain)
        #expect(text.hasPrefix("Apus 0.1.0  data ./apus-data (new)  broker 1  pid 42  ready in 0.18 s\n"))
        #expect(text.contains("Local only"))
        #expect(text.contains("apus pub hello \"hi\"\n"))
        banner.kafka = HostPort(host: "0.0.0.0", port: 1234)
        banner.isNew = false
        banner.topics = 1
        #expect(banner.text(in: .plain).contains("(1 topic, 0 partitions)"))
        #expect(banner.text(in: .plain).contains("-s 0.0.0.0:1234"))
        #expect(banner.text(in: .plain).contains("Open to other machines"))
        #expect(
            banner.json.compact == #"{"event":"ready","version":"0.1.0","kafka":"0.0.0.0:1234","port":1234,"ms":180.0,"#
                + #""data":"./apus-data","new":false,"broker":1,"pid":42,"topics":1,"partitions":0}"#)
    }
}
